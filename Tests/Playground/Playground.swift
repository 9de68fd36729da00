private import FoundationEssentials
private import Glibc
internal import Support

/// Some clusters, each an API server with Leasehold, that share one store.
struct Playground {
    /// Where people find the kubeconfig files and logs, relative to where they are.
    private static let folder = ".clusters"
    private static let namespace = "team-a"

    private let names: [String]
    /// What the clusters share: a bucket.
    private let storage: GCSEmulator
    private static let store = "gs://leasehold"

    init(clusters names: [String]) throws {
        let isValid = names.allSatisfy { $0.wholeMatch(of: /[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?/) != nil }
        guard isValid, Set(names).count == names.count, names.count <= 8 else {
            throw ChildProcess.Failure(
                "got \(names.joined(separator: " ")); allowed: up to 8 different names of clusters, of a-z, 0-9 and -")
        }
        self.names = names
        storage = try GCSEmulator(bucket: "leasehold")
    }

    /// One cluster while it runs.
    private struct Cluster: Sendable {
        let plane: ControlPlane
        let leasehold: ChildProcess

        /// - Throws: when its Leasehold is no more.
        func check() throws {
            guard leasehold.hasExited else { return }
            throw ChildProcess.Failure("leasehold run of \(plane.name) ended: \(leasehold.err.suffix(2000))")
        }
    }

    /// Starts everything, says what to try, and tears all down when the task is cancelled.
    func run() async throws {
        let lock = try takeFolder()
        defer { close(lock) }
        defer { for name in names { removeKubeconfigs(of: name) } }
        say("Starts \(names.count) API servers and the Leaseholds beside them; half a minute, on two processors ...")
        let clusters = try await start()
        do {
            let leader = try await leader(among: clusters)
            print(guide(clusters, leader: leader))
            fflush(nil)
            while true {
                for cluster in clusters { try cluster.check() }
                try await Task.sleep(for: .seconds(1))
            }
        } catch {
            await stop(clusters)
            throw error
        }
    }

    // MARK: - Starting and ending

    /// An API server with all that is installed, before there is a Leasehold beside it.
    private struct Site: Sendable {
        let plane: ControlPlane
        /// Where its webhook is to be served.
        let port: UInt16
    }

    private func start() async throws -> [Cluster] {
        let sites = try await withThrowingTaskGroup(of: Site.self) { group in
            for name in names { group.addTask { try await install(name) } }
            return try await group.reduce(into: [:]) { $0[$1.plane.name] = $1 }
        }
        var clusters: [Cluster] = []
        for site in names.compactMap({ sites[$0] }) {
            clusters.append(try await start(site))
            // The first is alone until it leads, so that everybody sees what the README says.
            if clusters.count == 1 { _ = try await leader(among: clusters) }
        }
        return clusters
    }

    private func install(_ name: String) async throws -> Site {
        let plane = try await ControlPlane.start(name)
        let port = try FreePort.any()
        try await plane.installLeasehold(servingAt: port)
        try SecretFile.write(
            String(contentsOfFile: plane.admin, encoding: .utf8), to: Self.kubeconfig(name, "admin"))
        _ = try await plane.serviceAccount(
            "guestbook-operator", in: Self.namespace, to: Self.kubeconfig(name, "operator"))
        return Site(plane: plane, port: port)
    }

    private func start(_ site: Site) async throws -> Cluster {
        let leasehold = try await site.plane.startLeasehold(
            servingAt: site.port, ["--store", Self.store], environment: ["STORAGE_EMULATOR_HOST": storage.url],
            log: Self.log(site.plane.name))
        return Cluster(plane: site.plane, leasehold: leasehold)
    }

    /// The cluster that all of them say leads the sample's namespace.
    private func leader(among clusters: [Cluster]) async throws -> String {
        var leader = ""
        try await eventually("all clusters know who leads \(Self.namespace)") {
            var holders: Set<String> = []
            for cluster in clusters {
                try cluster.check()
                holders.insert(try await cluster.plane.holder(of: Self.namespace))
            }
            leader = holders.first ?? ""
            return holders.count == 1 && !leader.isEmpty
        }
        return leader
    }

    /// Lets each Leasehold leave in good order while its API server still answers.
    private func stop(_ clusters: [Cluster]) async {
        for cluster in clusters { cluster.leasehold.send(SIGTERM) }
        for cluster in clusters { _ = await cluster.leasehold.exitCode() }
    }

    // MARK: - Files

    /// Of this machine's user only, and of one playground at a time.
    ///
    /// - Returns: the descriptor that holds the lock.
    private func takeFolder() throws -> Int32 {
        guard unsafe mkdir(Self.folder, 0o700) == 0 || errno == EEXIST else {
            throw ChildProcess.Failure("cannot make \(Self.folder) here: \(unsafe String(cString: strerror(errno)))")
        }
        let lock = unsafe open(Self.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            if lock >= 0 { close(lock) }
            throw ChildProcess.Failure("another playground runs in \(Self.folder); end it first, or use another folder")
        }
        return lock
    }

    /// The servers that they are for are gone.
    private func removeKubeconfigs(of name: String) {
        for user in ["admin", "operator"] { unsafe unlink(Self.kubeconfig(name, user)) }
    }

    private static func kubeconfig(_ cluster: String, _ user: String) -> String {
        "\(folder)/\(cluster).\(user).kubeconfig"
    }

    private static func log(_ cluster: String) -> String { "\(folder)/\(cluster).log" }

    // MARK: - For people

    private func guide(_ clusters: [Cluster], leader: String) -> String {
        let width = (names + ["CLUSTER"]).map(\.count).max()! + 2
        func row(_ cluster: String, _ server: String, _ leads: String, _ log: String) -> String {
            func padded(_ text: String, _ width: Int) -> String {
                text + String(repeating: " ", count: max(0, width - text.count))
            }
            return "  " + padded(cluster, width) + padded(server, 25) + padded(leads, 14) + log + "\n"
        }
        func apply(on cluster: String) -> String {
            "  kubectl --kubeconfig \(Self.kubeconfig(cluster, "operator")) apply --dry-run=server "
                + "-f config/samples/guestbook.yaml\n"
        }
        var text = "\n" + row("CLUSTER", "API SERVER", "LEADS \(Self.namespace)", "LOG")
        for cluster in clusters {
            let name = cluster.plane.name
            text += row(name, cluster.plane.url, name == leader ? "yes" : "no", Self.log(name))
        }
        if let other = names.first(where: { $0 != leader }) {
            text += "\nIn another terminal, as the operator of \(Self.namespace). \(other) does not lead and rejects:\n"
            text += apply(on: other) + "\n\(leader) leads and accepts:\n" + apply(on: leader)
            text += "\nHand the namespace over, and try both again:\n"
            text += "  .build/debug/leasehold transfer \(Self.namespace) --to \(other) "
            text += "--kubeconfig \(Self.kubeconfig(leader, "admin"))\n"
        } else {
            text += "\nIn another terminal, as the operator of \(Self.namespace):\n" + apply(on: leader)
        }
        text += "\nAs an administrator, whom nothing is forbidden:\n"
        text += "  kubectl --kubeconfig \(Self.kubeconfig(leader, "admin")) get leases.leaderelection.600lyy.io -A\n"
        return text + "\nCtrl-C ends it all."
    }
}

internal import Platform
internal import Support

/// One cluster: its processes, the ways from its controllers to the store, and those from its webhooks to its controllers.
final class ChaosCluster: Sendable {
    /// Two of each: one controller is active and one stands by; a client's question goes to either webhook.
    private static let replicas = 1...2

    let name: String
    let processes: [ChaosProcess]
    let doors: [Door]
    private let links: [Link: [FaultProxy]]
    private let impairments = Locked(Impairments())

    enum Link: String, Hashable, Sendable, CaseIterable {
        case store = "the store"
        case grants = "its own controllers"
    }

    /// What is wrong with a way.
    struct Impairment: Sendable {
        let link: Link
        var requests = FaultProxy.Passage()
        var answers = FaultProxy.Passage()
    }

    private struct Impairments {
        var last = 0
        var now: [Int: Impairment] = [:]
    }

    /// What all clusters share.
    struct Site {
        let emulator: GCSEmulator
        let ledger: Ledger
        /// Of the clusters that share a directory.
        let fileLedger: Ledger
        /// Of the first cluster; nil: none has one.
        let apiServer: ChaosAPIServer?
        let tellsMetrics: Bool
        let certificates: ChaosCertificates
        let directory: TemporaryDirectory
        /// nil: in `directory`.
        let logs: String?
        let seed: UInt64
    }

    init(_ name: String, at site: Site) throws {
        self.name = name
        let ports = try Self.replicas.map { _ in try FreePort.any() }
        let storeProxies = try ports.map { try FaultProxy(to: site.emulator.port, seed: site.seed ^ UInt64($0)) }
        let grantProxies = try ports.map { try FaultProxy(to: $0, seed: site.seed ^ UInt64($0)) }
        links = [.store: storeProxies, .grants: grantProxies]

        let apiServer = name == ChaosSettings.clusters[0] ? site.apiServer : nil
        let namespaces = apiServer?.arguments ?? ChaosSettings.namespaces.flatMap { ["--namespace", $0] }
        let controllers = try Self.replicas.map { replica in
            let process = "\(name)-controller-\(replica)"
            return try ChaosProcess(
                process, of: name, .controller,
                Self.common(name, site) + [
                    "--store", "gs://\(ChaosSettings.bucket)", "--grants-bind-address",
                    "127.0.0.1:\(ports[replica - 1])",
                ] + namespaces + ChaosSettings.timing,
                environment: [
                    "STORAGE_EMULATOR_HOST": "http://127.0.0.1:\(storeProxies[replica - 1].port)/client/\(process)"
                ].merging(apiServer?.environment ?? [:]) { $1 }, logs: site.logs, tellsMetrics: site.tellsMetrics,
                in: site.directory)
        }
        let webhooks = try Self.replicas.map { replica in
            let port = try FreePort.any()
            let process = try ChaosProcess(
                "\(name)-webhook-\(replica)", of: name, .webhook,
                Self.common(name, site) + [
                    "--bind-address", "127.0.0.1:\(port)", "--tls-certificate", site.certificates.tls, "--tls-key",
                    site.certificates.tls,
                ] + grantProxies.flatMap { ["--grants-address", "127.0.0.1:\($0.port)"] }, environment: [:],
                logs: site.logs, tellsMetrics: site.tellsMetrics, in: site.directory)
            let door = try Door(
                process.name, of: name, port: port, authority: site.certificates.authority, ledger: site.ledger)
            return (process, door)
        }
        processes = controllers + webhooks.map(\.0)
        doors = webhooks.map(\.1)
    }

    /// One that is a single process, and shares a directory with others of its kind.
    init(ofFiles name: String, at site: Site) throws {
        self.name = name
        links = [:]
        let port = try FreePort.any()
        let process = try ChaosProcess(
            "\(name)-run", of: name, .run,
            [
                "--cluster", name, "--state-directory", site.directory.file(name), "--health-probe-bind-address", "0",
                "--store", "file://\(site.directory.file("store"))", "--bind-address", "127.0.0.1:\(port)",
                "--tls-certificate", site.certificates.tls, "--tls-key", site.certificates.tls,
            ] + ChaosSettings.namespaces.flatMap { ["--namespace", $0] } + ChaosSettings.timing, environment: [:],
            logs: site.logs, tellsMetrics: site.tellsMetrics, in: site.directory)
        processes = [process]
        doors = [
            try Door(
                process.name, of: name, port: port, authority: site.certificates.authority, ledger: site.fileLedger)
        ]
    }

    private static func common(_ name: String, _ site: Site) -> [String] {
        [
            "--cluster", name, "--state-directory", site.directory.file(name), "--health-probe-bind-address", "0",
            "--grants-ca-file", site.certificates.authorityFile, "--grants-cert-file",
            site.certificates.grants, "--grants-key-file", site.certificates.grants,
        ]
    }

    /// - Parameter active: the name of the controller that is active.
    func processes(_ part: Fault.Part, active: String?) -> [ChaosProcess] {
        let controllers = processes.filter { $0.role == .controller }
        let webhooks = processes.filter { $0.role == .webhook }
        return switch part {
        case _ where links.isEmpty: processes
        case .everything: processes
        case .activeController: [controllers.first { $0.name == active } ?? controllers[0]]
        case .controllers: controllers
        case .webhook: [webhooks[0]]
        case .webhooks: webhooks
        }
    }

    // MARK: - The ways

    /// - Returns: a number for ``mend(_:)``.
    func impair(_ impairment: Impairment) -> Int {
        impairments.withLock { state in
            state.last += 1
            state.now[state.last] = impairment
            apply(state.now)
            return state.last
        }
    }

    func mend(_ id: Int) {
        impairments.withLock { state in
            state.now[id] = nil
            apply(state.now)
        }
    }

    func resetConnections(_ link: Link) {
        for proxy in links[link] ?? [] { proxy.resetConnections() }
    }

    /// The worst of all.
    private func apply(_ impairments: [Int: Impairment]) {
        for (link, proxies) in links {
            let all = impairments.values.filter { $0.link == link }
            for proxy in proxies {
                proxy.requests = all.reduce(FaultProxy.Passage()) { $0.worse(of: $1.requests) }
                proxy.answers = all.reduce(FaultProxy.Passage()) { $0.worse(of: $1.answers) }
            }
        }
    }
}

extension FaultProxy.Passage {
    fileprivate func worse(of other: Self) -> Self {
        var worse = self
        worse.isBlocked = isBlocked || other.isBlocked
        worse.delay = max(delay, other.delay)
        worse.bytesPerSecond = [bytesPerSecond, other.bytesPerSecond].compactMap { $0 }.min()
        worse.lossPercent = max(lossPercent, other.lossPercent)
        worse.resetPercent = max(resetPercent, other.resetPercent)
        return worse
    }
}

import FoundationEssentials
import Glibc
import Platform
import Support
import Testing

/// Clusters with Leasehold, each a real API server with `leasehold run` beside it, that share a bucket.
final class Fleet: Sendable {
    static let bucket = "leases"
    /// As short as the rules of the protocol and of Cloud Storage allow, so that no test waits for long.
    static let timing = [
        "--lease-duration", "7s", "--renew-interval", "2s", "--poll-interval", "2s", "--store-timeout", "2s",
        "--grant-duration", "1s", "--commit-margin", "500ms",
    ]
    /// For tests in which no lease is to run out, however slow the machine.
    static let patience = ["--lease-duration", "120s"]

    let emulator: GCSEmulator
    let clusters: [TestCluster]

    /// Starts the API servers with all that is installed, but no Leasehold yet.
    static func install(_ names: [String] = ["east", "west"]) async throws -> Fleet {
        let emulator = try GCSEmulator(bucket: bucket)
        let clusters = try await withThrowingTaskGroup(of: TestCluster.self) { group in
            for name in names { group.addTask { try await TestCluster(name, emulator) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        return Fleet(emulator, clusters.sorted { $0.name < $1.name })
    }

    /// All of it, with the first cluster leading `team-a` and the others knowing.
    static func start(_ names: [String] = ["east", "west"], _ arguments: [String] = []) async throws -> Fleet {
        let fleet = try await install(names)
        try await fleet.clusters[0].start(arguments)
        try await fleet.clusters[0].waitUntilLeads("team-a")
        for cluster in fleet.clusters.dropFirst() {
            try await cluster.start(arguments)
            try await cluster.waitUntilSaw(names[0], lead: "team-a")
        }
        return fleet
    }

    private init(_ emulator: GCSEmulator, _ clusters: [TestCluster]) {
        self.emulator = emulator
        self.clusters = clusters
    }

    subscript(_ name: String) -> TestCluster { clusters.first { $0.name == name }! }

    /// Ends every Leasehold in good order.
    func end() async {
        for cluster in clusters { cluster.process?.send(SIGTERM) }
        for cluster in clusters {
            if let process = cluster.process { #expect(await process.exitCode() == 0, "\(process.err)") }
        }
    }
}

/// One cluster of a ``Fleet``.
final class TestCluster: Sendable {
    let name: String
    let plane: ControlPlane
    /// The kubeconfig of the sample's operator, a service account of `team-a`.
    let operatorOfTeamA: String
    /// Where its webhook is served.
    let port: UInt16
    let healthPort: UInt16
    private let emulator: GCSEmulator
    private let running = Locked<ChildProcess?>(nil)

    init(_ name: String, _ emulator: GCSEmulator) async throws {
        self.name = name
        self.emulator = emulator
        port = try FreePort.any()
        healthPort = try FreePort.any()
        plane = try await ControlPlane.start(name)
        try await plane.installLeasehold(servingAt: port)
        operatorOfTeamA = try await plane.serviceAccount("guestbook-operator", in: "team-a")
    }

    var process: ChildProcess? { running.withLock { $0 } }
    var log: String { process?.err ?? "" }

    /// Starts `leasehold run`; later arguments override earlier ones.
    func start(_ arguments: [String] = [], kubeconfig: String? = nil) async throws {
        let process = try await plane.startLeasehold(
            servingAt: port,
            ["--store", "gs://\(Fleet.bucket)"] + Fleet.timing
                + ["--health-probe-bind-address", "127.0.0.1:\(healthPort)"] + arguments,
            environment: ["STORAGE_EMULATOR_HOST": emulator.url(for: name)], kubeconfig: kubeconfig)
        running.withLock { $0 = process }
    }

    /// Ends it without a word.
    func kill() async {
        process?.send(SIGKILL)
        _ = await process?.exitCode()
        running.withLock { $0 = nil }
    }

    /// Ends it in good order.
    func stop() async {
        process?.send(SIGTERM)
        if let process { #expect(await process.exitCode() == 0, "\(process.err)") }
        running.withLock { $0 = nil }
    }

    // MARK: - What people see

    /// One field of a namespace's Lease object, by JSONPath; empty: it is not there.
    func lease(_ path: String, in namespace: String = "team-a") async throws -> String {
        try await plane.kubectl(
            "get", "leases.leaderelection.600lyy.io", "lease-gsc", "--namespace", namespace, "--output",
            "jsonpath={\(path)}"
        ).out
    }

    func waitUntilLeads(_ namespace: String) async throws {
        try await until("\(name) leads \(namespace)") {
            try await self.lease(".status.isLeader", in: namespace) == "true"
        }
    }

    func waitUntilSaw(_ holder: String, lead namespace: String) async throws {
        try await until("\(name) knows that \(holder) leads \(namespace)") {
            try await self.lease(".status.observedHolderIdentity", in: namespace) == holder
        }
    }

    /// As ``eventually(_:_:)``, but at once, and with the log, when this cluster's Leasehold ends.
    func until(_ what: String, _ condition: @escaping () async throws -> Bool) async throws {
        do {
            try await eventually(what) {
                if let process, process.hasExited { throw ChildProcess.Failure("leasehold run has ended") }
                return try await condition()
            }
        } catch {
            throw ChildProcess.Failure("\(what): \(error)\nThe log of \(name):\n\(log)")
        }
    }

    // MARK: - Guarded writes

    /// What kubectl says as the sample's operator.
    func asOperator(_ arguments: String..., input: String? = nil) async throws -> ControlPlane.Outcome {
        try await plane.kubectl(arguments, as: operatorOfTeamA, input: input)
    }

    static let guestbook = ControlPlane.projectFile("config/samples/guestbook.yaml")

    /// Whether the operator's write would be admitted now.
    func admits() async throws -> Bool { try await tryAsOperator().code == 0 }

    /// What the operator is told who only tries to write: something new, since kubectl applies no change without asking.
    func tryAsOperator() async throws -> ControlPlane.Outcome {
        try await asOperator(
            "create", "--dry-run=server", "--filename", "-",
            input: """
                {"apiVersion": "webapp.my.domain/v1", "kind": "Guestbook", "metadata": {"generateName": "try-"}}
                """)
    }
}

import Election
import FoundationEssentials
import Glibc
import HTTP
import Platform
import Support
import Testing

/// A cluster as its Deployments run it, two controllers and two webhooks behind a Service, beside one that competes.
final class RollingFleet: Sendable {
    /// A write that the store took.
    enum Event: Hashable, Sendable {
        /// By an incarnation of the cluster.
        case member(incarnation: String, MemberRecord.State)
        case lease(holder: String, incarnation: String)

        var isLease: Bool { if case .lease = self { true } else { false } }
    }

    static let namespace = "team-a"
    private static let bucket = "leases"
    /// As of a bucket in the same region.
    private static let storeDelay = Duration.milliseconds(30)

    private let emulator: GCSEmulator
    private let directory: TemporaryDirectory
    private let timing: [String]
    private let events = Locked<[(at: ContinuousClock.Instant, Event)]>([])
    /// Where controllers serve grants: those that run, and one in addition while they are replaced.
    private let grantPorts: [UInt16]
    private let state = Locked(State())

    private struct State {
        var rival: Replica?
        var controllers: [Replica] = []
        var webhooks: [Replica] = []
    }

    struct Replica: Sendable {
        let process: ChildProcess
        /// Of the grants or of the admissions.
        let port: UInt16
        private let healthPort: UInt16

        fileprivate init(
            _ arguments: [String], port: UInt16, environment: [String: String], in directory: TemporaryDirectory
        ) throws {
            self.port = port
            healthPort = try FreePort.any()
            process = try ChildProcess(
                leasehold: arguments + [
                    "--health-probe-bind-address", "127.0.0.1:\(healthPort)", "--metrics-bind-address", "0",
                ], environment: environment.merging(["LEASEHOLD_STATE_DIRECTORY": directory.path]) { $1 },
                in: directory)
        }

        var isReady: Bool {
            get async {
                let probe = HTTPRequest(.get, "http://127.0.0.1:\(healthPort)/readyz", timeout: .seconds(60))
                return (try? await HTTPClient().send(probe))?.status == 200
            }
        }

        func waitUntilReady() async throws {
            do {
                try await eventually("it is ready") {
                    guard !process.hasExited else { throw ChildProcess.Failure("it has ended") }
                    return await isReady
                }
            } catch {
                throw ChildProcess.Failure("\(error); its log:\n\(process.err)")
            }
        }
    }

    /// - Parameter timing: flags of the controllers; none: the defaults.
    static func start(_ timing: [String] = []) async throws -> RollingFleet {
        let start = ContinuousClock.now
        let fleet = try RollingFleet(timing)
        for _ in 0..<2 {
            let controller = try fleet.startController()
            try await controller.waitUntilReady()
        }
        for _ in 0..<2 { try await fleet.startWebhook().waitUntilReady() }
        try await eventually("east leads") { !fleet.events(since: start).filter(\.1.isLease).isEmpty }
        try await fleet.startRival().waitUntilReady()
        return fleet
    }

    private init(_ timing: [String]) throws {
        self.timing = timing
        directory = try TemporaryDirectory()
        emulator = try GCSEmulator(bucket: Self.bucket)
        // As Cloud Storage says that it may.
        emulator.limitsMutations = true
        emulator.inject(.delay(Self.storeDelay), count: nil)
        grantPorts = try (0..<3).map { _ in try FreePort.any() }
        emulator.watchWrites { [events] request, body in
            let event: Event
            if request.object == "members/east", let record = try? MemberRecord(parsing: body, ofCluster: "east") {
                event = .member(incarnation: record.incarnation, record.state)
            } else if request.object == "leases/\(Self.namespace)", let record = try? LeaseRecord(parsing: body) {
                event = .lease(holder: record.holderIdentity, incarnation: record.incarnation)
            } else {
                return
            }
            events.withLock { $0.append((.now, event)) }
        }
    }

    private func controller(_ cluster: String, port: UInt16) throws -> Replica {
        try Replica(
            [
                "controller", "--cluster", cluster, "--namespace", Self.namespace, "--store", "gs://\(Self.bucket)",
                "--grants-bind-address", "127.0.0.1:\(port)",
            ] + timing, port: port, environment: ["STORAGE_EMULATOR_HOST": emulator.url(for: cluster)], in: directory)
    }

    private func startController() throws -> Replica {
        let used = controllers.map(\.port)
        let port = try #require(grantPorts.first { !used.contains($0) })
        let controller = try controller("east", port: port)
        state.withLock { $0.controllers.append(controller) }
        return controller
    }

    private func startRival() throws -> Replica {
        let rival = try controller("west", port: FreePort.any())
        state.withLock { $0.rival = rival }
        return rival
    }

    private func startWebhook() throws -> Replica {
        let port = try FreePort.any()
        let webhook = try Replica(
            ["webhook", "--cluster", "east", "--bind-address", "127.0.0.1:\(port)", "--shutdown-delay", "5s"]
                + grantPorts.flatMap { ["--grants-address", "127.0.0.1:\($0)"] }, port: port, environment: [:],
            in: directory)
        state.withLock { $0.webhooks.append(webhook) }
        return webhook
    }

    private var controllers: [Replica] { state.withLock { $0.controllers } }
    var webhooks: [Replica] { state.withLock { $0.webhooks } }

    var authority: String { "\(directory.path)/clusters/east/tls/ca.crt" }

    func events(since start: ContinuousClock.Instant) -> [(at: ContinuousClock.Instant, Event)] {
        events.withLock { $0.filter { $0.at >= start } }
    }

    /// How often the store refused a write because the one before was less than a second ago.
    func refusals(since start: ContinuousClock.Instant) -> Int {
        emulator.requests().count { $0.time >= start && $0.client == "east" && $0.status == 429 }
    }

    // MARK: - Rolling updates

    /// What a Deployment does with maxSurge 1 and maxUnavailable 0, under load.
    ///
    /// - Returns: when each old replica was told to end.
    func rollControllers(under load: ServiceLoad) async throws -> [ContinuousClock.Instant] {
        var ends: [ContinuousClock.Instant] = []
        for old in controllers {
            try await startController().waitUntilReady()
            try await load.untilAdmitted()
            state.withLock { $0.controllers.removeAll { $0.port == old.port } }
            // Wherever it is between two heartbeats.
            try await Task.sleep(for: .milliseconds(Int.random(in: 0..<3000)), clock: .continuous)
            ends.append(.now)
            try await end(old)
            // The next one in time: each has its own measure.
            try await load.untilAdmitted()
        }
        return ends
    }

    /// - Returns: as ``rollControllers(under:)``.
    func rollWebhooks(under load: ServiceLoad) async throws -> [ContinuousClock.Instant] {
        var ends: [ContinuousClock.Instant] = []
        for old in webhooks {
            let new = try startWebhook()
            try await new.waitUntilReady()
            load.ports.append(new.port)
            try await load.untilAdmitted()
            state.withLock { $0.webhooks.removeAll { $0.port == old.port } }
            ends.append(.now)
            old.process.send(SIGTERM)
            // The kubelet does not wait for those who lead connections to it; this is how much later they are.
            try await Task.sleep(for: .seconds(1), clock: .continuous)
            load.ports.removeAll { $0 == old.port }
            #expect(await old.process.exitCode() == 0, "\(old.process.err)")
        }
        return ends
    }

    private func end(_ replica: Replica) async throws {
        replica.process.send(SIGTERM)
        #expect(await replica.process.exitCode() == 0, "\(replica.process.err)")
    }

    func end() async throws {
        for replica in webhooks + controllers + [state.withLock { $0.rival }].compactMap(\.self) {
            try await end(replica)
        }
    }

    var logs: String {
        (controllers + webhooks).map { "The log of the replica at \($0.port):\n\($0.process.err)" }
            .joined(separator: "\n")
    }
}

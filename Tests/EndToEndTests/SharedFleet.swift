import Election
import Glibc
import HTTP
import Support
import Testing

/// Two clusters for all tests of a suite, which run one after the other and leave them in any state.
struct SharedFleet: Sendable {
    /// Of the suite that runs.
    @TaskLocal fileprivate static var current: SharedFleet?

    let fleet: Fleet
    /// Of every `leasehold run`, beside the usual ones.
    let arguments: [String]

    /// Which of them leads `team-a`, and which knows that; after everything that an earlier test left broken is mended.
    struct Roles: Sendable {
        let fleet: Fleet
        let arguments: [String]
        let leader: TestCluster
        let other: TestCluster

        var emulator: GCSEmulator { fleet.emulator }
    }

    static func settled() async throws -> Roles { try await running().settle() }

    /// For suites whose tests leave it as they found it: the first cluster leads `team-a`, and every Leasehold runs.
    static func fleet() throws -> Fleet { try running().fleet }

    private static func running() throws -> SharedFleet {
        guard let current else { throw ChildProcess.Failure("the suite has no fleet: give it the trait .fleet()") }
        return current
    }

    private func settle() async throws -> Roles {
        try await mend()
        for cluster in fleet.clusters {
            try await cluster.until("\(cluster.name) is ready") { try await cluster.readiness().isReady }
        }
        if try fleet.record().preferredHolder != nil {
            try await fleet.clusters[0].askForTransfer(to: "")
            try await fleet.clusters[0].until("nobody is preferred") { try fleet.record().preferredHolder == nil }
        }
        var leader: TestCluster?
        try await eventually("one cluster leads and both know") {
            leader = nil
            let holder = try fleet.record().holderIdentity
            guard let found = fleet.clusters.first(where: { $0.name == holder }),
                try await found.lease(".status.isLeader") == "true", try await found.opinion().isAdmitted
            else { return false }
            for cluster in fleet.clusters {
                guard try await cluster.lease(".status.observedHolderIdentity") == found.name else { return false }
            }
            leader = found
            return true
        }
        guard let leader, let other = fleet.clusters.first(where: { $0.name != leader.name }) else {
            throw ChildProcess.Failure("a fleet of two clusters has a leader and another")
        }
        return Roles(fleet: fleet, arguments: arguments, leader: leader, other: other)
    }

    private func mend() async throws {
        fleet.emulator.removeFaults()
        fleet.emulator.isDown = false
        for cluster in fleet.clusters {
            cluster.plane.thawServer()
            // etcd runs always.
            if cluster.plane.pids.count < 2 { try await cluster.plane.startServer() }
            cluster.process?.send(SIGCONT)
            if cluster.process?.hasExited ?? true { try await cluster.start(arguments) }
        }
    }

    fileprivate func end() async {
        // What is frozen could not end.
        for cluster in fleet.clusters { cluster.process?.send(SIGCONT) }
        await fleet.end()
    }
}

/// Starts a ``SharedFleet`` for a suite.
struct FleetTrait: SuiteTrait, TestScoping {
    let arguments: [String]

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let shared = SharedFleet(fleet: try await Fleet.start(["east", "west"], arguments), arguments: arguments)
        try await SharedFleet.$current.withValue(shared, operation: function)
        await shared.end()
    }
}

extension Trait where Self == FleetTrait {
    /// Two clusters for the suite; see ``SharedFleet/settled()``.
    ///
    /// - Parameter arguments: for every `leasehold run`; they override those of ``Fleet``.
    static func fleet(_ arguments: [String] = []) -> FleetTrait { FleetTrait(arguments: arguments) }
}

// MARK: - What these tests ask

extension Fleet {
    /// The lease of `team-a`, as it lies in the store.
    func record() throws -> LeaseRecord {
        try LeaseRecord(parsing: emulator.body(of: "leases/team-a", in: Self.bucket) ?? [])
    }
}

extension TestCluster {
    /// What its webhook says now.
    func opinion() async throws -> AdmissionDoor.Answer { await (try AdmissionDoor.webhook(of: self)).ask() }

    /// What `/readyz?verbose` says.
    func readiness() async throws -> (isReady: Bool, text: String) {
        do throws(HTTPError) {
            let answer = try await HTTPClient().send(
                HTTPRequest(.get, "http://127.0.0.1:\(healthPort)/readyz?verbose"))
            return (answer.status == 200, String(decoding: answer.body, as: UTF8.self))
        } catch {
            return (false, "\(error)")
        }
    }

    /// - Parameter cluster: empty: the wish is taken back.
    func askForTransfer(to cluster: String) async throws {
        try await plane.run(
            "annotate", "--overwrite", "leases.leaderelection.600lyy.io", "lease-gsc", "--namespace", "team-a",
            "leaderelection.600lyy.io/transfer-to=\(cluster)")
    }
}

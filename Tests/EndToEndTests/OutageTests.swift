import Support
import Testing

/// What outages cost that end in time, and what those cost that do not.
///
/// With a lease of 20 s, so that a window of 20 s · 0.99 less the margin of 0.5 s, 19.3 s, has room for an outage, the renew
/// interval of 2 s before it, tries of 2 s after it, and what a busy machine adds.
///
/// An API server that comes back may need a minute until it answers, on a machine that many of them share.
@Suite(.serialized, .fleet(["--lease-duration", "20s", "--api-loss-timeout", "3m"])) struct OutageTests {
    private static let outageMax = Duration.seconds(5)

    // MARK: - The API server

    @Test func `an API server that is down for 30 s costs no leadership, and its objects catch up`() async throws {
        let roles = try await SharedFleet.settled()
        let leader = roles.leader
        let record = try roles.fleet.record()
        let (term, transitions) = try await (leader.lease(".status.term"), leader.lease(".status.leaseTransitions"))
        let hammer = try AdmissionHammer(leader, roles.other)
        try await hammer.untilAdmits(leader)

        let down = ContinuousClock.now
        await leader.plane.killServer()
        // The length is what this is about.
        try await Task.sleep(for: .seconds(30), clock: .continuous)
        let readiness = try await leader.readiness()
        #expect(!readiness.isReady && readiness.text.contains("has not answered for"), "\(readiness)\n\(leader.log)")
        try await leader.plane.startServer()

        // What the objects say now is from before.
        let old = try await (leader.lease(".status.observedRenewTime"), Self.ownLease(of: leader))
        try await leader.until("the observed renew time is fresh") {
            try await leader.lease(".status.observedRenewTime") > old.0
        }
        try await leader.until("the controller's own Lease is renewed") { try await Self.ownLease(of: leader) > old.1 }
        try await leader.until("\(leader.name) is ready") { try await leader.readiness().isReady }
        try await hammer.untilAdmits(leader)

        let answers = await hammer.stop()
        answers.expectTurns([leader])
        answers.expectAdmitted(by: leader, .webhook, sentAfter: down)
        #expect(try roles.fleet.record() == record)
        #expect(try await leader.lease(".status.term") == term)
        #expect(try await leader.lease(".status.leaseTransitions") == transitions)
        #expect(!leader.log.contains("gives everything back"))
    }

    private static func ownLease(of cluster: TestCluster) async throws -> String {
        try await cluster.plane.run(
            "get", "leases.coordination.k8s.io", "leader-election-controller", "--namespace",
            ControlPlane.systemNamespace, "--output", "jsonpath={.spec.renewTime}")
    }

    // MARK: - The store

    @Test func `a store that is down for less than a lease costs nothing`() async throws {
        let roles = try await SharedFleet.settled()
        let (leader, emulator) = (roles.leader, roles.emulator)
        let record = try roles.fleet.record()
        let hammer = try AdmissionHammer(leader, roles.other)
        try await hammer.untilAdmits(leader)

        let down = ContinuousClock.now
        emulator.isDown = true
        try await Task.sleep(for: Self.outageMax, clock: .continuous)
        emulator.isDown = false
        let mark = emulator.mark
        try await leader.until("a heartbeat succeeds") {
            emulator.requests(since: mark).contains { $0.isHeartbeat(of: leader) && $0.status == 200 }
        }
        try await hammer.untilAdmits(leader)

        let answers = await hammer.stop()
        answers.expectTurns([leader])
        answers.expectAdmitted(by: leader, .webhook, sentAfter: down)
        #expect(try roles.fleet.record() == record)
    }

    @Test func `while a store is down for longer nobody leads, and all goes on by itself when it is back`() async throws
    {
        let roles = try await SharedFleet.settled()
        let (leader, other, emulator) = (roles.leader, roles.other, roles.emulator)
        let term = try roles.fleet.record().term
        let pids = roles.fleet.clusters.map { $0.process?.pid }
        let hammer = try AdmissionHammer(leader, other)
        try await hammer.untilAdmits(leader)

        emulator.isDown = true
        // By both doors: an API server passes the webhook's code and the time to wait on.
        try await hammer.until(leader, "\(leader.name) denies for now") {
            $0.verdict == .denied(code: 503, retryAfterSeconds: 1)
        }
        let lapsed = ContinuousClock.now
        for cluster in roles.fleet.clusters {
            try await cluster.until("\(cluster.name) is not ready") {
                let readiness = try await cluster.readiness()
                return !readiness.isReady && readiness.text.contains("the store has not answered for")
            }
            try await cluster.until("the condition of \(cluster.name) tells") {
                try await cluster.lease(Self.storeReachable) == "False"
            }
        }
        try await leader.until("the status of \(leader.name) tells") {
            try await leader.lease(".status.isLeader") == "false"
        }
        let during = hammer.record
        for cluster in roles.fleet.clusters { during.expectDenied(by: cluster, .webhook, sentAfter: lapsed) }

        emulator.isDown = false
        try await leader.until("somebody leads again") {
            hammer.record.tenures.contains { $0.last.sent > lapsed }
        }
        for cluster in roles.fleet.clusters {
            try await cluster.until("\(cluster.name) is ready") { try await cluster.readiness().isReady }
            try await cluster.until("the condition of \(cluster.name) tells") {
                try await cluster.lease(Self.storeReachable) == "True"
            }
        }
        let record = try roles.fleet.record()
        #expect(record.term > term)
        let successor = record.holderIdentity == leader.name ? [leader] : [leader, other]
        await hammer.stop().expectTurns(successor)
        #expect(roles.fleet.clusters.map { $0.process?.pid } == pids, "without a restart")
    }

    private static let storeReachable = #".status.conditions[?(@.type=="StoreReachable")].status"#

    // MARK: - Faults of the store

    /// What a store may do to some requests.
    enum Trouble: String, CaseIterable, CustomTestStringConvertible {
        case answersLate = "answered slowly"
        case actsTooLate = "acted upon after the time-out"
        case tooMany = "answered with 429"
        case unavailable = "answered with 503"
        case unavailableAfterActing = "acted upon and answered with 503"
        case losesAnswers = "acted upon and not answered"
        case cutsAnswers = "answered by half"
        case garblesAnswers = "answered with nonsense"

        var testDescription: String { rawValue }

        var effect: GCSEmulator.Effect {
            switch self {
            case .answersLate: .delayAnswer(.seconds(1))
            case .actsTooLate: .delay(.seconds(4))
            case .tooMany: .answer(429, retryAfter: 1)
            case .unavailable: .answer(503)
            case .unavailableAfterActing: .answer(503, acting: true)
            case .losesAnswers: .loseAnswer
            case .cutsAnswers: .cutAnswer
            case .garblesAnswers: .garbleAnswer
            }
        }

        /// How many requests in a row; each costs up to the time-out of 2 s.
        static let count = 2
    }

    @Test(arguments: Trouble.allCases) func `a leader leads on when heartbeats are`(trouble: Trouble) async throws {
        let roles = try await SharedFleet.settled()
        let (leader, emulator) = (roles.leader, roles.emulator)
        let record = try roles.fleet.record()
        let hammer = try AdmissionHammer(leader, roles.other)
        try await hammer.untilAdmits(leader)

        let start = ContinuousClock.now
        let mark = emulator.mark
        emulator.inject(trouble.effect, count: Trouble.count) { $0.isHeartbeat(of: leader) }
        try await leader.until("a heartbeat succeeds after \(Trouble.count) that were \(trouble.rawValue)") {
            let heartbeats = emulator.requests(since: mark).filter { $0.isHeartbeat(of: leader) }
            return heartbeats.count > Trouble.count && heartbeats.max { $0.time < $1.time }?.status == 200
        }
        try await hammer.untilAdmits(leader)

        let answers = await hammer.stop()
        answers.expectTurns([leader])
        answers.expectAdmitted(by: leader, .webhook, sentAfter: start)
        #expect(try roles.fleet.record() == record)
    }

    @Test(arguments: Trouble.allCases) func `a handover leads to one leader when writes of the lease are`(
        trouble: Trouble
    ) async throws {
        let roles = try await SharedFleet.settled()
        let (leader, other, emulator) = (roles.leader, roles.other, roles.emulator)
        let hammer = try AdmissionHammer(leader, other)
        try await hammer.untilAdmits(leader)

        // The other writes that it wants the lease, the leader frees it when the grants have ended, the other claims it.
        let mark = emulator.mark
        for (cluster, count) in [(leader, 1), (other, Trouble.count)] {
            emulator.inject(trouble.effect, count: count) { $0.isLeaseWrite(of: cluster) }
        }
        // By a command, whose own requests are not in trouble.
        let transfer = try ChildProcess(
            leasehold: ["transfer", "team-a", "--to", other.name, "--store", "gs://\(Fleet.bucket)"],
            environment: ["STORAGE_EMULATOR_HOST": emulator.url], in: other.plane.directory)
        #expect(await transfer.exitCode() == 0, "\(transfer.err)")
        try await hammer.untilAdmits(other)
        try await hammer.until(leader, saysThatLeads: other)
        for cluster in roles.fleet.clusters {
            #expect(emulator.requests(since: mark).contains { $0.isLeaseWrite(of: cluster) }, "nothing was in trouble")
        }
        let answers = await hammer.stop()
        answers.expectNoOverlap(of: roles.fleet.clusters)
        #expect(answers.tenures.first?.cluster == leader.name)
        #expect(answers.tenures.last?.cluster == other.name)
    }
}

extension GCSRequest {
    fileprivate func isHeartbeat(of cluster: TestCluster) -> Bool {
        kind == .write && client == cluster.name && object == "members/\(cluster.name)"
    }

    fileprivate func isLeaseWrite(of cluster: TestCluster) -> Bool {
        kind == .write && client == cluster.name && object == "leases/team-a"
    }
}

import Glibc
import Support
import Testing

/// What becomes of a namespace when its leader dies, sleeps, loses the store, or is asked to hand over; with both clusters
/// asked for admission all the time.
@Suite(.serialized, .fleet()) struct FailoverTests {
    /// Of ``Fleet/timing``.
    private static let leaseDuration = Duration.seconds(7)
    /// The protocol's bound from the end of faults to a leader, D·(1+rho) + two poll intervals + the request time-out, and
    /// what a busy machine may add.
    private static let failoverMax = leaseDuration * 1.01 + .seconds(2) * 2 + .seconds(2) + .seconds(20)

    @Test func `when a leader's controller is killed, the other cluster leads after one lease duration`() async throws {
        let roles = try await SharedFleet.settled()
        let (leader, other, emulator) = (roles.leader, roles.other, roles.emulator)
        let term = try roles.fleet.record().term
        let hammer = try AdmissionHammer(leader, other)
        try await hammer.untilAdmits(leader)

        let mark = emulator.mark
        await leader.kill()
        let killed = ContinuousClock.now
        try await hammer.untilAdmits(other)

        // Not before the old leader's window must have ended, whatever its clock was like.
        let record = try roles.fleet.record()
        #expect(record.holderIdentity == other.name)
        #expect(record.term == term + 1)
        let writes = emulator.requests().filter { $0.kind == .write && $0.status == 200 }
        let heartbeat = try #require(
            writes.last { $0.client == leader.name && $0.object == "members/\(leader.name)" }, "\(leader.log)")
        let claim = try #require(
            emulator.requests(since: mark).first {
                $0.kind == .write && $0.client == other.name && $0.object == "leases/team-a"
            }, "\(other.log)")
        #expect(claim.time - heartbeat.time >= Self.leaseDuration, "\(other.log)")
        #expect(claim.time - killed <= Self.failoverMax, "\(other.log)")

        // The one that returns finds its successor, and does not take anything back.
        try await leader.start(roles.arguments)
        for cluster in roles.fleet.clusters {
            try await cluster.until("\(cluster.name)'s table shows that \(other.name) leads") {
                let table = try await cluster.plane.run("get", "leases.leaderelection.600lyy.io", "--all-namespaces")
                let row = table.split(separator: "\n").first { $0.hasPrefix("team-a ") } ?? ""
                let leads = cluster.name == other.name ? "true" : "false"
                return row.split(separator: " ").prefix(4) == ["team-a", "lease-gsc", leads[...], other.name[...]]
            }
        }
        try await hammer.until(leader, saysThatLeads: other)
        let answers = await hammer.stop()
        answers.expectTurns([leader, other])
        answers.expectDenied(by: leader, .webhook, sentAfter: killed)
        answers.expectDenied(by: leader, .apiServer, sentAfter: killed)
        #expect(try roles.fleet.record().term == term + 1)
    }

    @Test func `a leader that slept past its lease denies with its very first answers`() async throws {
        let roles = try await SharedFleet.settled()
        let (leader, other) = (roles.leader, roles.other)
        let before = try AdmissionHammer(leader, other)
        try await before.untilAdmits(leader)
        // No question is half answered when the leader falls asleep: an answer that it still gives then is an old one.
        var answers = await before.stop()

        let asleep = ContinuousClock.now
        leader.process?.send(SIGSTOP)
        let hammer = try AdmissionHammer(leader, other)
        let door = try AdmissionDoor.webhook(of: leader)
        try await hammer.untilAdmits(other)
        // They wait for it when it wakes; a handshake is given up after ten seconds.
        let waiting = (0..<20).map { _ in Task { await door.ask() } }
        try await Task.sleep(for: .seconds(1), clock: .continuous)
        leader.process?.send(SIGCONT)
        for task in waiting {
            let answer = await task.value
            guard case .denied = answer.verdict else {
                Issue.record("\(answer)\nThe log of \(leader.name):\n\(leader.log)")
                continue
            }
        }
        try await hammer.until(leader, saysThatLeads: other)
        answers.add(await hammer.stop())
        answers.expectTurns([leader, other])
        answers.expectDenied(by: leader, .webhook, sentAfter: asleep)
        answers.expectDenied(by: leader, .apiServer, sentAfter: asleep)
        try await leader.waitUntilSaw(other.name, lead: "team-a")
    }

    @Test func `a leader that the store no longer hears denies by itself before another leads`() async throws {
        let roles = try await SharedFleet.settled()
        let (leader, other, emulator) = (roles.leader, roles.other, roles.emulator)
        let hammer = try AdmissionHammer(leader, other)
        try await hammer.untilAdmits(leader)
        let pid = leader.process?.pid

        emulator.inject(.close, count: nil) { $0.client == leader.name }
        // Nobody is known to lead, so the client is told to try again.
        try await hammer.until(leader, "\(leader.name) denies for now") {
            $0.verdict == .denied(code: 503, retryAfterSeconds: 1)
        }
        try await hammer.untilAdmits(other)
        try await leader.until("\(leader.name) is not ready") {
            let readiness = try await leader.readiness()
            return !readiness.isReady && readiness.text.contains("the store has not answered for")
        }
        emulator.removeFaults()
        try await hammer.until(leader, saysThatLeads: other)
        try await leader.until("\(leader.name) is ready") { try await leader.readiness().isReady }
        await hammer.stop().expectTurns([leader, other])
        #expect(leader.process?.pid == pid, "without a restart")
    }

    @Test func `a planned handover leaves no overlap, and a gap shorter than a lease`() async throws {
        let roles = try await SharedFleet.settled()
        let (leader, other) = (roles.leader, roles.other)
        let term = try roles.fleet.record().term
        let hammer = try AdmissionHammer(leader, other)
        try await hammer.untilAdmits(leader)
        try await leader.askForTransfer(to: other.name)
        try await hammer.untilAdmits(other)
        try await hammer.until(leader, saysThatLeads: other)
        let answers = await hammer.stop()
        answers.expectTurns([leader, other])
        let tenures = answers.tenures
        let gap = try #require(tenures.last?.first.received) - (try #require(tenures.first?.last.sent))
        #expect(gap <= Self.leaseDuration, "\(leader.log)\n\(other.log)")
        #expect(try roles.fleet.record().term == term + 1)
        try await leader.waitUntilSaw(other.name, lead: "team-a")
    }
}

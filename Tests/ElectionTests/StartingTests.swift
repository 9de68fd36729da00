import Election
import Testing

/// Starting, standing by and taking the own member record over.
struct StartingTests {
    private let timing = Timing()

    /// East's second incarnation, started beside this record.
    private func starting(
        uid: String? = nil, state: MemberRecord.State = .live, quiet: Int = 15, takeovers: Int = 0
    ) -> Bench {
        let store = Records()
        store.beat("east", uid: uid, incarnation: "0", state: state, quiet: quiet)
        let bench = Bench(on: store, takeovers: takeovers)
        bench.want("n")
        return bench
    }

    private func hasTakenOver(_ bench: Bench) -> Bool { bench.store.member("east")?.incarnation == "east-1" }

    @Test func `an absent member record is taken over at once`() {
        let bench = Bench()
        bench.want("n")
        #expect(hasTakenOver(bench) && bench.leads("n"))
        #expect(bench.notes.contains(.tookOver(previous: nil, uidChanged: false)))
    }

    @Test(arguments: [MemberRecord.State.handover, .stopped])
    func `a record left behind on purpose is taken over at once`(state: MemberRecord.State) {
        let bench = starting(state: state, quiet: 3)
        #expect(hasTakenOver(bench) && bench.leads("n"))
        #expect(bench.notes.contains(.tookOver(previous: "east-0", uidChanged: false)))
    }

    @Test func `a take-over lets the sequences grow`() throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .stopped, quiet: 0, leaseSequence: 41)
        let before = try #require(store.member("east"))
        let bench = Bench(on: store)
        bench.holds = { !$0.isMemberWrite && $0.isWrite }
        bench.tick()
        let after = try #require(store.member("east"))
        #expect(after.leaseSequence > before.leaseSequence && after.sequence > before.sequence)
    }

    @Test(arguments: [(UInt64.max, 1), (1, .max), (.max - 1, 1)] as [(UInt64, UInt64)])
    func `a record whose sequences cannot grow is foreign`(sequence: UInt64, leaseSequence: UInt64) throws {
        let store = Records()
        let record = MemberRecord(
            cluster: "east", uid: "uid-of-east", incarnation: "east-0", sequence: sequence, state: .stopped,
            quietSeconds: 0, leaseSequence: leaseSequence, renewTime: "", renewIntervalSeconds: 3)
        let version = store.put(.member("east"), record.encoded())
        let bench = Bench(on: store)
        bench.tick()
        #expect(bench.ending != nil && store.version(.member("east")) == version)
    }

    @Test func `a standby reads the record every second`() {
        let bench = starting()
        bench.forget()
        bench.run(for: .seconds(5))
        #expect(bench.sent.count == 5)
        #expect(bench.sent.allSatisfy { $0.isRead(ofMember: "east") })
    }

    @Test func `a standby takes over within a second when the other leaves`() {
        let bench = starting()
        bench.run(for: .seconds(5))
        bench.store.beat("east", incarnation: "0", state: .handover, quiet: 3)
        bench.run(for: .seconds(1))
        #expect(bench.leads("n"))
    }

    @Test(arguments: [(0, 9), (1, 18), (2, 36), (60, 9 << 10)])
    func `a live record must stay unchanged for a time that doubles with each take-over`(takeovers: Int, seconds: Int) {
        let bench = starting(takeovers: takeovers)
        #expect(
            bench.notes == [.standingBy(incarnation: "east-0", takeOverAfter: .seconds(seconds))])
        bench.run(for: .seconds(seconds - 1))
        #expect(!hasTakenOver(bench))
        bench.run(for: .seconds(1))
        #expect(hasTakenOver(bench))
        #expect(bench.elector.takeovers == takeovers + 1)
    }

    @Test func `only take-overs from a live incarnation are counted`() {
        #expect(starting(state: .handover).elector.takeovers == 0)
        #expect(starting(state: .stopped, quiet: 0).elector.takeovers == 0)
    }

    @Test func `an hour without another take-over ends the doubling`() {
        let bench = starting(takeovers: 3)
        bench.run(for: .seconds(72))
        bench.run(for: .seconds(3590))
        #expect(bench.elector.takeovers == 4)
        bench.run(for: .seconds(20))
        #expect(bench.elector.takeovers == 0)
        #expect(bench.leads("n"))
    }

    @Test func `a live record that changes is never taken over`() {
        let bench = starting()
        for _ in 0..<100 {
            bench.run(for: .seconds(3))
            bench.store.beat("east", incarnation: "0")
        }
        #expect(!hasTakenOver(bench) && bench.ending == nil)
        #expect(bench.notes.count == 1, "it says so once")
    }

    @Test func `a wall clock set forward or a suspend does not shorten the standby time`() {
        let bench = starting()
        bench.now.realtime += 3600_000_000_000
        bench.now.boottime += 3600_000_000_000
        bench.tick()
        bench.run(for: .seconds(7))
        #expect(!hasTakenOver(bench))
    }

    @Test func `a take-over that another replica won leads back to standing by`() throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .handover, quiet: 3)
        let bench = Bench(on: store)
        bench.holds = \.isMemberWrite
        bench.want("n")
        let takeover = try bench.only()
        store.beat("east", incarnation: "2")
        bench.answer(takeover)
        #expect(bench.ending == nil)
        #expect(bench.notes.contains { if case .standingBy("east-2", _) = $0 { true } else { false } })
        bench.holds = { _ in false }
        bench.run(for: .seconds(9))
        #expect(hasTakenOver(bench))
    }

    @Test(arguments: [Bench.Outcome.unclear, .unclearButLanded, .failed])
    func `a take-over whose answer is lost is read back and tried again`(outcome: Bench.Outcome) throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .handover, quiet: 3)
        let bench = Bench(on: store)
        bench.holds = \.isMemberWrite
        bench.want("n")
        let takeover = try bench.only()
        bench.holds = { _ in false }
        bench.answer(takeover, outcome)
        bench.run(for: .seconds(1))
        #expect(bench.leads("n"))
        #expect(bench.published.anchor == bench.sentAt[takeover.id] || outcome != .unclearButLanded)
    }

    @Test func `a take-over that lands after very many others were tried is built upon`() throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .handover, quiet: 3)
        let bench = Bench(on: store)
        bench.holds = \.isMemberWrite
        bench.want("n")
        let first = try bench.only()
        for _ in 0..<100 {
            bench.answer(try bench.only(), .unclear)
            bench.run(for: .seconds(1))
        }
        bench.land(first)
        bench.forget()
        for _ in 0..<20 {
            for write in bench.held { bench.answer(write, .unclear) }
            bench.run(for: .milliseconds(100))
        }
        #expect(bench.heartbeatsSent.count <= 2, "its confirmation is tried at the pace of retries, too")
        bench.holds = { _ in false }
        for write in bench.held { bench.answer(write) }
        bench.run(for: .seconds(5))
        #expect(bench.leads("n"))
    }

    @Test(arguments: [MemberRecord.State.handover, nil])
    func `a take-over that is refused is tried at the pace of retries, not of the answers`(
        before: MemberRecord.State?
    ) {
        let store = Records()
        if let before { store.beat("east", incarnation: "0", state: before, quiet: 3) }
        let bench = Bench(on: store)
        bench.holds = \.isMemberWrite
        bench.want("n")
        for _ in 0..<50 {
            for write in bench.held { bench.answer(write, .unclear) }
            bench.run(for: .milliseconds(100))
        }
        #expect(bench.heartbeatsSent.count == 6, "one at the start, then one a second")
        bench.holds = { _ in false }
        for write in bench.held { bench.answer(write, .unclear) }
        bench.run(for: .seconds(1))
        #expect(bench.leads("n"))
    }

    @Test func `what was inherited is waited out from the acknowledgement of the take-over, not from its sending`()
        throws
    {
        let store = Records()
        store.beat("east", incarnation: "0", state: .handover, quiet: 10)
        let bench = Bench(on: store)
        bench.holds = \.isMemberWrite
        bench.tick()
        bench.pass(.seconds(2))
        bench.answer(try bench.only())
        bench.holds = { _ in false }
        bench.step(.leave(.release))
        bench.run(for: timing.inheritedWait(ofSeconds: 10) - .nanoseconds(1))
        #expect(bench.ending == nil)
        bench.run(for: .milliseconds(1))
        #expect(bench.ending == .stopped)
    }

    @Test func `a store that does not answer is asked again every second`() {
        let bench = Bench()
        bench.holds = { $0.isRead }
        bench.want("n")
        for _ in 0..<5 {
            for request in bench.held { bench.answer(request, .unclear) }
            bench.run(for: .seconds(1))
        }
        #expect(bench.sent.count == 6 && bench.ending == nil)
        bench.holds = { _ in false }
        for request in bench.held { bench.answer(request) }
        #expect(bench.leads("n"))
    }

    @Test func `an unreadable own member record is refused and not overwritten`() {
        let store = Records()
        let foreign = store.put(.member("east"), Array("{\"kind\": \"Pod\"}".utf8))
        let bench = Bench(on: store)
        bench.want("n")
        guard case .memberRecordUnreadable(let reason) = bench.ending else {
            Issue.record("it goes on")
            return
        }
        #expect(reason.contains("members/east"))
        #expect(store.version(.member("east")) == foreign)
    }

    // MARK: Another uid

    @Test func `another uid that is writing the record is refused, naming both`() {
        let bench = starting(uid: "uid-of-another")
        #expect(bench.ending == nil)
        bench.run(for: .seconds(3))
        bench.store.beat("east", uid: "uid-of-another", incarnation: "0")
        bench.run(for: .seconds(1))
        guard case .refused(let reason) = bench.ending else {
            Issue.record("it goes on")
            return
        }
        #expect(reason.contains("uid-of-another") && reason.contains("uid-of-east"))
        #expect(!hasTakenOver(bench))
    }

    @Test func `another uid that stays unchanged for its quiet time is taken over with a warning`() {
        let bench = starting(uid: "uid-of-another", quiet: 15)
        #expect(
            bench.notes == [
                .otherUID(
                    found: "uid-of-another", own: "uid-of-east", takeOverAfter: timing.staleness(ofSeconds: 15))
            ])
        bench.run(for: timing.staleness(ofSeconds: 15) - .milliseconds(1))
        #expect(!hasTakenOver(bench))
        bench.run(for: .seconds(1))
        #expect(hasTakenOver(bench))
        #expect(bench.notes.contains(.tookOver(previous: "east-0", uidChanged: true)))
    }

    @Test func `another uid without any lease is given the time to show that it is live`() {
        let bench = starting(uid: "uid-of-another", quiet: 0)
        bench.run(for: .seconds(8))
        #expect(!hasTakenOver(bench))
        bench.store.beat("east", uid: "uid-of-another", incarnation: "0", quiet: 0)
        bench.run(for: .seconds(1))
        guard case .refused = bench.ending else {
            Issue.record("it goes on")
            return
        }
    }

    @Test func `another uid that leaves while it is watched is waited for, not refused`() {
        let bench = starting(uid: "uid-of-another")
        bench.run(for: .seconds(3))
        bench.store.beat("east", uid: "uid-of-another", incarnation: "0", state: .handover, quiet: 3)
        bench.run(for: .seconds(2))
        #expect(bench.ending == nil && !hasTakenOver(bench))
        bench.run(for: .seconds(4))
        #expect(hasTakenOver(bench))
    }

    @Test func `another uid that stopped is taken over at once`() {
        #expect(hasTakenOver(starting(uid: "uid-of-another", state: .stopped, quiet: 0)))
    }
}

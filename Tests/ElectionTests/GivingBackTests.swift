import Election
import Testing

/// Giving leases back, what an incarnation inherits, and leaving.
struct GivingBackTests {
    private let timing = Timing()

    // MARK: One lease

    @Test func `a lease is given back only after the grants have ended, counted from the publication`() {
        let bench = Bench.leading("n")
        bench.publishesAtOnce = false
        bench.step(.wishes([Wish("n", .forget)]))
        bench.run(for: .seconds(5))
        #expect(bench.leaseWrites("n").isEmpty, "the dropped claim is still in the table in use")
        bench.publish()
        #expect(!bench.leads("n"))
        bench.run(for: timing.grantsEnd - .nanoseconds(1))
        #expect(bench.leaseWrites("n").isEmpty)
        bench.run(for: .milliseconds(1))
        #expect(bench.store.lease("n")?.isFree == true)
        #expect(bench.notes.contains(.gaveBack(namespace: "n")))
    }

    @Test func `a clock jump ends the window, not the wait for the grants`() {
        let bench = Bench.leading("n")
        bench.now.realtime += 100_000_000_000
        bench.step(.wishes([Wish("n", .forget)]))
        #expect(!bench.leads("n"))
        bench.run(for: timing.grantsEnd - .nanoseconds(1))
        #expect(bench.leaseWrites("n").isEmpty, "a lapsed claim too may have been granted until now")
        bench.run(for: .milliseconds(1))
        #expect(bench.store.lease("n")?.isFree == true)
    }

    @Test func `a step forward of the wall clock or a suspend does not shorten the wait for the grants`() {
        let bench = Bench.leading("n")
        bench.step(.wishes([Wish("n", .forget)]))
        bench.now.realtime += 3600_000_000_000
        bench.tick()
        bench.now.boottime += 3600_000_000_000
        bench.tick()
        #expect(bench.store.lease("n")?.isFree == false)
    }

    @Test func `a freed record keeps its term, its duration and the handover fields`() throws {
        let bench = Bench.leading("n")
        bench.store.edit("n") {
            $0.preferredHolder = "north"
            $0.wantedBy = "north"
        }
        let before = try #require(bench.store.lease("n"))
        bench.step(.noticed)
        bench.step(.wishes([Wish("n", .forget)]))
        bench.run(for: .seconds(4))
        let after = try #require(bench.store.lease("n"))
        #expect(after.isFree && after.uid.isEmpty)
        #expect(after.term == before.term && after.leaseDurationSeconds == before.leaseDurationSeconds)
        #expect(after.preferredHolder == "north" && after.wantedBy == "north")
        #expect(after.claim != before.claim)
    }

    @Test func `a lease that was never granted is given back without a wait`() throws {
        let bench = Bench.leading("m")
        bench.holds = \.isLeaseWrite
        bench.want("n")
        let claim = try bench.only()
        bench.step(.wishes([Wish("n", .forget)]))
        bench.answer(claim)
        #expect(try bench.only().leaseWrite?.record.isFree == true)
        #expect(!bench.leads("n"))
    }

    @Test func `a left-out namespace is unmanaged at once and its lease is given back`() {
        let bench = Bench.leading("n")
        bench.step(.wishes([Wish("n", .leaveOut)]))
        #expect(bench.published.standing(of: "n", at: bench.now) == .unmanaged)
        bench.run(for: .seconds(4))
        #expect(bench.store.lease("n")?.isFree == true)
        bench.want("n")
        #expect(bench.leads("n"))
    }

    @Test func `a namespace that is wanted again before it was given back is claimed anew`() throws {
        let bench = Bench.leading("n")
        let term = try #require(bench.term("n"))
        bench.step(.wishes([Wish("n", .forget)]))
        #expect(!bench.leads("n"))
        bench.run(for: .seconds(1))
        bench.want("n")
        #expect(bench.term("n") == term + 1)
    }

    @Test func `a record that names this cluster and is not wanted is given back at any list`() {
        let bench = Bench.leading("m")
        bench.store.hold("n", by: "east", incarnation: "1", term: 50)
        bench.store.hold("o", by: "east", uid: "somebody-else", incarnation: "x", term: 50)
        bench.run(for: .seconds(61))
        #expect(bench.store.lease("n")?.isFree == true)
        #expect(bench.store.lease("o")?.isFree == true)
    }

    // MARK: What an incarnation inherits

    /// East's second incarnation, after it took over from the first by this record.
    private func successor(of state: MemberRecord.State?, quiet: Int, seconds: Int = 15, wants: Bool = false) -> Bench {
        let store = Records()
        if let state { store.beat("east", incarnation: "0", state: state, quiet: quiet) }
        store.hold("n", by: "east", incarnation: "0", seconds: seconds)
        let bench = Bench(on: store)
        if wants { bench.want("n") } else { bench.tick() }
        return bench
    }

    @Test func `a predecessor's record is freed only after the larger of its staleness and the end of the grants`() {
        let bench = successor(of: .handover, quiet: 3)
        bench.run(for: timing.staleness(ofSeconds: 15) - .nanoseconds(1))
        #expect(bench.leaseWrites("n").isEmpty)
        bench.run(for: .milliseconds(1))
        #expect(bench.store.lease("n")?.isFree == true)
    }

    @Test func `a predecessor's lease that was claimed again is not given back inside the predecessor's window either`()
    {
        let bench = successor(of: .handover, quiet: 15, wants: true)
        #expect(bench.leads("n"))
        bench.step(.wishes([Wish("n", .forget)]))
        bench.run(for: timing.staleness(ofSeconds: 15) - .nanoseconds(1))
        #expect(bench.store.lease("n")?.isFree == false)
        bench.run(for: .milliseconds(1))
        #expect(bench.store.lease("n")?.isFree == true)
    }

    @Test func `a lease that no predecessor held is given back once the grants have ended, though the wait goes on`() {
        let bench = Bench(on: Records())
        bench.want("n")
        #expect(bench.leads("n"))
        bench.step(.wishes([Wish("n", .forget)]))
        bench.run(for: timing.grantsEnd)
        #expect(bench.store.lease("n")?.isFree == true)
    }

    @Test func `a predecessor's record with a short duration waits for the end of the grants`() {
        let bench = successor(of: .handover, quiet: 3, seconds: 1)
        bench.run(for: timing.grantsEnd - .nanoseconds(1))
        #expect(bench.leaseWrites("n").isEmpty)
        bench.run(for: .milliseconds(1))
        #expect(bench.store.lease("n")?.isFree == true)
    }

    @Test func `a predecessor's record that is wanted is claimed at once, with the next term`() {
        let bench = successor(of: .handover, quiet: 3, wants: true)
        #expect(bench.term("n") == 8)
        #expect(bench.store.lease("n")?.leaderTransitions == 3, "the holder stays the same")
        #expect(bench.store.lease("n")?.acquireTime == "2026-01-02T03:04:05.000000Z")
    }

    @Test func `until the inherited wait is over a claim carries at least the duration that it replaces`() {
        let bench = successor(of: .handover, quiet: 20, seconds: 30, wants: true)
        // The longer duration must be declared first.
        bench.run(for: timing.retryInterval)
        #expect(bench.leads("n"))
        #expect(bench.store.lease("n")?.leaseDurationSeconds == 30)
        // Honoured is the shorter one at once.
        #expect(bench.published.entries[0].limit == (timing.window(ofSeconds: 15) - .seconds(2)).nanoseconds)
        bench.run(for: timing.inheritedWait(ofSeconds: 20) - timing.retryInterval - .milliseconds(1))
        #expect(bench.store.lease("n")?.leaseDurationSeconds == 30)
        bench.run(for: .milliseconds(2))
        #expect(bench.store.lease("n")?.leaseDurationSeconds == 15)
        #expect(bench.leads("n"))
    }

    @Test func `until the inherited wait is over the own lapsed claim too is replaced by one as long`() {
        let bench = successor(of: .handover, quiet: 200, seconds: 30, wants: true)
        bench.now.realtime += 3600_000_000_000
        bench.tick()
        bench.run(for: .seconds(4))
        #expect(bench.leads("n"))
        #expect(bench.leaseWrites("n").allSatisfy { $0.leaseDurationSeconds == 30 })
    }

    @Test(
        arguments: [(nil, 0, 300), (.stopped, 0, 0), (.handover, 3, 3), (.handover, 40, 40)]
            as [(MemberRecord.State?, Int, Int)])
    func `stopped is written only after the inherited wait`(state: MemberRecord.State?, quiet: Int, inherits: Int) {
        let store = Records()
        if let state { store.beat("east", incarnation: "0", state: state, quiet: quiet) }
        let bench = Bench(on: store)
        bench.tick()
        bench.step(.leave(.release))
        let wait = timing.inheritedWait(ofSeconds: inherits)
        if wait > .zero {
            bench.run(for: wait - .nanoseconds(1))
            #expect(bench.ending == nil)
            bench.run(for: .milliseconds(1))
        }
        #expect(bench.ending == .stopped)
        #expect(store.member("east")?.state == .stopped && store.member("east")?.quietSeconds == 0)
    }

    @Test func `the member record declares what was inherited until it is waited out`() {
        let bench = successor(of: .handover, quiet: 40, wants: true)
        #expect(bench.heartbeatsSent.map(\.quietSeconds) == [40])
        bench.run(for: .seconds(38))
        #expect(bench.heartbeatsSent.allSatisfy { $0.quietSeconds == 40 })
        bench.run(for: .seconds(6))
        #expect(bench.heartbeatsSent.last?.quietSeconds == 15)
    }

    @Test func `a handover hands on what was inherited and not waited out, or else the end of the grants`() {
        let early = successor(of: .handover, quiet: 40, wants: true)
        early.run(for: .seconds(5))
        early.step(.leave(.handover))
        #expect(early.ending == .handedOver)
        #expect(early.store.member("east")?.quietSeconds == 40)
        let late = successor(of: .handover, quiet: 40, wants: true)
        late.run(for: .seconds(50))
        late.step(.leave(.handover))
        #expect(late.store.member("east")?.quietSeconds == 3)
    }

    @Test func `an incarnation that must leave early frees what it may and stops when the inheritance is over`() {
        let bench = successor(of: .handover, quiet: 40)
        bench.step(.leave(.release))
        bench.run(for: timing.staleness(ofSeconds: 15))
        bench.run(for: .milliseconds(1))
        #expect(bench.store.lease("n")?.isFree == true)
        #expect(bench.ending == nil)
        bench.run(for: .seconds(41))
        #expect(bench.ending == .stopped)
    }

    // MARK: Own records of other incarnations

    @Test(arguments: [true, false])
    func `before a predecessor's record is replaced or freed the own record is read, after it was received`(
        isWanted: Bool
    ) throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .handover, quiet: 3)
        store.hold("n", by: "east", incarnation: "0")
        let bench = Bench(on: store)
        bench.holds = { $0.isRead(ofMember: "east") }
        bench.step(.tick)
        bench.answer(try bench.only())  // joining
        if isWanted { bench.want("n") }
        bench.run(for: .seconds(20))
        let check = try bench.only()
        #expect(bench.leaseWrites("n").isEmpty)
        let listed = try #require(bench.sent.first { $0.isList(.leases) })
        #expect(check.id > listed.id)
        bench.answer(check)
        #expect(bench.leaseWrites("n").count == 1)
    }

    @Test func `a predecessor's record is left alone by an incarnation that was deposed meanwhile`() throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .handover, quiet: 3)
        store.hold("n", by: "east", incarnation: "0")
        let bench = Bench(on: store)
        bench.holds = { $0.isRead(ofMember: "east") }
        bench.want("n")
        bench.answer(try bench.only())
        let check = try bench.only()
        store.beat("east", incarnation: "2")
        bench.answer(check)
        #expect(bench.ending == .deposed(by: "east-2"))
        #expect(bench.leaseWrites("n").isEmpty)
    }

    @Test func `a check sent before a record was received does not do for it`() throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .handover, quiet: 3)
        store.hold("n", by: "east", incarnation: "0")
        let bench = Bench(on: store)
        bench.holds = { $0.isRead(ofMember: "east") }
        bench.want(["n", "o"])
        bench.answer(try bench.only())
        let early = try bench.only()
        store.hold("o", by: "east", incarnation: "0", term: 1_900_000_000)
        bench.step(.noticed)
        bench.answer(early)
        #expect(bench.leads("n") && !bench.leads("o"))
        bench.answer(try bench.only())
        #expect(bench.term("o") == 1_900_000_001)
    }

    @Test func `a record of the own name under another uid is claimed only after the wait for freeing it`() {
        let store = Records()
        store.beat("east", uid: "old", incarnation: "0", state: .stopped, quiet: 0)
        store.hold("n", by: "east", uid: "old", incarnation: "0", seconds: 20)
        let bench = Bench(on: store)
        bench.want("n")
        bench.run(for: timing.staleness(ofSeconds: 20) - .nanoseconds(1))
        #expect(bench.leaseWrites("n").isEmpty)
        bench.run(for: .milliseconds(1))
        #expect(bench.leads("n"))
    }

    // MARK: Leaving

    @Test func `a handover drops all claims, is written at once and leaves the leases as they are`() throws {
        let bench = Bench.leading("n")
        bench.holds = \.isMemberWrite
        bench.step(.leave(.handover))
        #expect(!bench.leads("n"))
        let farewell = try bench.only()
        #expect(farewell.memberWrite?.state == .handover && farewell.memberWrite?.quietSeconds == 3)
        bench.answer(farewell)
        #expect(bench.ending == .handedOver)
        #expect(bench.store.lease("n")?.holderIdentity == "east")
    }

    @Test func `a release drops all claims and writes stopped when the grants have ended`() {
        let bench = Bench.leading("n")
        bench.publishesAtOnce = false
        bench.step(.leave(.release))
        bench.run(for: .seconds(10))
        #expect(bench.ending == nil, "the dropped claims are still in the table in use")
        bench.publish()
        bench.run(for: timing.grantsEnd - .nanoseconds(1))
        #expect(bench.ending == nil)
        #expect(bench.store.member("east")?.state == .live)
        bench.run(for: .milliseconds(1))
        #expect(bench.ending == .stopped)
        #expect(bench.leaseWrites("n").isEmpty, "stopped frees every lease by one write")
    }

    @Test func `a release waits for the grants of a lease that is being given back already`() {
        let bench = Bench.leading("n")
        bench.step(.wishes([Wish("n", .forget)]))
        bench.run(for: .seconds(1))
        bench.step(.leave(.release))
        bench.run(for: timing.grantsEnd - .seconds(1) - .nanoseconds(1))
        #expect(bench.ending == nil)
        bench.run(for: .milliseconds(1))
        #expect(bench.ending == .stopped)
    }

    @Test func `a claim acknowledged after a farewell is not acted on`() throws {
        for farewell in [Farewell.handover, .release] {
            let bench = Bench.leading("m")
            bench.holds = { $0.isLeaseWrite || $0.isMemberWrite }
            bench.want("n")
            let claim = try bench.only()
            bench.step(.leave(farewell))
            bench.answer(claim)
            #expect(!bench.leads("n") && !bench.leads("m"))
        }
    }

    @Test(arguments: [Farewell.handover, .release], [Bench.Outcome.failed, .unclear, .unclearButLanded])
    func `a farewell whose answer is lost is written again until it stands`(
        farewell: Farewell, outcome: Bench.Outcome
    ) throws {
        let bench = Bench.leading("n")
        bench.holds = { $0.memberWrite.map { $0.state != .live } ?? false }
        bench.step(.leave(farewell))
        bench.run(for: .seconds(4))
        let lost = try bench.only()
        bench.holds = { _ in false }
        bench.answer(lost, outcome)
        bench.run(for: .seconds(2))
        #expect(bench.ending == (farewell == .handover ? .handedOver : .stopped))
        #expect(bench.store.member("east")?.state == (farewell == .handover ? .handover : .stopped))
    }

    @Test func `a later farewell overrides an earlier one`() {
        let bench = Bench.leading("n")
        bench.step(.leave(.release))
        bench.run(for: .seconds(1))
        bench.step(.leave(.handover))
        #expect(bench.ending == .handedOver)
        #expect(bench.store.member("east")?.state == .handover)
    }

    @Test func `an elector that has not joined yet leaves at once, without a write`() {
        let store = Records()
        store.beat("east", incarnation: "0")
        let bench = Bench(on: store)
        bench.tick()
        bench.step(.leave(.release))
        #expect(bench.ending == .stopped)
        #expect(bench.sent.allSatisfy { !$0.isWrite })
    }

    @Test func `a standby whose take-over another replica won leaves when told to`() throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .handover, quiet: 3)
        let bench = Bench(on: store)
        bench.holds = \.isMemberWrite
        bench.tick()
        let takeover = try bench.only()
        store.beat("east", incarnation: "2")
        bench.answer(takeover)
        bench.step(.leave(.handover))
        for _ in 0..<20 {
            store.beat("east", incarnation: "2")
            bench.run(for: .seconds(3))
        }
        #expect(bench.ending == .handedOver)
    }

    @Test(arguments: [Bench.Outcome.truth, .unclear, .unclearButLanded, .failed])
    func `a farewell during a take-over waits for its outcome`(outcome: Bench.Outcome) throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .stopped, quiet: 0)
        let bench = Bench(on: store)
        bench.holds = \.isMemberWrite
        bench.tick()
        let takeover = try bench.only()
        bench.step(.leave(.release))
        #expect(bench.ending == nil)
        bench.holds = { _ in false }
        bench.answer(takeover, outcome)
        bench.run(for: .seconds(5))
        #expect(bench.ending == .stopped)
        #expect(store.member("east")?.state == .stopped)
    }
}

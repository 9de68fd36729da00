import Election
import Testing

/// The holder's rules: heartbeats, windows, lapses, unclear answers, being deposed.
struct HolderTests {
    private let window = Timing().window(ofSeconds: 15)
    private let margin = Timing().commitMargin

    // MARK: Heartbeat

    @Test func `the member record is rewritten every renew interval, replacing the version last known`() {
        let bench = Bench.leading("n")
        let first = bench.store.version(.member("east"))
        bench.run(for: .seconds(9))
        let writes = bench.sent.filter(\.isMemberWrite)
        #expect(writes.count == 3)
        guard case .write(_, _, let replaced)? = writes.first?.operation else { return }
        #expect(replaced == first)
        #expect(bench.heartbeatsSent.map(\.sequence) == [2, 3, 4].map { $0 + (bench.heartbeatsSent[0].sequence - 2) })
    }

    @Test func `a window counts from before the heartbeat was sent, not from its answer`() throws {
        let bench = Bench.leading("n")
        bench.holds = \.isMemberWrite
        bench.run(for: .seconds(3))
        let heartbeat = try bench.only()
        let sent = bench.now
        bench.pass(.seconds(2))
        bench.answer(heartbeat)
        #expect(bench.published.anchor == sent)
    }

    @Test func `the window with the commit margin off is over at D times 1 minus rho less the margin`() throws {
        let bench = Bench.leading("n")
        bench.holds = { _ in true }
        bench.pass(window - margin - .nanoseconds(1))
        #expect(bench.leads("n"))
        bench.pass(.nanoseconds(1))
        #expect(!bench.leads("n"))
    }

    @Test func `a claim lapses when its window ends, and the note says so at that moment`() {
        let bench = Bench.leading("n")
        bench.holds = { _ in true }
        bench.run(for: window - .nanoseconds(1))
        #expect(!bench.notes.contains { if case .lapsed = $0 { true } else { false } })
        bench.run(for: .milliseconds(2))
        #expect(bench.notes.contains { if case .lapsed("n", _) = $0 { true } else { false } })
        #expect(bench.published.standing(of: "n", at: bench.now) == .vacant(slot: 0, reason: .lapsed))
    }

    @Test func `an acknowledgement after the window ended does not revive the claim`() throws {
        let bench = Bench.leading("n")
        let term = try #require(bench.term("n"))
        bench.holds = { $0.isMemberWrite || $0.isLeaseWrite }
        bench.run(for: .seconds(3))
        let heartbeat = try bench.only()
        bench.land(heartbeat)
        // The old window is over, the one that this heartbeat opens would not be.
        bench.pass(window - .seconds(1))
        let version = try #require(bench.store.version(.member("east")))
        bench.answer(heartbeat, with: .written(version))
        #expect(!bench.leads("n"))
        // It is regained only by a new compare-and-swap, with the next term.
        let claim = try #require(bench.held.first { $0.isLeaseWrite }?.leaseWrite?.record)
        #expect(claim.term == term + 1)
        for request in bench.held { bench.answer(request) }
        #expect(bench.term("n") == term + 1)
    }

    @Test func `a pause longer than the window ends the claim before the answer is looked at`() throws {
        let bench = Bench.leading("n")
        bench.holds = \.isMemberWrite
        bench.run(for: .seconds(3))
        let heartbeat = try bench.only()
        bench.land(heartbeat)
        bench.pass(.seconds(3600))
        #expect(!bench.leads("n"))
        bench.answer(heartbeat, with: .written(try #require(bench.store.version(.member("east")))))
        #expect(bench.notes.contains { if case .lapsed("n", _) = $0 { true } else { false } })
    }

    @Test func `a claim in flight while its window ended is born lapsed`() throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .stopped, quiet: 0)
        let bench = Bench(on: store)
        bench.holds = { $0.isLeaseWrite || $0.isMemberWrite }
        bench.want("n")
        bench.answer(try bench.only())  // the take-over
        let claim = try #require(bench.held.first { $0.isLeaseWrite })
        bench.run(for: .seconds(3))
        let heartbeat = try #require(bench.held.first { $0.isMemberWrite })
        bench.pass(.seconds(12))
        // The window of the take-over is over; then a newer heartbeat opens it again, before the claim is answered.
        bench.answer(heartbeat)
        bench.answer(claim)
        #expect(store.lease("n")?.claim == claim.leaseWrite?.record.claim)
        #expect(!bench.leads("n"))
        let again = try #require(bench.held.first { $0.isLeaseWrite }, "it is claimed anew")
        bench.answer(again)
        #expect(bench.leads("n"))
    }

    @Test func `a claim acknowledged while its window is open is led at once`() throws {
        let store = Records()
        let bench = Bench(on: store)
        bench.holds = \.isLeaseWrite
        bench.want("n")
        let claim = try bench.only()
        bench.run(for: .seconds(10))  // heartbeats go on
        bench.answer(claim)
        #expect(bench.leads("n"))
    }

    // MARK: Unclear answers

    @Test func `an unclear heartbeat is read back before anything is written again`() throws {
        let bench = Bench.leading("n")
        bench.holds = { $0.name == .member("east") }
        bench.run(for: .seconds(3))
        bench.answer(try bench.only(), .unclear)
        #expect(try bench.only().isRead(ofMember: "east"))
    }

    @Test(arguments: [Bench.Outcome.unclearButLanded, .unclear])
    func `an unclear heartbeat counts from its own send time if it landed, and not at all if it did not`(
        outcome: Bench.Outcome
    ) throws {
        let bench = Bench.leading("n")
        let before = bench.published.anchor
        bench.holds = { $0.name == .member("east") }
        bench.run(for: .seconds(3))
        let sent = bench.now
        let heartbeat = try bench.only()
        bench.pass(.seconds(1))
        bench.answer(heartbeat, outcome)
        bench.pass(.seconds(1))
        bench.answer(try bench.only())
        #expect(bench.published.anchor == (outcome == .unclearButLanded ? sent : before))
    }

    @Test func `an unclear heartbeat that lands after it was read back is recognised later by its sequence`() throws {
        let bench = Bench.leading("n")
        bench.holds = { $0.name == .member("east") }
        bench.run(for: .seconds(3))
        let sent = bench.now
        let late = try bench.only()
        bench.answer(late, .unclear)
        bench.answer(try bench.only())  // read back: nothing landed
        bench.run(for: .seconds(1))
        let second = try bench.only()
        #expect(second.isMemberWrite)
        bench.land(late)
        bench.answer(second)  // a conflict: the late one was first
        bench.answer(try bench.only())  // read back: the late one
        #expect(bench.published.anchor == sent)
        #expect(bench.leads("n"))
    }

    @Test func `a conflict of a write that had been sent twice counts as landed, from its send time`() throws {
        let bench = Bench.leading("n")
        bench.holds = \.isMemberWrite
        bench.run(for: .seconds(3))
        let sent = bench.now
        let heartbeat = try bench.only()
        bench.land(heartbeat)
        bench.answer(heartbeat, with: .conflict)
        #expect(bench.published.anchor == sent)
        #expect(bench.ending == nil && bench.leads("n"))
    }

    @Test func `a heartbeat that failed for certain is tried again after the retry interval`() throws {
        let bench = Bench.leading("n")
        bench.holds = \.isMemberWrite
        bench.run(for: .seconds(3))
        bench.answer(try bench.only(), .failed)
        bench.run(for: Timing().retryInterval - .milliseconds(1))
        #expect(bench.held.isEmpty)
        bench.run(for: .milliseconds(1))
        #expect(try bench.only().isMemberWrite)
    }

    @Test func `a check of the own record that fails does not hold back the heartbeats`() throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .handover, quiet: 3)
        store.hold("n", by: "east", incarnation: "0")
        let bench = Bench(on: store)
        bench.holds = { $0.name == .member("east") }
        bench.want("n")
        bench.answer(try bench.only())
        bench.answer(try bench.only())  // took over; the record of the earlier incarnation asks for a check
        #expect(try bench.only().isRead(ofMember: "east"))
        bench.pass(.seconds(3))
        bench.answer(try bench.only(), .unclear)
        let heartbeat = try bench.only()
        #expect(heartbeat.isMemberWrite)
        bench.answer(heartbeat)
        #expect(bench.leaseWrites("n").isEmpty)
        bench.run(for: Timing().retryInterval)
        bench.answer(try bench.only())
        #expect(bench.leads("n"), "the check is tried again")
    }

    @Test(arguments: [Bench.Outcome.unclearButLanded, .unclear])
    func `an unclear claim is led only once a read shows it`(outcome: Bench.Outcome) throws {
        let bench = Bench(on: Records())
        bench.holds = { $0.name?.folder == .leases }
        bench.want("n")
        bench.answer(try bench.only(), outcome)
        #expect(!bench.leads("n"))
        let read = try bench.only()
        #expect(read.isRead(ofLease: "n"))
        bench.answer(read)
        #expect(bench.leads("n") == (outcome == .unclearButLanded))
        bench.holds = { _ in false }
        bench.run(for: .seconds(1))
        #expect(bench.leads("n"))
        #expect(bench.leaseWrites("n").count == (outcome == .unclearButLanded ? 1 : 2))
    }

    @Test(arguments: [Bench.Outcome.unclear, .failed])
    func `a claim that is refused is tried at the pace of retries, not of the answers`(outcome: Bench.Outcome) {
        let bench = Bench(on: Records())
        bench.holds = \.isLeaseWrite
        bench.want("n")
        for _ in 0..<100 {
            for write in bench.held { bench.answer(write, outcome) }
            bench.run(for: .milliseconds(100))
        }
        #expect(bench.leaseWrites("n").count == 11)
    }

    @Test func `an unclear claim that lands late is recognised by its id`() throws {
        let bench = Bench(on: Records())
        bench.holds = \.isLeaseWrite
        bench.want("n")
        let late = try bench.only()
        bench.answer(late, .unclear)
        bench.run(for: .seconds(1))
        let second = try bench.only()
        #expect(second.isLeaseWrite)
        bench.land(late)
        bench.answer(second)  // a conflict, then a read that shows the late one
        #expect(bench.leads("n"))
        #expect(bench.term("n") == late.leaseWrite?.record.term)
        #expect(bench.leaseWrites("n").count == 2)
    }

    @Test func `an unclear claim whose window ended before it was read back is born lapsed`() throws {
        let bench = Bench(on: Records())
        bench.holds = { $0.name?.folder == .leases || $0.isMemberWrite }
        bench.want("n")
        bench.answer(try bench.only())
        let claim = try #require(bench.held.first { $0.isLeaseWrite })
        bench.answer(claim, .unclearButLanded)
        bench.pass(.seconds(15))
        bench.holds = { $0.name?.folder == .leases }
        bench.tick()  // heartbeats again
        bench.answer(try bench.only())
        #expect(!bench.leads("n"))
    }

    @Test func `other clusters learn of a lease record whose unclear write landed`() throws {
        let bench = Bench.leading("n")
        bench.holds = \.isLeaseWrite
        bench.step(.wishes([Wish("n", .forget)]))
        bench.run(for: .seconds(4))
        bench.answer(try bench.only(), .unclearButLanded)
        #expect(bench.store.lease("n")?.isFree == true)
        let before = try #require(bench.store.member("east")?.leaseSequence)
        bench.run(for: .seconds(3))
        #expect(try #require(bench.store.member("east")?.leaseSequence) > before)
        #expect(bench.notes.contains(.gaveBack(namespace: "n")))
    }

    // MARK: Deposed

    @Test func `a member record of another incarnation ends this one at once and is never adopted`() {
        let bench = Bench.leading("n")
        bench.store.beat("east", incarnation: "2")
        bench.run(for: .seconds(3))
        #expect(bench.ending == .deposed(by: "east-2"))
        #expect(!bench.leads("n"))
        bench.run(for: .seconds(100))
        #expect(bench.store.member("east")?.incarnation == "east-2")
    }

    @Test func `a member record that is gone ends this incarnation`() {
        let bench = Bench.leading("n")
        bench.store.delete(.member("east"))
        bench.run(for: .seconds(3))
        #expect(bench.ending == .memberRecordGone)
        #expect(!bench.leads("n"))
    }

    @Test func `a member record that cannot be read ends this incarnation, and is not overwritten`() {
        let bench = Bench.leading("n")
        let foreign = bench.store.put(.member("east"), Array("<html>".utf8))
        bench.run(for: .seconds(30))
        guard case .memberRecordUnreadable(let reason) = bench.ending else {
            Issue.record("it goes on")
            return
        }
        #expect(reason.contains("members/east"))
        #expect(bench.store.version(.member("east")) == foreign)
    }

    @Test func `after its end an elector does nothing whatever happens`() {
        let bench = Bench.leading("n")
        bench.store.delete(.member("east"))
        bench.run(for: .seconds(3))
        bench.forget()
        bench.want("m")
        bench.step(.leave(.release))
        bench.step(.noticed)
        bench.tick()
        #expect(bench.sent.isEmpty && bench.notes.isEmpty)
    }

    @Test func `an answer to a request that is not known is ignored`() {
        let bench = Bench.leading("n")
        bench.step(.answered(987_654, .object(nil)))
        bench.step(.answered(1, .conflict))
        #expect(bench.leads("n") && bench.sent.isEmpty)
    }

    // MARK: Durations are declared first

    @Test func `a claim follows only after its duration was declared in an acknowledged heartbeat`() throws {
        let bench = Bench.leading("n")
        bench.holds = \.isMemberWrite
        bench.want("m", seconds: 20)
        #expect(bench.leaseWrites("m").isEmpty)
        bench.run(for: .seconds(3))
        let heartbeat = try bench.only()
        #expect(try #require(heartbeat.memberWrite).quietSeconds == 20)
        #expect(bench.leaseWrites("m").isEmpty)
        bench.answer(heartbeat)
        #expect(bench.leaseWrites("m").count == 1)
        #expect(bench.leads("m"))
    }

    @Test func `an unclear heartbeat that declares less keeps a longer claim back, as it may still land`() throws {
        let bench = Bench.leading("n")
        bench.holds = { $0.name == .member("east") }
        bench.run(for: .seconds(3))
        let less = try bench.only()
        bench.want("m", seconds: 20)
        bench.answer(less, .unclear)
        bench.answer(try bench.only())  // not landed
        bench.run(for: .seconds(1))
        let more = try bench.only()
        #expect(more.memberWrite?.quietSeconds == 20)
        #expect(bench.leaseWrites("m").isEmpty)
        bench.answer(more)
        #expect(bench.leads("m"))
    }

    @Test func `what an unclear heartbeat declares counts although the one before it declared more`() throws {
        let bench = Bench.leading("n")
        bench.want("m", seconds: 20)
        bench.run(for: .seconds(1))
        #expect(bench.leads("m"))
        bench.step(.wishes([Wish("m", .forget)]))
        bench.run(for: .milliseconds(3500))
        #expect(bench.store.lease("m")?.isFree == true && bench.store.member("east")?.quietSeconds == 20)
        bench.forget()
        bench.holds = { $0.name == .member("east") }
        bench.run(for: .seconds(3))
        let less = try bench.only()
        #expect(less.memberWrite?.quietSeconds == 15)
        bench.answer(less, .unclear)
        bench.answer(try bench.only())  // not landed
        bench.want("m", seconds: 20)
        #expect(bench.leaseWrites("m").isEmpty)
        bench.run(for: .seconds(1))
        bench.answer(try bench.only())
        #expect(bench.leads("m"))
    }

    // MARK: Using a claim

    @Test func `a claim that a list sent after its acknowledgement does not show has lapsed`() {
        let bench = Bench.leading("n")
        bench.store.hold("n", by: "west", term: 99)
        bench.step(.noticed)
        #expect(!bench.leads("n"))
        #expect(bench.notes.contains { if case .lost("n", _, _) = $0 { true } else { false } })
        #expect(bench.published.standing(of: "n", at: bench.now) == .follows(slot: 0))
    }

    @Test func `a list sent before the acknowledgement says nothing about the claim`() throws {
        let bench = Bench.leading("m")
        bench.holds = { $0.isList(.leases) }
        bench.step(.noticed)
        let list = try bench.only()
        let old = bench.store.perform(list.operation)
        bench.want("n")
        bench.holds = { _ in false }
        bench.answer(list, with: old)
        #expect(bench.leads("n"))
    }

    @Test func `a list sent before a claim and answered after it does not take the claim away`() throws {
        let bench = Bench.leading("m")
        bench.store.hold("n", by: "", term: 5)
        bench.step(.noticed)
        bench.holds = { $0.isList(.leases) || $0.isLeaseWrite }
        bench.want("n")
        bench.step(.noticed)
        let list = try #require(bench.held.first { $0.isList(.leases) })
        let old = bench.store.perform(list.operation)
        let claim = try #require(bench.held.first { $0.isLeaseWrite })
        bench.answer(claim)
        #expect(bench.leads("n"))
        bench.answer(list, with: old)
        #expect(bench.leads("n"))
    }

    @Test func `a record with only its handover fields changed still shows the claim`() {
        let bench = Bench.leading("n")
        bench.store.prefer("west", for: "n")
        bench.step(.noticed)
        #expect(bench.leads("n"))
    }

    @Test func `a lease record that somebody deleted ends the claim`() {
        let bench = Bench.leading("n")
        bench.store.delete(.lease("n"))
        bench.step(.noticed)
        #expect(!bench.leads("n"))
        #expect(bench.notes.contains(.deleted(namespace: "n")))
    }

    @Test func `a lease record that became unreadable ends the claim and is never overwritten`() {
        let bench = Bench.leading("n", "m")
        let foreign = bench.store.put(.lease("n"), Array("{}".utf8))
        bench.step(.noticed)
        #expect(!bench.leads("n"))
        #expect(bench.published.standing(of: "n", at: bench.now) == .vacant(slot: 0, reason: .unreadable))
        bench.run(for: .seconds(1000))
        #expect(bench.store.version(.lease("n")) == foreign)
        #expect(bench.leads("m"))
    }

    // MARK: Clocks

    @Test func `a step forward of the wall clock ends the window`() {
        let bench = Bench.leading("n")
        bench.now.realtime += 15_000_000_000
        #expect(!bench.leads("n"))
        bench.tick()
        #expect(bench.notes.contains { if case .lapsed("n", _) = $0 { true } else { false } })
    }

    @Test func `a step back of the wall clock does not lengthen the window`() {
        let bench = Bench.leading("n")
        bench.holds = { _ in true }
        bench.now.realtime -= 3600_000_000_000
        bench.pass(window - margin)
        #expect(!bench.leads("n"))
    }

    @Test func `a suspend, which only the boot-time clock sees, ends the window`() {
        let bench = Bench.leading("n")
        bench.now.boottime += 15_000_000_000
        #expect(!bench.leads("n"))
    }

    @Test func `a slewed clock can only end the window early`() {
        let bench = Bench.leading("n")
        bench.holds = { _ in true }
        bench.rates = (920, 920, 1000)
        bench.pass(window - margin)
        #expect(!bench.leads("n"))
    }

    @Test(arguments: [
        Reading(boottime: 0, realtime: 0, monotonicRaw: 0),
        Reading(boottime: .min, realtime: .min, monotonicRaw: .min),
        Reading(boottime: .max, realtime: .max, monotonicRaw: .max),
        Reading(boottime: .min, realtime: .max, monotonicRaw: 0),
        Reading(boottime: .max, realtime: .min, monotonicRaw: .min),
    ])
    func `no reading of the clocks makes it crash`(reading: Reading) {
        let bench = Bench.leading("n")
        bench.store.hold("m", by: "west")
        bench.store.beat("west")
        bench.want("m")
        var elector = bench.elector
        for now in [reading, Bench.start, reading, reading] {
            for event in [Event.tick, .noticed, .wishes([Wish("n", .lead(seconds: 12))]), .published] {
                _ = elector.handle(event, at: now)
            }
            _ = elector.silentHolder(at: now)
            let grant = Grant(of: elector.table, known: nil, at: now, timing: elector.timing)
            var client = GrantClient(cluster: elector.identity.cluster)
            _ = try? client.take(grant, askedAt: now)
        }
        _ = elector.handle(.leave(.release), at: reading)
        var fresh = Elector(identity: elector.identity, timing: elector.timing)
        let asked = fresh.handle(.wishes([Wish("n", .lead(seconds: 15))]), at: reading)
        for request in asked.requests { _ = fresh.handle(.answered(request.id, .object(nil)), at: Bench.start) }
        _ = fresh.handle(.tick, at: reading)
    }
}

import Election
import Testing

/// The taker's rules: when another cluster's lease, a free one or a missing one may be claimed.
struct TakerTests {
    private let timing = Timing()
    private let staleness = Timing().staleness(ofSeconds: 15)

    /// East, live and wanting "n", which west holds and heartbeats for.
    private func following(seconds: Int = 15) -> Bench {
        let bench = Bench.leading("m")
        bench.store.beat("west", quiet: seconds)
        bench.store.hold("n", by: "west", seconds: seconds)
        bench.want("n")
        bench.run(for: .seconds(3))
        bench.forget()
        return bench
    }

    private func claims(_ bench: Bench) -> [LeaseRecord] { bench.leaseWrites("n") }

    // MARK: Silence

    @Test func `a lease is taken over once its holder was silent for D times 1 plus rho, and not before`() {
        let bench = following()
        bench.store.beat("west")
        bench.run(for: .seconds(3))  // the poll that receives the last heartbeat is in here
        let received = bench.now
        bench.run(for: staleness - .seconds(3))
        #expect(claims(bench).isEmpty)
        bench.run(for: .seconds(3))
        #expect(bench.leads("n"))
        #expect(bench.now.elapsedForWait(since: received) <= staleness)
    }

    @Test func `silence counts from the first receipt of the version to the sending of the decisive read`() throws {
        let bench = following()
        bench.holds = { $0.isRead(ofMember: "west") }
        let received = try firstReceipt(bench)
        bench.run(for: staleness - bench.now.elapsedForWait(since: received) - .nanoseconds(1))
        #expect(bench.held.isEmpty)
        bench.run(for: .milliseconds(1))
        let decisive = try bench.only()
        #expect(claims(bench).isEmpty, "the list alone does not decide")
        bench.answer(decisive)
        #expect(bench.leads("n"))
    }

    /// Writes a new heartbeat of west and returns the reading at which a list of members showed it first.
    private func firstReceipt(_ bench: Bench) throws -> Reading {
        bench.store.beat("west")
        let before = bench.sent.count
        for _ in 0..<4000 {
            bench.run(for: .milliseconds(1))
            let list = bench.sent.dropFirst(before).first { $0.isList(.members) }
            if let list, let sent = bench.sentAt[list.id] { return sent }
        }
        throw NeverListed()
    }

    private struct NeverListed: Error {}

    @Test func `a decisive read that shows a new heartbeat starts the wait anew`() throws {
        let bench = following()
        bench.holds = { $0.isRead(ofMember: "west") }
        bench.run(for: .seconds(16))
        bench.store.beat("west")
        bench.answer(try bench.only())
        #expect(claims(bench).isEmpty)
        bench.run(for: staleness - .milliseconds(1))
        #expect(bench.held.isEmpty && claims(bench).isEmpty)
        bench.run(for: .milliseconds(1))
        bench.answer(try bench.only())
        #expect(bench.leads("n"))
    }

    @Test func `a list that was sent before the decisive read and answered after it was sent decides nothing`() throws {
        let bench = following()
        bench.holds = { $0.isRead(ofMember: "west") || $0.isList(.members) }
        bench.run(for: .seconds(3))
        let slowList = try bench.only()
        let old = bench.store.perform(slowList.operation)
        bench.run(for: .seconds(15))
        let decisive = try #require(bench.held.last)
        #expect(decisive.isRead(ofMember: "west"))
        // West heartbeats after the list was carried out, so it leads on. The decisive read shows that.
        bench.store.beat("west")
        bench.answer(slowList, with: old)
        bench.answer(decisive)
        #expect(claims(bench).isEmpty)
    }

    @Test func `a decisive read that failed is tried again after the retry interval`() throws {
        let bench = following()
        bench.holds = { $0.isRead(ofMember: "west") || $0.isList(.members) || $0.isMemberWrite }
        bench.run(for: .seconds(3))
        bench.answer(try #require(bench.held.first { $0.isList(.members) }))
        bench.answer(try #require(bench.held.first { $0.isMemberWrite }))
        bench.holds = { $0.isRead(ofMember: "west") || $0.isList(.members) }
        bench.run(for: .seconds(13))
        let decisive = try #require(bench.held.first { $0.isRead(ofMember: "west") })
        bench.answer(decisive, .failed)
        bench.run(for: timing.retryInterval)
        #expect(bench.held.contains { $0.isRead(ofMember: "west") })
    }

    @Test func `the leases are listed again when a member became stale, before its lease is claimed`() throws {
        let bench = following()
        bench.run(for: .seconds(9))
        bench.forget()
        bench.run(for: .seconds(7))
        let list = try #require(bench.sent.firstIndex { $0.isList(.leases) })
        let claim = try #require(bench.sent.firstIndex { $0.isLeaseWrite })
        #expect(list < claim)
    }

    @Test func `a lease record that changed after the decisive read is not claimed by that read`() throws {
        let bench = following()
        bench.holds = { $0.isRead(ofMember: "west") }
        bench.run(for: .seconds(16))
        let decisive = try bench.only()
        // A new version arrives between: the read was sent before it was received, so another one decides.
        bench.store.hold("n", by: "west", term: 8)
        bench.step(.noticed)
        bench.answer(decisive)
        #expect(claims(bench).isEmpty)
        bench.answer(try bench.only())
        #expect(claims(bench).map(\.term) == [9])
    }

    @Test func `the claim replaces the version that was read, so it fails when the holder wrote in between`() throws {
        let bench = following()
        bench.holds = \.isLeaseWrite
        bench.run(for: .seconds(16))
        let claim = try bench.only()
        bench.store.hold("n", by: "west", term: 8)
        bench.answer(claim)
        #expect(!bench.leads("n"))
        #expect(bench.store.lease("n")?.term == 8)
    }

    @Test func `no claim is sent while the own window is closed`() throws {
        let bench = following()
        bench.holds = { $0.name == .member("east") }
        bench.run(for: .seconds(100))
        #expect(claims(bench).isEmpty)
        bench.holds = { _ in false }
        bench.answer(try bench.only(), .failed)
        #expect(bench.leads("n"))
    }

    @Test func `a holder that heartbeats is never taken over`() {
        let bench = following()
        for _ in 0..<50 {
            bench.store.beat("west")
            bench.run(for: .seconds(12))
        }
        #expect(claims(bench).isEmpty)
    }

    // MARK: Clocks of a wait

    @Test func `a step forward of the wall clock does not shorten the wait`() {
        let bench = following()
        bench.now.realtime += 3600_000_000_000
        bench.run(for: .seconds(12))
        #expect(claims(bench).isEmpty)
        bench.run(for: .seconds(4))
        #expect(bench.leads("n"))
    }

    @Test func `time that only the boot-time clock saw, as in a suspend, does not shorten the wait`() {
        let bench = following()
        bench.now.boottime += 3600_000_000_000
        bench.run(for: .seconds(11))
        #expect(claims(bench).isEmpty)
        bench.run(for: .seconds(5))
        #expect(bench.leads("n"))
    }

    @Test(arguments: [(1080, 1080, 1000), (1000, 1080, 1080), (920, 920, 1000)] as [(Int64, Int64, Int64)])
    func `a clock slewed by 8 percent does not shorten the wait`(rates: (Int64, Int64, Int64)) throws {
        let bench = following()
        bench.rates = rates
        bench.holds = { $0.isRead(ofMember: "west") }
        let received = try firstReceipt(bench)
        bench.run(for: .seconds(20))
        let decisive = try bench.only()
        let sent = try #require(bench.sentAt[decisive.id])
        #expect(sent.boottime - received.boottime >= staleness.nanoseconds)
        #expect(sent.monotonicRaw - received.monotonicRaw >= staleness.nanoseconds)
        bench.answer(decisive)
        #expect(bench.leads("n"))
    }

    // MARK: Stopped, absent, unreadable members

    @Test func `the lease of a stopped cluster is claimed after one decisive read, without a wait`() throws {
        let bench = following()
        bench.store.beat("west", state: .stopped, quiet: 0)
        bench.holds = { $0.isRead(ofMember: "west") }
        bench.run(for: .seconds(3))
        #expect(claims(bench).isEmpty, "a list that shows it does not decide")
        bench.answer(try bench.only())
        #expect(bench.leads("n"))
    }

    @Test func `a cluster that came back while its stop was being read keeps its lease`() throws {
        let bench = following()
        bench.store.beat("west", state: .stopped, quiet: 0)
        bench.holds = { $0.isRead(ofMember: "west") }
        bench.run(for: .seconds(3))
        bench.store.beat("west", incarnation: "2")
        bench.answer(try bench.only())
        #expect(claims(bench).isEmpty)
    }

    @Test func `a handover is no stop: other clusters wait for the whole silence`() {
        let bench = following()
        bench.store.beat("west", state: .handover, quiet: 3)
        bench.run(for: .seconds(3))
        bench.run(for: staleness - .seconds(3))
        #expect(claims(bench).isEmpty)
        bench.run(for: .seconds(3))
        #expect(bench.leads("n"))
    }

    @Test func `absence of the member record counts from the first receipt of the lease record at the earliest`() {
        let bench = Bench.leading("m")
        bench.store.hold("n", by: "west")
        bench.want("n")
        bench.run(for: .seconds(10))
        bench.store.hold("n", by: "west", term: 8)
        bench.step(.noticed)
        bench.run(for: staleness - .milliseconds(1))
        #expect(claims(bench).isEmpty)
        bench.run(for: .milliseconds(2))
        #expect(bench.term("n") == 9)
    }

    @Test func `absence of the member record counts from its first absence at the earliest`() {
        let bench = following()
        bench.run(for: .seconds(9))
        bench.store.delete(.member("west"))
        bench.run(for: .seconds(15))
        #expect(claims(bench).isEmpty)
        bench.run(for: .seconds(4))
        #expect(bench.leads("n"))
    }

    /// Seed 30220 of the simulation: the absence that counted was one from before the lease record was written.
    @Test func `a member record that came and went unseen was not absent all the time`() throws {
        let bench = Bench.leading("m")
        bench.store.hold("n", by: "west")
        bench.want("n")
        bench.run(for: .seconds(6))
        // West comes back and claims again. The leases are listed, and no list of the members is answered.
        bench.holds = { $0.isList(.members) }
        bench.store.beat("west")
        bench.store.hold("n", by: "west", term: 8)
        bench.step(.noticed)
        bench.run(for: staleness - .seconds(1))
        // Its member record is deleted again, a moment after its last heartbeat.
        bench.store.delete(.member("west"))
        bench.holds = { _ in false }
        for request in bench.held { bench.answer(request) }
        bench.run(for: .seconds(9))
        #expect(claims(bench).isEmpty)
        bench.run(for: staleness)
        #expect(bench.leads("n"))
    }

    @Test func `a member record that cannot be read is no stop; its silence counts by its version`() {
        let bench = following()
        bench.store.put(.member("west"), Array("garbage".utf8))
        bench.run(for: .seconds(15))
        #expect(claims(bench).isEmpty)
        #expect(bench.notes.contains { if case .unreadable(.member("west"), _) = $0 { true } else { false } })
        bench.run(for: .seconds(4))
        #expect(bench.leads("n"))
    }

    // MARK: Free, absent and unreadable leases

    @Test func `a free lease is claimed at once, with the next term`() {
        let bench = Bench.leading("m")
        bench.store.hold("n", by: "", term: 41)
        bench.step(.noticed)
        bench.want("n")
        #expect(bench.term("n") == 42)
        #expect(bench.store.lease("n")?.leaderTransitions == 4)
    }

    @Test func `the first record of a namespace has the Unix time as its term`() {
        let bench = Bench.leading("m")
        bench.want("n")
        #expect(bench.term("n") == UInt64(bench.now.realtime / 1_000_000_000))
    }

    @Test func `a lease record that somebody deleted is made again only after the deletion wait`() {
        let bench = following()
        bench.store.hold("n", by: "west", term: 5_000_000_000)
        bench.step(.noticed)
        bench.store.delete(.lease("n"))
        bench.step(.noticed)
        bench.run(for: timing.deletionWait(ofSeconds: 15) - .milliseconds(1))
        #expect(claims(bench).isEmpty)
        bench.run(for: .milliseconds(2))
        #expect(bench.term("n") == 5_000_000_001, "it goes on from the highest term seen")
    }

    @Test func `an absent lease record is read again before it is made again`() throws {
        let bench = following()
        bench.store.delete(.lease("n"))
        bench.step(.noticed)
        bench.holds = { $0.isRead(ofLease: "n") }
        bench.run(for: timing.deletionWait(ofSeconds: 15) + .milliseconds(1))
        bench.store.hold("n", by: "west", term: 9)
        bench.store.beat("west")
        bench.answer(try bench.only())
        #expect(claims(bench).isEmpty)
    }

    @Test func `an unreadable lease record that somebody deleted is waited for as for the longest duration`() {
        let bench = Bench.leading("m")
        bench.store.put(.lease("n"), Array("garbage".utf8))
        bench.step(.noticed)
        bench.want("n")
        bench.run(for: .seconds(600))
        bench.store.delete(.lease("n"))
        bench.step(.noticed)
        bench.run(for: timing.deletionWait(ofSeconds: timing.leaseDurationLimit) - .milliseconds(1))
        #expect(claims(bench).isEmpty)
        bench.run(for: .milliseconds(2))
        #expect(bench.leads("n"))
    }

    @Test(arguments: ["", "{}", "[1]", "{\"holderIdentity\": \"\"}"])
    func `an unreadable lease record is never claimed and does not stop the other namespaces`(text: String) {
        let bench = Bench.leading("m")
        let foreign = bench.store.put(.lease("n"), Array(text.utf8))
        bench.step(.noticed)
        bench.want(["n", "o"])
        bench.run(for: .seconds(1000))
        #expect(bench.store.version(.lease("n")) == foreign)
        #expect(bench.notes.count { if case .unreadable(.lease("n"), _) = $0 { true } else { false } } == 1)
        #expect(bench.leads("m") && bench.leads("o"))
    }

    @Test func `an unreadable lease record that is repaired takes part again`() {
        let bench = Bench.leading("m")
        bench.store.put(.lease("n"), Array("garbage".utf8))
        bench.step(.noticed)
        bench.want("n")
        bench.store.hold("n", by: "", term: 7)
        bench.run(for: .seconds(61))
        #expect(bench.term("n") == 8)
    }

    @Test(arguments: [UInt64.max, UInt64.max - 1])
    func `a lease record whose term cannot grow is never claimed`(term: UInt64) {
        let bench = Bench.leading("m")
        bench.store.hold("n", by: "", term: term)
        bench.step(.noticed)
        bench.want("n")
        bench.now.realtime += 100_000_000_000
        bench.run(for: .seconds(10))
        #expect(bench.leads("m") && bench.leaseWrites("n").isEmpty)
    }

    @Test func `terms only grow over many changes of the holder`() {
        let store = Records()
        let bench = Bench.leading("n", on: store)
        var terms: [UInt64] = []
        for _ in 0..<10 {
            terms.append(bench.term("n") ?? 0)
            let next = (store.lease("n")?.term ?? 0) + 1
            store.hold("n", by: "west", term: next)
            bench.step(.noticed)
            #expect(!bench.leads("n"))
            store.hold("n", by: "", term: next)
            bench.step(.noticed)
        }
        #expect(zip(terms, terms.dropFirst()).allSatisfy { $0 + 1 < $1 })
    }
}

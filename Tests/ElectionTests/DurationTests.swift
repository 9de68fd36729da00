import Election
import Testing

/// A lease duration that changes while the lease is held.
struct DurationTests {
    private let timing = Timing()

    private func limit(_ seconds: Int) -> Int64 {
        (timing.window(ofSeconds: seconds) - timing.commitMargin).nanoseconds
    }

    @Test func `a longer duration counts from the acknowledgement of the claim that carries it`() throws {
        let bench = Bench.leading("n")
        let term = try #require(bench.term("n"))
        bench.holds = \.isLeaseWrite
        bench.want("n", seconds: 30)
        bench.run(for: .seconds(3))
        let claim = try bench.only()
        #expect(claim.leaseWrite?.record.leaseDurationSeconds == 30)
        #expect(bench.published.entries[0].limit == limit(15))
        bench.answer(claim)
        #expect(bench.published.entries[0].limit == limit(30))
        #expect(bench.term("n") == term + 1)
    }

    @Test func `a shorter duration is honoured at once, and written when the longer grants have ended`() {
        let bench = Bench.leading("n")
        bench.publishesAtOnce = false
        bench.want("n", seconds: 12)
        bench.publish()
        #expect(bench.published.entries[0].limit == limit(12))
        #expect(bench.leads("n"))
        bench.publishesAtOnce = true
        bench.run(for: timing.grantsEnd - .nanoseconds(1))
        #expect(bench.leaseWrites("n").isEmpty)
        bench.run(for: .milliseconds(1))
        #expect(bench.store.lease("n")?.leaseDurationSeconds == 12)
        #expect(bench.leads("n"))
    }

    @Test func `a shorter duration is not written before the table with it is in use`() {
        let bench = Bench.leading("n")
        bench.publishesAtOnce = false
        bench.want("n", seconds: 12)
        bench.run(for: .seconds(8))
        #expect(bench.leaseWrites("n").isEmpty)
    }

    @Test func `the shortest duration sent counts until a later write is acknowledged, whatever is read back`()
        throws
    {
        let bench = Bench.leading("n")
        bench.want("n", seconds: 12)
        bench.holds = \.isLeaseWrite
        bench.run(for: .seconds(4))
        let shorter = try bench.only()
        #expect(shorter.leaseWrite?.record.leaseDurationSeconds == 12)
        bench.answer(shorter, .unclear)
        // Wanted longer again: the shorter write may still land.
        bench.want("n", seconds: 15)
        #expect(bench.published.entries[0].limit == limit(12))
        bench.run(for: .seconds(2))
        let longer = try bench.only()
        #expect(longer.leaseWrite?.record.leaseDurationSeconds == 15)
        bench.answer(longer, .unclearButLanded)
        #expect(bench.published.entries[0].limit == limit(12), "a read-back that shows the longer one is no proof")
        bench.run(for: .seconds(2))
        bench.answer(try bench.only())
        #expect(bench.published.entries[0].limit == limit(15))
    }

    @Test func `a shorter duration while a longer claim is in flight is honoured when that is acknowledged`() throws {
        let bench = Bench.leading("n")
        bench.holds = \.isLeaseWrite
        bench.want("n", seconds: 30)
        bench.run(for: .seconds(3))
        bench.want("n", seconds: 12)
        bench.answer(try bench.only())
        #expect(bench.published.entries[0].limit == limit(12))
        bench.run(for: .seconds(4))
        #expect(try bench.only().leaseWrite?.record.leaseDurationSeconds == 12)
    }

    @Test func `a lapsed claim is not replaced by a shorter one before the grants have ended`() {
        let bench = Bench.leading("n")
        bench.now.realtime += 100_000_000_000
        bench.want("n", seconds: 12)
        #expect(bench.leaseWrites("n").isEmpty)
        bench.run(for: timing.grantsEnd - .nanoseconds(1))
        #expect(bench.leaseWrites("n").isEmpty)
        bench.run(for: .milliseconds(1))
        #expect(bench.leads("n"))
    }

    @Test(arguments: [Int.min, -1, 0, 1, 3, 11, 301, 86_401, Int.max])
    func `a duration that cannot be kept safely is refused, said so, and the lease is given back`(seconds: Int) {
        let bench = Bench.leading("n")
        bench.want("n", seconds: seconds)
        #expect(bench.notes.contains { if case .refused("n", _) = $0 { true } else { false } })
        #expect(!bench.leads("n"))
        bench.run(for: .seconds(4))
        #expect(bench.store.lease("n")?.isFree == true)
        bench.want("n", seconds: 15)
        #expect(bench.leads("n"))
    }
}

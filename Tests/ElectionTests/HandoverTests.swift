import Election
import Testing

/// Planned handovers.
struct HandoverTests {
    private let timing = Timing()

    /// East leads "n"; north, live, is played by the test.
    private func leading() -> Bench {
        let bench = Bench.leading("n")
        bench.store.beat("north")
        bench.run(for: .seconds(3))
        bench.forget()
        return bench
    }

    /// East wants "n", which west holds.
    private func following() -> Bench {
        let bench = Bench.leading("m")
        bench.store.beat("west")
        bench.store.hold("n", by: "west")
        bench.want("n")
        bench.run(for: .seconds(3))
        bench.forget()
        return bench
    }

    // MARK: The holder

    @Test func `the holder gives a lease back when preferred and wanted agree on another live cluster`() {
        let bench = leading()
        bench.store.edit("n") {
            $0.preferredHolder = "north"
            $0.wantedBy = "north"
        }
        bench.step(.noticed)
        #expect(!bench.leads("n"))
        #expect(bench.notes.contains(.givingBack(namespace: "n", to: "north")))
        bench.run(for: timing.grantsEnd - .nanoseconds(1))
        #expect(bench.leaseWrites("n").isEmpty)
        bench.run(for: .milliseconds(1))
        let record = bench.store.lease("n")
        #expect(record?.isFree == true && record?.preferredHolder == "north" && record?.wantedBy == "north")
    }

    @Test(
        arguments: [("north", nil), (nil, "north"), ("north", "south"), ("nowhere", "nowhere"), ("east", "east")]
            as [(String?, String?)])
    func `the holder keeps a lease that no other live cluster was asked to take and wants`(
        preferred: String?, wantedBy: String?
    ) {
        let bench = leading()
        bench.store.edit("n") {
            $0.preferredHolder = preferred
            $0.wantedBy = wantedBy
        }
        bench.step(.noticed)
        for _ in 0..<20 {
            bench.store.beat("north")
            bench.run(for: .seconds(3))
            #expect(bench.leads("n"))
        }
    }

    @Test func `a holder whose successor falls silent before the lease is free takes it back`() {
        let bench = leading()
        bench.run(for: .seconds(10))
        bench.store.edit("n") {
            $0.preferredHolder = "north"
            $0.wantedBy = "north"
        }
        bench.step(.noticed)
        #expect(!bench.leads("n"))
        bench.store.beat("north", state: .stopped, quiet: 0)
        bench.run(for: .seconds(3))
        #expect(bench.leads("n"))
    }

    // MARK: The preferred cluster

    @Test func `a cluster that sees itself preferred and wants the namespace asks for it`() throws {
        let bench = following()
        let before = try #require(bench.store.member("east")?.leaseSequence)
        bench.store.prefer("east", for: "n")
        bench.run(for: .seconds(3))
        let record = try #require(bench.store.lease("n"))
        #expect(record.wantedBy == "east" && record.holderIdentity == "west" && record.term == 7)
        bench.store.beat("west")
        bench.run(for: .seconds(3))
        #expect(try #require(bench.store.member("east")?.leaseSequence) > before)
        #expect(bench.leaseWrites("n").count == 1, "it asks once")
    }

    @Test func `a cluster that does not want the namespace does not ask for it`() {
        let bench = following()
        bench.step(.wishes([Wish("n", .leaveOut)]))
        bench.store.prefer("east", for: "n")
        bench.run(for: .seconds(9))
        #expect(bench.leaseWrites("n").isEmpty)
    }

    @Test func `a cluster that is leaving does not ask`() {
        let bench = following()
        bench.step(.leave(.release))
        bench.store.prefer("east", for: "n")
        bench.step(.noticed)
        #expect(bench.leaseWrites("n").isEmpty)
    }

    @Test func `the preferred cluster claims the free lease at once and clears its own wish with the claim`() {
        let bench = following()
        bench.store.hold("n", by: "", preferred: "east", wantedBy: "east")
        bench.step(.noticed)
        #expect(bench.term("n") == 8)
        #expect(bench.store.lease("n")?.wantedBy == nil)
        #expect(bench.store.lease("n")?.preferredHolder == "east")
    }

    @Test(arguments: [Bench.Outcome.failed, .unclear, .unclearButLanded])
    func `a wish whose answer is lost is expressed all the same`(outcome: Bench.Outcome) throws {
        let bench = following()
        bench.holds = \.isLeaseWrite
        bench.store.prefer("east", for: "n")
        bench.run(for: .seconds(3))
        let lost = try bench.only()
        bench.holds = { _ in false }
        bench.answer(lost, outcome)
        bench.store.beat("west")
        bench.run(for: .seconds(2))
        #expect(bench.store.lease("n")?.wantedBy == "east")
    }

    // MARK: The others

    @Test func `a cluster that is not preferred waits two polls before it claims a lease that a live one asked for`() {
        let bench = Bench.leading("m")
        bench.store.beat("north")
        bench.run(for: .seconds(3))
        bench.store.hold("n", by: "", preferred: "north", wantedBy: "north")
        bench.want("n")
        bench.step(.noticed)
        bench.run(for: timing.pollInterval * 2 - .milliseconds(1))
        #expect(bench.leaseWrites("n").isEmpty)
        bench.run(for: .milliseconds(2))
        #expect(bench.leads("n"))
    }

    @Test func `a cluster that is not preferred claims a free lease at once when nobody live asked for it`() {
        for wantedBy in [nil, "nowhere", "north"] as [String?] {
            let bench = Bench.leading("m")
            bench.store.beat("north", state: .stopped, quiet: 0)
            bench.store.hold("n", by: "", preferred: "north", wantedBy: wantedBy)
            bench.run(for: .seconds(3))
            bench.want("n")
            bench.step(.noticed)
            #expect(bench.leads("n"))
        }
    }

    @Test func `a wish that its cluster dropped does not make others give the lease back again and again`() {
        // North asked, then no longer wanted the namespace: it lives on and never claims.
        let bench = leading()
        bench.store.edit("n") {
            $0.preferredHolder = "north"
            $0.wantedBy = "north"
        }
        bench.step(.noticed)
        var drops = 0
        for _ in 0..<100 {
            bench.forget()
            bench.store.beat("north")
            bench.run(for: .seconds(3))
            drops += bench.notes.count { if case .givingBack = $0 { true } else { false } }
        }
        #expect(bench.leads("n"))
        #expect(drops == 0)
    }

    @Test func `a new preference is seen by the notice, within a poll`() {
        let bench = following()
        bench.store.prefer("east", for: "n")
        bench.run(for: timing.pollInterval)
        #expect(bench.store.lease("n")?.wantedBy == "east")
    }
}

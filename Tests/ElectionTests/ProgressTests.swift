import Election
import Testing

/// Two or three electors on one store that never fails, in virtual time.
struct ProgressTests {
    private let timing = Timing()
    private let names = ["a", "b", "c", "d", "e"]

    private func cluster(_ name: String, on store: Records, offset: Duration) -> Bench {
        var start = Bench.start
        // Clocks are never compared between machines, so they may be anything.
        start.boottime += offset.nanoseconds * 1000
        start.realtime -= offset.nanoseconds * 77
        let bench = Bench(name, on: store, at: start)
        bench.want(names)
        return bench
    }

    private func clusters(_ count: Int) -> [Bench] {
        let store = Records()
        return (0..<count).map { cluster(["east", "west", "north"][$0], on: store, offset: .milliseconds(700 * $0)) }
    }

    /// Runs with the promise checked at every moment: no two clusters are admitted for one namespace.
    private func run(_ benches: [Bench], for time: Duration) {
        Bench.run(benches, for: time) {
            for name in names {
                #expect(benches.count { $0.leads(name) } <= 1, "two clusters are admitted for \(name)")
            }
        }
    }

    private func leaders(_ benches: [Bench]) -> [String?] {
        names.map { name in benches.first { $0.leads(name) }?.elector.identity.cluster }
    }

    @Test(arguments: [1, 2, 3]) func `every wanted namespace has a leader at once when all leases are free`(count: Int)
    {
        let benches = clusters(count)
        run(benches, for: .milliseconds(1))
        #expect(!leaders(benches).contains(nil))
    }

    @Test func `a leader that stays alive keeps its leases for hours`() {
        let benches = clusters(3)
        run(benches, for: .seconds(10))
        let before = leaders(benches)
        let terms = names.map { benches[0].store.lease($0)?.term }
        run(benches, for: .seconds(7200))
        #expect(leaders(benches) == before)
        #expect(names.map { benches[0].store.lease($0)?.term } == terms)
    }

    @Test(arguments: 0..<12) func `the leases of a leader that falls silent are led again within the promised time`(
        phase: Int
    ) {
        var benches = clusters(3)
        run(benches, for: .seconds(20) + .milliseconds(257 * phase))
        benches.removeFirst()  // never stepped again
        #expect(leaders(benches).allSatisfy { $0 == nil })
        run(benches, for: timing.staleness(ofSeconds: 15) + timing.pollInterval * 2)
        #expect(!leaders(benches).contains(nil))
    }

    @Test func `the leases of a leader that falls silent are not led before its window is over`() {
        let benches = clusters(2)
        run(benches, for: .seconds(20))
        let silent = benches[0]
        var other = benches[1].now
        // The silent one's table is still looked at: its process is paused, not dead, in the eyes of the check.
        for _ in 0..<300 {
            benches[1].run(for: .milliseconds(100))
            silent.pass(.milliseconds(100))
            for name in names { #expect(!(silent.leads(name) && benches[1].leads(name))) }
            other = benches[1].now
        }
        #expect(other.boottime > Bench.start.boottime)
        #expect(!leaders([benches[1]]).contains(nil))
        // And when it wakes up, its first look at the table says no.
        #expect(names.allSatisfy { !silent.leads($0) })
        run(benches, for: .seconds(10))
        #expect(leaders(benches).allSatisfy { $0 == "west" })
    }

    @Test func `a release hands all leases over within the grants and two polls`() {
        let benches = clusters(2)
        run(benches, for: .seconds(400))  // nothing inherited is left
        benches[0].step(.leave(.release))
        run(benches, for: timing.grantsEnd + timing.pollInterval * 2)
        #expect(benches[0].ending == .stopped)
        #expect(leaders(benches).allSatisfy { $0 == "west" })
    }

    @Test func `a handover keeps the leases in the cluster, with its successor leading at once`() {
        let benches = clusters(2)
        run(benches, for: .seconds(400))
        benches[0].step(.leave(.handover))
        let successor = Bench("east", incarnation: "2", on: benches[0].store, at: benches[0].now)
        successor.want(names)
        #expect(leaders([successor]).allSatisfy { $0 == "east" })
        run([successor, benches[1]], for: .seconds(60))
        #expect(leaders([successor]).allSatisfy { $0 == "east" })
    }

    @Test func `a standby replica takes over inside the cluster before another cluster can`() {
        let benches = clusters(2)
        run(benches, for: .seconds(20))
        let standby = Bench("east", incarnation: "2", on: benches[0].store, at: benches[0].now)
        standby.want(names)
        run([standby] + benches, for: .seconds(60))
        #expect(leaders([benches[0]]).allSatisfy { $0 == "east" }, "while the active one heartbeats, it goes on")
        run([standby, benches[1]], for: .seconds(13))
        #expect(leaders([standby]).allSatisfy { $0 == "east" })
        #expect(leaders([benches[1]]).allSatisfy { $0 == nil })
    }

    @Test func `a planned handover takes the grants, a poll and little more, and then nothing moves`() {
        let benches = clusters(3)
        run(benches, for: .seconds(400))
        #expect(leaders(benches)[0] == "east")
        benches[0].store.prefer("west", for: "a")
        // The notice is seen within a poll, the wish while leases are listed every half second, then the grants end.
        run(benches, for: timing.pollInterval + timing.grantsEnd + .seconds(1))
        #expect(leaders(benches) == ["west", "east", "east", "east", "east"])
        let term = benches[0].store.lease("a")?.term
        run(benches, for: .seconds(1200))
        #expect(leaders(benches)[0] == "west")
        #expect(benches[0].store.lease("a")?.term == term)
    }

    @Test func `with a notice that is seen at once a planned handover takes the grants and a second`() {
        let benches = clusters(2)
        run(benches, for: .seconds(400))
        benches[0].store.prefer("west", for: "a")
        for bench in benches { bench.step(.noticed) }
        run(benches, for: timing.grantDuration + .seconds(1))
        #expect(leaders(benches)[0] == "west")
    }

    @Test func `a preferred cluster gets its lease back when it returns`() {
        var benches = clusters(2)
        let store = benches[0].store
        run(benches, for: .seconds(400))
        store.prefer("east", for: "a")
        run(benches, for: .seconds(10))
        benches[0].step(.leave(.release))
        run(benches, for: .seconds(12))
        #expect(leaders(benches)[0] == "west")
        benches[0] = Bench("east", incarnation: "2", on: store, at: benches[0].now)
        benches[0].want(names)
        run(benches, for: .seconds(15))
        #expect(leaders(benches) == ["east", "west", "west", "west", "west"])
        run(benches, for: .seconds(600))
        #expect(leaders(benches) == ["east", "west", "west", "west", "west"])
    }

    @Test func `in the steady state two clusters each send two requests a renew interval`() {
        let benches = clusters(2)
        run(benches, for: .seconds(30))
        for bench in benches { bench.forget() }
        run(benches, for: .seconds(600))
        for bench in benches {
            // 200 heartbeats, 200 lists of members, 10 lists of leases.
            #expect(bench.sent.count == 410)
        }
    }

    @Test func `a restarted process whose record was deleted starts anew`() {
        var benches = clusters(2)
        run(benches, for: .seconds(20))
        benches[0].store.delete(.member("east"))
        run(benches, for: .seconds(3))
        #expect(benches[0].ending == .memberRecordGone)
        benches[0] = Bench("east", incarnation: "2", on: benches[0].store, at: benches[0].now)
        benches[0].want(names)
        run(benches, for: .seconds(1))
        #expect(leaders(benches).allSatisfy { $0 == "east" })
    }
}

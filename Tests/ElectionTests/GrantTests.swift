import Election
import Support
import Testing

struct GrantTests {
    private let timing = Timing()

    private func table(limit: Duration, anchor: Reading) -> LeadershipTable {
        LeadershipTable(
            cluster: "east", index: NamespaceIndex(["n", "o", "p"]), anchor: anchor,
            entries: [
                .init(state: .own, holder: 0, term: 7, limit: limit.nanoseconds, acquired: 5),
                .init(state: .other, holder: 1, term: 9, acquired: 6), .init(state: .unmanaged),
            ], holders: ["east", "west"])
    }

    private func leads(_ table: LeadershipTable, _ now: Reading) -> Bool {
        if case .leads = table.standing(of: "n", at: now) { true } else { false }
    }

    @Test func `a webhook's table says what the controller's said`() {
        let controller = table(limit: .seconds(10), anchor: Bench.start)
        let grant = Grant(of: controller, at: Bench.start, timing: timing)
        let webhook = LeadershipTable(granted: grant, askedAt: Bench.start, timing: timing)
        for slot in 0..<3 {
            #expect(webhook.standing(slot: slot, at: Bench.start) == controller.standing(slot: slot, at: Bench.start))
            #expect(webhook.tenure(slot) == controller.tenure(slot))
        }
        #expect(webhook.cluster == "east")
    }

    @Test func `a grant lasts one grant duration, less the commit margin and rho, from before it was asked for`() {
        let controller = table(limit: .seconds(10), anchor: Bench.start)
        let grant = Grant(of: controller, at: Bench.start, timing: timing)
        #expect(grant.entries.map(\.remaining) == [.seconds(1), .zero, .zero])
        let webhook = LeadershipTable(granted: grant, askedAt: Bench.start, timing: timing)
        var now = Bench.start
        now.boottime += 989_999_999
        #expect(leads(webhook, now))
        now.boottime += 1
        #expect(!leads(webhook, now))
    }

    @Test func `a grant near the end of the window is as short as what is left`() {
        let controller = table(limit: .seconds(10), anchor: Bench.start)
        var now = Bench.start
        now.boottime += 9_500_000_000
        #expect(Grant(of: controller, at: now, timing: timing).entries[0].remaining == .milliseconds(500))
        now.boottime += 500_000_000
        let ended = Grant(of: controller, at: now, timing: timing).entries[0]
        #expect(ended.remaining == .zero && ended.state == .lapsed)
    }

    @Test func `a clock of the controller that was set back gives no longer grant`() {
        var now = Bench.start
        now.boottime -= 1_000_000_000_000
        now.realtime -= 1_000_000_000_000
        now.monotonicRaw -= 1_000_000_000_000
        let controller = table(limit: .seconds(10), anchor: Bench.start)
        #expect(Grant(of: controller, at: now, timing: timing).entries[0].remaining == .seconds(1))
    }

    /// Two machines with clocks of any offset and any rate within rho, and any delays.
    @Test(arguments: 0..<8) func `no grant is used when the controller's window is over`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<5000 {
            let limit = Duration.milliseconds(random.within(1...15_000))
            let controllerRate = random.within(990_000...1_010_000)
            let webhookRate = random.within(990_000...1_010_000)
            let webhookOffset = random.within(-1_000_000...1_000_000) * 1_000_000
            func controller(_ time: Int64) -> Reading {
                let clock = time / 1_000_000 * controllerRate
                return Reading(boottime: clock, realtime: clock, monotonicRaw: clock)
            }
            func webhook(_ time: Int64) -> Reading {
                let clock = time / 1_000_000 * webhookRate + webhookOffset
                return Reading(boottime: clock, realtime: clock, monotonicRaw: clock)
            }
            // True times, in nanoseconds: asked, computed, received, used.
            let asked = random.within(0...20_000) * 1_000_000
            let computed = asked + random.within(0...2000) * 1_000_000
            let used = computed + random.within(0...10_000) * 1_000_000
            let table = table(limit: limit, anchor: controller(0))
            let grant = Grant(of: table, at: controller(computed), timing: timing)
            let granted = LeadershipTable(granted: grant, askedAt: webhook(asked), timing: timing)
            guard leads(granted, webhook(used)) else { continue }
            // The window is D·(1−rho) on the holder's clock, which others wait for with D·(1+rho): in true time the
            // limit divided by (1−rho) is what the grant must stay within.
            #expect(used <= limit.nanoseconds / 990_000 * 1_000_000 + 1_000_000)
            // And one grant duration divided by (1−rho), times (1−rho), after it was asked for.
            #expect(used - asked <= timing.grantDuration.nanoseconds)
        }
    }
}

import Election
import FoundationEssentials
import Support
import Testing

struct GrantTests {
    private let timing = Timing()

    private func table(
        limit: Duration, anchor: Reading, revision: UInt64 = 1, isActive: Bool = true
    ) -> LeadershipTable {
        LeadershipTable(
            cluster: "east", mark: TableMark(incarnation: "i1", revision: revision), isActive: isActive,
            index: NamespaceIndex(["n", "o", "p"]), anchor: anchor,
            entries: [
                .init(state: .own, holder: 0, term: 7, limit: limit.nanoseconds, acquired: 5),
                .init(state: .other, holder: 1, term: 9, acquired: 6), .init(state: .unmanaged),
            ], holders: ["east", "west"])
    }

    private func leads(_ table: LeadershipTable, _ now: Reading) -> Bool {
        if case .leads = table.standing(of: "n", at: now) { true } else { false }
    }

    /// What a webhook that asked at `asked` judges by, after the controller answered at `computed`.
    private func granted(
        _ table: LeadershipTable, computed: Reading = Bench.start, asked: Reading = Bench.start
    ) throws -> LeadershipTable {
        var client = GrantClient(cluster: "east")
        let grant = Grant(of: table, known: client.known, at: computed, timing: timing)
        return try #require(try client.take(grant, askedAt: asked))
    }

    @Test func `a webhook's table says what the controller's said`() throws {
        let controller = table(limit: .seconds(10), anchor: Bench.start)
        let webhook = try granted(controller)
        for slot in 0..<3 {
            #expect(webhook.standing(slot: slot, at: Bench.start) == controller.standing(slot: slot, at: Bench.start))
            #expect(webhook.tenure(slot) == controller.tenure(slot))
        }
        #expect(webhook.cluster == "east")
    }

    @Test func `a grant lasts one grant duration, less the commit margin and rho, from before it was asked for`()
        throws
    {
        let webhook = try granted(table(limit: .seconds(10), anchor: Bench.start))
        #expect(webhook.entries.map(\.limit) == [990_000_000, 0, 0])
        var now = Bench.start
        now.boottime += 989_999_999
        #expect(leads(webhook, now))
        now.boottime += 1
        #expect(!leads(webhook, now))
    }

    @Test func `a grant near the end of the window is as short as what is left`() throws {
        let controller = table(limit: .seconds(10), anchor: Bench.start)
        var now = Bench.start
        now.boottime += 9_500_000_000
        #expect(try granted(controller, computed: now).entries[0].limit == 495_000_000)
        now.boottime += 500_000_000
        let ended = try granted(controller, computed: now)
        #expect(ended.standing(slot: 0, at: Bench.start) == .vacant(slot: 0, reason: .lapsed))
    }

    @Test func `a clock of the controller that was set back gives no longer grant`() throws {
        var now = Bench.start
        now.boottime -= 1_000_000_000_000
        now.realtime -= 1_000_000_000_000
        now.monotonicRaw -= 1_000_000_000_000
        let controller = table(limit: .seconds(10), anchor: Bench.start)
        #expect(try granted(controller, computed: now).entries[0].limit == 990_000_000)
        #expect(
            try granted(table(limit: .milliseconds(300), anchor: Bench.start), computed: now).entries[0].limit
                == 297_000_000)
    }

    @Test func `a webhook that has the table is sent only what time has used up`() throws {
        var client = GrantClient(cluster: "east")
        let controller = table(limit: .seconds(10), anchor: Bench.start)
        let first = Grant(of: controller, known: client.known, at: Bench.start, timing: timing)
        let table = try client.take(first, askedAt: Bench.start)
        #expect(client.known == controller.mark)

        var later = Bench.start
        later.boottime += 500_000_000
        let second = Grant(of: controller, known: client.known, at: later, timing: timing)
        #expect(second.table == nil && second.elapsed == 500_000_000)
        let renewed = try client.take(second, askedAt: later)
        #expect(renewed?.anchor == later && renewed?.entries == table?.entries)
        #expect(renewed?.index === table?.index)

        let changed = self.table(limit: .seconds(5), anchor: Bench.start, revision: 2)
        #expect(Grant(of: changed, known: client.known, at: later, timing: timing).table != nil)
    }

    @Test func `an incarnation that is not active changes nothing`() throws {
        var client = GrantClient(cluster: "east")
        let standby = table(limit: .zero, anchor: Bench.start, isActive: false)
        let grant = Grant(of: standby, known: nil, at: Bench.start, timing: timing)
        #expect(grant.table == nil)
        #expect(try client.take(grant, askedAt: Bench.start) == nil)
        #expect(client.known == nil)
    }

    @Test func `an answer that is not usable is refused and changes nothing`() throws {
        let controller = table(limit: .seconds(10), anchor: Bench.start)
        var client = GrantClient(cluster: "west")
        #expect(throws: RecordError.self) {
            try client.take(Grant(of: controller, known: nil, at: Bench.start, timing: timing), askedAt: Bench.start)
        }
        client = GrantClient(cluster: "east")
        // The table is one that this webhook never got.
        #expect(throws: RecordError.self) {
            try client.take(
                Grant(of: controller, known: controller.mark, at: Bench.start, timing: timing), askedAt: Bench.start)
        }
        var torn = controller
        torn.entries[1].holder = 2
        #expect(throws: RecordError.self) {
            try client.take(Grant(of: torn, known: nil, at: Bench.start, timing: timing), askedAt: Bench.start)
        }
        #expect(client.known == nil)
    }

    @Test func `a grant reads back as it was written`() throws {
        let controller = table(limit: .seconds(10), anchor: Bench.start)
        for known in [nil, controller.mark] {
            let grant = Grant(of: controller, known: known, at: Bench.start, timing: timing)
            #expect(try JSONDecoder().decode(Grant.self, from: JSONEncoder().encode(grant)) == grant)
            var text = Array("before".utf8)
            try grant.write(to: &text)
            #expect(try JSONDecoder().decode(Grant.self, from: Data(text.dropFirst(6))) == grant)
            #expect(try Grant(text: Array(text.dropFirst(6))) == grant)
        }
    }

    private func randomGrant(_ random: inout SeededRandom, names: [String]) -> Grant {
        let states: [LeadershipTable.Entry.State] = [.own, .other, .unmanaged, .free, .lapsed, .unknown]
        let namespaces = Array(names.prefix(random.below(names.count + 1)))
        let entries = namespaces.map { _ in
            LeadershipTable.Entry(
                state: random.pick(states), holder: Int32(random.within(-1...2)),
                term: random.next() >> UInt64(random.below(64)), limit: random.within(-5...15_000_000_000),
                acquired: random.within(-1_000_000...2_000_000_000_000_000),
                transitions: Int32(random.within(-3...1_000_000)))
        }
        let whole = LeadershipTable(
            cluster: random.pick(names),
            mark: TableMark(incarnation: random.pick(names), revision: random.next() >> UInt64(random.below(64))),
            isActive: random.chance(90), index: NamespaceIndex(namespaces), anchor: Bench.start,
            entries: ContiguousArray(entries), holders: (0..<random.below(4)).map { _ in random.pick(names) })
        return Grant(of: whole, known: random.chance(20) ? whole.mark : nil, at: Bench.start, timing: timing)
    }

    /// With names that are none of ours, too.
    @Test(arguments: 0..<8) func `what a grant is read from is what Foundation reads it from`(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for round in 0..<400 {
            let plain = ["n", "team-a", "east", "", "a.b"]
            let grant = randomGrant(
                &random,
                names: round % 4 == 0 ? plain + ["quo\"te", "back\\slash", "ä", "line\nfeed", "\u{1F600}"] : plain)
            var text: [UInt8] = []
            try grant.write(to: &text)
            #expect(try Grant(text: text) == grant)
            #expect(try JSONDecoder().decode(Grant.self, from: Data(text)) == grant)
            #expect(try Grant(text: Array(JSONEncoder().encode(grant))) == grant)
            // Damaged: whatever Foundation makes of it.
            let bytes = Array("{}[],:\"\\-0123456789.eE \ntrue".utf8)
            for _ in 0...random.below(2) {
                let place = random.below(text.count)
                switch random.below(3) {
                case 0: text[place] = random.pick(bytes)
                case 1: text.insert(random.pick(bytes), at: place)
                default: text.removeSubrange(place..<min(text.count, place + 1 + random.below(9)))
                }
            }
            let expected = try? JSONDecoder().decode(Grant.self, from: Data(text))
            #expect((try? Grant(text: text)) == expected, "\(String(decoding: text, as: UTF8.self))")
        }
    }

    /// Most answers change nothing but the anchor, and cost nothing for each namespace.
    @Test(arguments: 0..<8) func `a table that is used again is the one that would be made anew`(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var client = GrantClient(cluster: "east")
        var (now, revision) = (Bench.start, UInt64(1))
        var controller = table(limit: .seconds(10), anchor: now)
        for _ in 0..<2000 {
            let pause = random.within(0...1500) * 1_000_000
            now.boottime += pause
            now.realtime += pause
            now.monotonicRaw += pause
            if random.chance(30) { controller.anchor = now }
            if random.chance(10) {
                revision += 1
                controller = table(
                    limit: .milliseconds(random.within(0...15_000)), anchor: controller.anchor, revision: revision)
            }
            var timing = timing
            if random.chance(5) { timing.grantDuration = .seconds(4) }
            let grant = Grant(of: controller, known: client.known, at: now, timing: timing)
            var other = GrantClient(cluster: "east")
            let fresh = Grant(of: controller, known: nil, at: now, timing: timing)
            #expect(try client.take(grant, askedAt: now) == other.take(fresh, askedAt: now))
        }
    }

    /// Two machines with clocks of any offset and any rate within rho, and any delays.
    @Test(arguments: 0..<8) func `no grant is used when the controller's window is over`(seed: UInt64) throws {
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
            let granted = try granted(table, computed: controller(computed), asked: webhook(asked))
            guard leads(granted, webhook(used)) else { continue }
            // The window is D·(1−rho) on the holder's clock, which others wait for with D·(1+rho): in true time the
            // limit divided by (1−rho) is what the grant must stay within.
            #expect(used <= limit.nanoseconds / 990_000 * 1_000_000 + 1_000_000)
            // And one grant duration divided by (1−rho), times (1−rho), after it was asked for.
            #expect(used - asked <= timing.grantDuration.nanoseconds)
        }
    }
}

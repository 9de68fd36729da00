import Election
import Platform
import Support
import Testing

@testable import Commands

/// What a webhook makes of its controllers' answers. Nothing here depends on how fast it asks.
struct GrantKeeperTests {
    private let fake = FakeControllers()
    private let lines = Locked<[String]>([])

    /// A keeper that runs until `body` has returned.
    private func keeping(
        _ addresses: String..., denies: Bool = true, resolve: @escaping GrantKeeper.Resolve = { [$0] },
        _ body: (GrantKeeper) async throws -> Void
    ) async throws {
        let lines = lines
        let keeper = GrantKeeper(
            cluster: "east", addresses: addresses.compactMap { GrantAddress($0) }, denies: denies,
            log: Log { line in lines.withLock { $0.append(line) } }, ask: fake.ask, resolve: resolve,
            readClocks: { [fake] in fake.now })
        let running = Task { await keeper.run() }
        defer { running.cancel() }
        try await body(keeper)
    }

    private func standing(_ keeper: GrantKeeper) -> LeadershipTable.Standing {
        keeper.board.table().standing(of: "team-a", at: fake.now)
    }

    private func leads(_ keeper: GrantKeeper, term: UInt64 = 7) async throws {
        try await eventually("it may admit by term \(term)") { standing(keeper) == .leads(term: term) }
    }

    private func isSilent(_ keeper: GrantKeeper) async throws {
        try await eventually("nothing is known") { standing(keeper) == .vacant(slot: nil, reason: .silent) }
    }

    private func lines(with text: String) -> Int { lines.withLock { $0.count { $0.contains(text) } } }

    @Test func `before the first grant nothing may be admitted`() async throws {
        try await keeping("a:1") { keeper in
            #expect(standing(keeper) == .vacant(slot: nil, reason: .silent))
            #expect(keeper.status.checks().first?.problem != nil)
        }
        try await keeping("a:1", denies: false) { keeper in
            #expect(keeper.status.checks().isEmpty, "what denies nothing is ready at once")
        }
    }

    @Test func `an active controller's grant may be acted on, and counts from before the question`() async throws {
        fake.set("a:1", .answers(fake.table("i1")))
        try await keeping("a:1") { keeper in
            try await leads(keeper)
            #expect(keeper.board.table().anchor == FakeControllers.start)
            #expect(keeper.status.checks().first?.problem == nil)
            // One grant duration less the commit margin and rho.
            fake.set("a:1", .hangs)
            fake.advance(.milliseconds(99))
            #expect(standing(keeper) != .leads(term: 7))
        }
    }

    @Test func `grants follow one another without a line in the log`() async throws {
        fake.set("a:1", .answers(fake.table("i1")))
        try await keeping("a:1") { keeper in
            try await leads(keeper)
            for _ in 0..<5 {
                fake.advance(.milliseconds(50))
                fake.set("a:1", .answers(fake.table("i1")))
                try await fake.waitForAnswer(of: "a:1")
            }
            try await leads(keeper)
            #expect(lines.withLock { $0.count } == 1)
            #expect(lines(with: "Admits by the grants of a controller from now on controller=a:1") == 1)
        }
    }

    @Test func `a standby grants nothing, and is asked until it is active`() async throws {
        fake.set("a:1", .answers(fake.table("i1")))
        fake.set("b:1", .answers(fake.table("i2", isActive: false)))
        try await keeping("a:1", "b:1") { keeper in
            try await leads(keeper)
            fake.set("a:1", .refuses)
            fake.advance(.seconds(1))
            try await isSilent(keeper)
            fake.set("b:1", .answers(fake.table("i2", term: 8)))
            try await leads(keeper, term: 8)
            #expect(lines(with: "Denies every guarded write") == 1)
            #expect(lines(with: "Grants are back after 1 s controller=b:1") == 1)
        }
    }

    @Test func `a grant in force outlives the taking over, until its lease is regained or the grant ends`() async throws
    {
        fake.set("a:1", .answers(fake.table("i1")))
        fake.set("b:1", .answers(fake.table("i2", isActive: false)))
        try await keeping("a:1", "b:1") { keeper in
            try await leads(keeper)
            fake.set("a:1", .refuses)
            for state in [LeadershipTable.Entry.State.unknown, .lapsed] {
                fake.advance(.milliseconds(10))
                fake.set("b:1", .answers(fake.table("i2", revision: state == .lapsed ? 2 : 1, state: state)))
                try await fake.waitForAnswer(of: "b:1")
                #expect(standing(keeper) == .leads(term: 7))
            }
            fake.set("b:1", .answers(fake.table("i2", revision: 3, term: 8)))
            try await leads(keeper, term: 8)

            fake.set("b:1", .refuses)
            fake.advance(.milliseconds(100))
            fake.set("a:1", .answers(fake.table("i3", term: 8, state: .lapsed)))
            try await eventually("what is known counts when nothing is granted any more") {
                standing(keeper) == .vacant(slot: 0, reason: .lapsed)
            }
            #expect(await keeper.pace(after: .zero) < FakeControllers.timing.grantDuration / 6)
        }
    }

    @Test func `another cluster's lease is believed at once`() async throws {
        fake.set("a:1", .answers(fake.table("i1")))
        try await keeping("a:1", "b:1") { keeper in
            try await leads(keeper)
            fake.set("a:1", .refuses)
            fake.advance(.milliseconds(10))
            fake.set("b:1", .answers(fake.table("i2", state: .other)))
            try await eventually("it follows") { standing(keeper) == .follows(slot: 0) }
        }
    }

    @Test func `whoever takes over is looked for in haste, but not for ever`() async throws {
        fake.set("a:1", .answers(fake.table("i1")))
        try await keeping("a:1") { keeper in
            try await leads(keeper)
            let regular = await keeper.pace(after: .zero)
            #expect(regular <= FakeControllers.timing.grantDuration / 6)
            fake.set("a:1", .answers(fake.table("i1", revision: 2, isActive: false)))
            try await eventually("it makes haste, as the active one leaves") {
                await keeper.pace(after: .zero) < regular
            }
            fake.advance(.seconds(10))
            try await eventually("it has calmed down") { await keeper.pace(after: .zero) == regular }
            fake.set("a:1", .answers(fake.table("i2")))
            try await leads(keeper)
            fake.set("a:1", .refuses)
            fake.advance(.milliseconds(90))
            try await eventually("it makes haste, as the active one does not answer") {
                await keeper.pace(after: .zero) < regular
            }
            #expect(await keeper.pace(after: .seconds(1)) == regular)
        }
    }

    @Test func `a controller that hangs keeps nobody from asking another`() async throws {
        fake.set("a:1", .hangs)
        fake.set("b:1", .answers(fake.table("i2")))
        try await keeping("a:1", "b:1") { keeper in try await leads(keeper) }
    }

    @Test func `of two that think that they are active, the one that renewed last counts`() async throws {
        fake.set("a:1", .answers(fake.table("i1")))
        try await keeping("a:1", "b:1") { keeper in
            try await leads(keeper)
            // The first does not hear from the store any more, and goes on answering.
            let heartbeat = fake.now
            fake.advance(.milliseconds(90))
            fake.set("b:1", .answers(fake.table("i2", term: 8)))
            try await leads(keeper, term: 8)
            for _ in 0..<3 {
                try await fake.waitForAnswer(of: "a:1")
                #expect(standing(keeper) == .leads(term: 8))
            }
            fake.set("a:1", .answers(fake.table("i1", heartbeat: heartbeat)))
            try await fake.waitForAnswer(of: "a:1")
            #expect(standing(keeper) == .leads(term: 8))
        }
    }

    @Test func `an answer that rests on a table which another's has replaced is late, not wrong`() async throws {
        fake.set("a:1", .answers(fake.table("i1")))
        try await keeping("a:1", "b:1") { keeper in
            try await leads(keeper)
            fake.advance(.milliseconds(10))
            let heartbeat = fake.now
            fake.advance(.milliseconds(10))
            fake.set("a:1", .hesitates)
            let asked = fake.questions("a:1")
            try await eventually("it is asked, and told which table is known") { fake.questions("a:1") > asked }
            fake.set("b:1", .answers(fake.table("i2", term: 8, heartbeat: heartbeat)))
            try await leads(keeper, term: 8)
            // It has renewed since.
            fake.set("a:1", .answers(fake.table("i1")))
            try await fake.waitForAnswer(of: "a:1")
            #expect(lines(with: "cannot be used") == 0)
            try await leads(keeper, term: 7)
        }
    }

    @Test func `one that says that it has been replaced gives way at once`() async throws {
        let heartbeat = fake.now
        fake.set("a:1", .answers(fake.table("i1")))
        try await keeping("a:1", "b:1") { keeper in
            try await leads(keeper)
            fake.set("a:1", .answers(fake.table("i1", revision: 2, isActive: false)))
            // As early as a heartbeat can seem to be.
            fake.set("b:1", .answers(fake.table("i2", term: 8, heartbeat: heartbeat)))
            try await leads(keeper, term: 8)
            #expect(lines(with: "Another controller of this cluster grants from now on controller=b:1") == 1)
        }
    }

    @Test func `silence is told of once, with its reason, on every channel`() async throws {
        fake.set("a:1", .answers(fake.table("i1")))
        try await keeping("a:1") { keeper in
            try await leads(keeper)
            fake.set("a:1", .refuses)
            fake.advance(.milliseconds(100))
            try await isSilent(keeper)
            #expect(keeper.board.table().silentSince == FakeControllers.start.realtime / 1000)
            // It may be a hiccup.
            #expect(lines(with: "Denies every guarded write") == 0)
            fake.advance(.seconds(2))
            for _ in 0..<3 { try await fake.waitForAnswer(of: "a:1") }
            #expect(lines(with: "Denies every guarded write") == 1)
            #expect(lines(with: "(a:1: nobody listens there)") == 1)
            #expect(keeper.status.problems == "a:1: nobody listens there")
            // What it denies says why, as no API server without an endpoint could.
            #expect(keeper.status.checks().allSatisfy { $0.problem == nil }, "it was granted something once")
            let metrics = MetricFamily.text(keeper.status.families(at: fake.now))
            #expect(metrics.contains("leasehold_grant_in_force 0\n"))
            #expect(metrics.contains("leasehold_grant_age_seconds 2.1\n"))
        }
    }

    @Test func `a short silence is bridged without a line`() async throws {
        fake.set("a:1", .answers(fake.table("i1")))
        try await keeping("a:1") { keeper in
            try await leads(keeper)
            fake.set("a:1", .refuses)
            fake.advance(.milliseconds(100))
            try await isSilent(keeper)
            fake.set("a:1", .answers(fake.table("i1")))
            try await leads(keeper)
            #expect(lines.withLock { $0.count } == 1)
        }
    }

    @Test func `a controller of another cluster is refused, which is said once`() async throws {
        fake.set("a:1", .answers(fake.table("i1", cluster: "west")))
        try await keeping("a:1") { keeper in
            for _ in 0..<3 { try await fake.waitForAnswer(of: "a:1") }
            #expect(standing(keeper) == .vacant(slot: nil, reason: .silent))
            #expect(lines(with: #"it is for cluster "west", this webhook belongs to "east""#) == 1)
        }
    }

    @Test func `an answer that is no grant changes nothing, and is said once`() async throws {
        fake.set("a:1", .answers(fake.table("i1")))
        fake.set("b:1", .talksNonsense)
        try await keeping("a:1", "b:1") { keeper in
            try await leads(keeper)
            for _ in 0..<3 { try await fake.waitForAnswer(of: "b:1") }
            try await leads(keeper)
            #expect(lines(with: "The answer of the controller at b:1 cannot be used: nonsense") == 1)
        }
    }

    @Test func `all controllers behind a name are asked, new ones too, and those that went no more`() async throws {
        let pods = Locked(["10.0.0.1:1", "10.0.0.2:1"])
        fake.set("10.0.0.1:1", .answers(fake.table("i1", isActive: false)))
        fake.set("10.0.0.2:1", .answers(fake.table("i2")))
        let resolve: GrantKeeper.Resolve = { _ in pods.withLock { $0.compactMap { GrantAddress($0) } } }
        try await keeping("controllers:1", resolve: resolve) { keeper in
            try await leads(keeper)
            pods.withLock { $0 = ["10.0.0.3:1"] }
            fake.advance(.milliseconds(50))
            fake.set("10.0.0.3:1", .answers(fake.table("i3", term: 9)))
            try await leads(keeper, term: 9)
            let before = fake.questions("10.0.0.2:1")
            try await fake.waitForAnswer(of: "10.0.0.3:1")
            #expect(fake.questions("10.0.0.2:1") == before)
        }
    }

    @Test func `of all behind a name the active one is found, and stayed with`() async throws {
        let pods = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]
        for pod in pods.dropLast() { fake.set(pod, .answers(fake.table("i\(pod)", isActive: false))) }
        fake.set("10.0.0.3:1", .answers(fake.table("i3")))
        // In another order each time, as name servers answer.
        let resolve: GrantKeeper.Resolve = { _ in pods.shuffled().compactMap { GrantAddress($0) } }
        try await keeping("controllers:1", resolve: resolve) { keeper in
            try await leads(keeper)
            for pod in pods { try await fake.waitForAnswer(of: pod) }
            try await leads(keeper)
            // Neither went nor came.
            #expect(lines.withLock { $0.count } == 1)
        }
    }

    @Test func `a name that leads to nobody any more ends the grant, and is told of`() async throws {
        let pods = Locked(["10.0.0.1:1"])
        fake.set("10.0.0.1:1", .answers(fake.table("i1")))
        let resolve: GrantKeeper.Resolve = { _ in pods.withLock { $0.compactMap { GrantAddress($0) } } }
        try await keeping("controllers:1", resolve: resolve) { keeper in
            try await leads(keeper)
            pods.withLock { $0 = [] }
            fake.set("10.0.0.1:1", .refuses)
            try await eventually("it is told of") { keeper.status.problems == "controllers: its name has no address" }
            fake.advance(.seconds(1))
            try await isSilent(keeper)
        }
    }

    @Test func `a name that cannot be resolved is told of, and its controllers are asked on`() async throws {
        let isBroken = Locked(false)
        fake.set("10.0.0.1:1", .answers(fake.table("i1")))
        let resolve: GrantKeeper.Resolve = { _ in
            if isBroken.withLock({ $0 }) { throw CommandFailure("no such name") }
            return [GrantAddress("10.0.0.1:1")].compactMap(\.self)
        }
        try await keeping("controllers:1", resolve: resolve) { keeper in
            try await leads(keeper)
            isBroken.withLock { $0 = true }
            try await eventually("it is told of") { keeper.status.problems == "controllers: no such name" }
            try await fake.waitForAnswer(of: "10.0.0.1:1")
            #expect(standing(keeper) == .leads(term: 7))
        }
    }

    @Test func `whatever a controller says of its numbers, the webhook does not crash`() async throws {
        var table = fake.table("i1")
        table.anchor = Reading(boottime: .min, realtime: .min, monotonicRaw: .min)
        fake.set("a:1", .answers(table))
        try await keeping("a:1") { keeper in
            for _ in 0..<2 { try await fake.waitForAnswer(of: "a:1") }
            #expect(standing(keeper) != .leads(term: 7))
        }
    }
}

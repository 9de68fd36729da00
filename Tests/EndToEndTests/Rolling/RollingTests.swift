import FoundationEssentials
import Support
import Testing

/// What rolling updates of a cluster's processes cost those who write, measured under load and printed.
@Suite(.serialized) struct RollingTests {
    /// How often each update is done: more than once only to measure.
    private static let rounds = environment["LEASEHOLD_ROLLS"].flatMap { Int($0) } ?? 1
    /// Of the controllers whose rolling update is measured.
    private static let flags = (environment["LEASEHOLD_ROLLS_FLAGS"] ?? "").split(separator: " ").map(String.init)
    private static let environment = ProcessInfo.processInfo.environment

    /// Starts a fleet and its load, and ends both whatever happens.
    private func underLoad(
        _ timing: [String] = [], _ body: (RollingFleet, ServiceLoad) async throws -> Void
    ) async throws {
        let fleet = try await RollingFleet.start(timing)
        let load = try ServiceLoad(fleet.webhooks.map(\.port), authority: fleet.authority)
        do {
            try await load.untilAdmitted()
            try await body(fleet, load)
        } catch {
            await load.stop()
            throw ChildProcess.Failure("\(error)\n\(fleet.logs)")
        }
        await load.stop()
        try await fleet.end()
    }

    private func expectNobodyElseLed(_ fleet: RollingFleet, since start: ContinuousClock.Instant) {
        for case (_, .lease(let holder, _)) in fleet.events(since: start) { #expect(holder == "east") }
    }

    @Test func `a rolling update of controllers costs no write of a client that tries again when it is told to`()
        async throws
    {
        try await underLoad(Self.flags) { fleet, load in
            let start = ContinuousClock.now
            var ends: [ContinuousClock.Instant] = []
            for _ in 0..<Self.rounds { ends += try await fleet.rollControllers(under: load) }
            await load.stop()
            let report = RollingReport(
                (["Rolling update of controllers"] + Self.flags).joined(separator: " "), fleet, load, since: start,
                ends: ends)
            print(report)
            // Whoever is denied is told to try again, and that is all that happens.
            let meant: Set<ServiceLoad.Verdict> = [.admitted, .denied(code: 503, retryAfterSeconds: 1)]
            #expect(report.count { !meant.contains($0) } == 0, "\(report)\n\(fleet.logs)")
            #expect(!report.writes.isEmpty && report.writes.allSatisfy { $0.verdict == .admitted }, "\(report)")
            expectNobodyElseLed(fleet, since: start)
        }
    }

    @Test func `no write is denied by a rolling update of controllers whose grants outlast a handover`() async throws {
        try await underLoad(["--grant-duration", "20s", "--lease-duration", "60s"]) { fleet, load in
            let start = ContinuousClock.now
            let ends = try await fleet.rollControllers(under: load)
            await load.stop()
            let report = RollingReport(
                "Rolling update of controllers, --grant-duration 20s", fleet, load, since: start, ends: ends)
            print(report)
            #expect(report.count { $0 != .admitted } == 0, "\(report)\n\(fleet.logs)")
            expectNobodyElseLed(fleet, since: start)
        }
    }

    @Test func `a rolling update of webhooks costs no write at all`() async throws {
        // With grants that outlast any hiccup of the machine.
        try await underLoad(["--grant-duration", "20s", "--lease-duration", "60s"]) { fleet, load in
            let start = ContinuousClock.now
            var ends: [ContinuousClock.Instant] = []
            for _ in 0..<Self.rounds { ends += try await fleet.rollWebhooks(under: load) }
            await load.stop()
            let report = RollingReport("Rolling update of webhooks", fleet, load, since: start, ends: ends)
            print(report)
            #expect(report.count { $0 != .admitted } == 0, "\(report)\n\(fleet.logs)")
        }
    }
}

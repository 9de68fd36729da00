import Chaos
import Testing

/// A minute of `make chaos`.
struct ChaosTests {
    @Test func `whatever is broken, no two clusters admit at once, and all is well again after`() async throws {
        let report = try await ChaosRun(ChaosSettings(seed: 3, duration: .seconds(60))).run()
        print(report.text)
        // Not how long each failover took: other programs use the machine, too.
        #expect(report.isSafe, "\(report.text)")
        #expect(!report.isIdle, "nothing was tried: \(report.text)")
    }
}

import Chaos
import Testing

/// Half a minute of `make soak`, without an API server.
struct SoakTests {
    @Test func `under load, faults and reloads no process uses more and more`() async throws {
        let report = try await Soak.run(ChaosSettings(seed: 8, duration: .seconds(30)), isShort: true)
        print(report.text)
        // Not in the macro, which would print all samples.
        let isFlat = report.isFlat
        #expect(isFlat, "\(report.text)")
    }
}

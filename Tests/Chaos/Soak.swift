private import FoundationEssentials
internal import Support

/// Real processes under load for long, in trouble that they must live through; then: do they use more and more?
package enum Soak {
    struct Plan: Sendable {
        /// Of the samples.
        let interval: Duration
        let hasAPIServer: Bool
        let tolerance: Usage.Tolerance
    }

    /// - Parameters:
    ///   - settings: its schedule of faults is a soak's own.
    ///   - isShort: without an API server, which takes a while to start.
    /// - Throws: when it cannot be started.
    package static func run(_ settings: ChaosSettings, isShort: Bool = false) async throws -> SoakReport {
        var tolerance: Usage.Tolerance = settings.duration < .seconds(900) ? .short : .long
        // A sanitizer keeps what is freed; it sees for itself what leaks.
        if Sanitizer.isPresent { tolerance.memory = 4096 }
        let plan = Plan(
            interval: max(.milliseconds(400), settings.duration / 240), hasAPIServer: !isShort, tolerance: tolerance)
        var settings = settings
        settings.soak = plan
        let apiServer = isShort ? nil : try await ChaosAPIServer()
        return SoakReport(try await ChaosRun(settings, apiServer: apiServer).run(), plan.tolerance)
    }
}

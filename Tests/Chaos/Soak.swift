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
    ///   - isShort: of half a minute, without an API server.
    /// - Throws: when it cannot be started.
    package static func run(_ settings: ChaosSettings, isShort: Bool = false) async throws -> SoakReport {
        var settings = settings
        settings.soak = Plan(
            interval: max(.milliseconds(400), settings.duration / 240), hasAPIServer: !isShort,
            tolerance: isShort ? .short : .long)
        let apiServer = isShort ? nil : try await ChaosAPIServer()
        return SoakReport(try await ChaosRun(settings, apiServer: apiServer).run(), settings.soak?.tolerance ?? .long)
    }
}

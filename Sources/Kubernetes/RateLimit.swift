/// A token bucket for calls to the API server.
package struct RateLimit: Hashable, Sendable {
    package var callsPerSecond: Double
    package var burst: Int

    package init(callsPerSecond: Double = 50, burst: Int = 100) {
        self.callsPerSecond = callsPerSecond
        self.burst = burst
    }
}

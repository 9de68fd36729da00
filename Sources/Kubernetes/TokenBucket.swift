/// Who may call when, under a ``RateLimit``: calls get their times in the order in which they ask.
///
/// A value without a clock; the wait is its owner's. A call that gives up waiting leaves its time unused.
struct TokenBucket {
    private let interval: Duration
    private let burst: Int
    /// When a bucket that is filled from now on without a further call will be full.
    private var full = Duration.zero

    init(_ limit: RateLimit) {
        precondition(limit.callsPerSecond > 0 && limit.burst > 0, "a rate limit must let something through")
        interval = .seconds(1 / limit.callsPerSecond)
        burst = limit.burst
    }

    /// Takes the next place in the line.
    ///
    /// - Parameter now: time since any fixed moment, never going back.
    /// - Returns: how long to wait before the call; zero: it may be sent now.
    mutating func take(at now: Duration) -> Duration {
        full = max(full, now) + interval
        return max(.zero, full - interval * burst - now)
    }
}

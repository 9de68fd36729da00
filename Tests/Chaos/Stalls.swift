internal import Platform

/// Notices when this program gets no processor, so that a time it measured may be longer than the truth.
final class Stalls: Sendable {
    struct Stall: Hashable, Sendable {
        let end: ContinuousClock.Instant
        let length: Duration
    }

    private static let pause = Duration.milliseconds(5)
    private static let lengthMin = Duration.milliseconds(50)

    private let found = Locked<[Stall]>([])
    private let isStopping = Locked(false)

    /// Watches, as one task of several, until ``stop()``.
    func run() async {
        var last = ContinuousClock.now
        while !isStopping.withLock({ $0 }) {
            try? await Task.sleep(for: Self.pause, clock: .continuous)
            let now = ContinuousClock.now
            let length = now - last - Self.pause
            if length >= Self.lengthMin { found.withLock { $0.append(Stall(end: now, length: length)) } }
            last = now
        }
    }

    func stop() { isStopping.withLock { $0 = true } }

    var isStopped: Bool { isStopping.withLock { $0 } }

    /// All that ended since a moment, together.
    func total(since start: ContinuousClock.Instant, until end: ContinuousClock.Instant = .now) -> Duration {
        found.withLock { $0.reduce(.zero) { $1.end > start && $1.end - $1.length < end ? $0 + $1.length : $0 } }
    }

    var longest: Duration { found.withLock { $0.map(\.length).max() ?? .zero } }
}

/// Growing pauses between tries, each shortened at random so that many clients do not come back at once.
struct Backoff: Sendable {
    // client-go's reflector begins at 0.8 s and goes to 30 s; an election must see its API server sooner again.
    static let first = Duration.milliseconds(800)
    static let limit = Duration.seconds(10)
    private var failures = 0

    /// - Returns: between half of the pause and all of it.
    mutating func next() -> Duration {
        let pause = min(Self.first * (1 << min(failures, 10)), Self.limit)
        failures += 1
        return pause * Double.random(in: 0.5...1)
    }

    mutating func reset() { failures = 0 }
}

import Platform
import Testing

/// Waits for a condition that other tasks bring about; the limit is only for tests that fail.
func eventually(
    _ what: Comment, limit: Duration = .seconds(100), location: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        try #require(ContinuousClock.now < deadline, what, sourceLocation: location)
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// The lines that a log wrote.
final class Lines: Sendable {
    private let lines = Locked<[String]>([])

    var log: Log { Log { [lines] line in lines.withLock { $0.append(line) } } }
    var all: [String] { lines.withLock { $0 } }

    func contains(_ text: String) -> Bool { all.contains { $0.contains(text) } }
    func count(of text: String) -> Int { all.count { $0.contains(text) } }
}

import Testing

/// Starts one ``Fleet`` for all tests of a suite, and ends it after the last of them.
///
/// Each test leaves it as it found it: the first cluster leads `team-a`, and every Leasehold runs.
struct SharedFleet: SuiteTrait, TestScoping {
    @TaskLocal private static var current: Fleet?

    let names: [String]
    let arguments: [String]

    /// That of the suite whose test is running.
    static func fleet() throws -> Fleet { try #require(current, "the suite has the trait .fleet") }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let fleet = try await Fleet.start(names, arguments)
        try await Self.$current.withValue(fleet) { try await function() }
        await fleet.end()
    }
}

extension Trait where Self == SharedFleet {
    /// - Parameter arguments: for every `leasehold run`; they override those of ``Fleet``.
    static func fleet(_ names: [String] = ["east", "west"], _ arguments: [String] = []) -> Self {
        SharedFleet(names: names, arguments: arguments)
    }
}

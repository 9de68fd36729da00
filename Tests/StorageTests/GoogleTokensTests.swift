import Platform
import Support
import Testing

@testable import Storage

/// How tokens are kept and renewed, with a clock that the tests set.
@Suite struct GoogleTokensTests {
    /// Hands out tokens, and remembers who asked.
    private final class Issuer: Sendable {
        private struct State {
            var now = ContinuousClock.now
            var fetches = 0
            var failing: String?
            var warnings: [String] = []
        }

        private let state = Locked(State())
        let gate: Gate?

        init(gate: Gate? = nil) { self.gate = gate }

        var fetches: Int { state.withLock { $0.fetches } }
        var warnings: [String] { state.withLock { $0.warnings } }

        var failing: String? {
            get { state.withLock { $0.failing } }
            set { state.withLock { $0.failing = newValue } }
        }

        func advance(by time: Duration) { state.withLock { $0.now = $0.now + time } }

        /// Each token lives an hour.
        func tokens() -> GoogleTokens {
            let fetch: GoogleTokens.Fetch = { _ in
                let (number, now, failing) = self.state.withLock { state in
                    state.fetches += 1
                    return (state.fetches, state.now, state.failing)
                }
                await self.gate?.wait()
                if let failing { return .failure(GoogleCredentialError(failing)) }
                return .success(AccessToken("token-\(number)", lifetime: .seconds(3600), sent: now))
            }
            return GoogleTokens(
                source: "the trial account", now: { self.state.withLock { $0.now } },
                warn: { text in self.state.withLock { $0.warnings.append(text) } }, fetch: fetch)
        }

        /// Waits until a renewal in the background has ended, in either way.
        func settled(_ tokens: GoogleTokens) async {
            _ = await tokens.renewal?.value
        }
    }

    private func take(_ tokens: GoogleTokens) async throws -> String {
        try await tokens.token(within: GCSTrial.long)
    }

    @Test func `a token is fetched once and kept`() async throws {
        let issuer = Issuer()
        let tokens = issuer.tokens()
        #expect(issuer.fetches == 0)
        for _ in 0..<3 { #expect(try await take(tokens) == "token-1") }
        issuer.advance(by: .seconds(3000))
        #expect(try await take(tokens) == "token-1")
        #expect(issuer.fetches == 1)
    }

    @Test func `callers that come together share one request`() async throws {
        let gate = Gate()
        let issuer = Issuer(gate: gate)
        let tokens = issuer.tokens()
        let all = Task {
            try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<50 { group.addTask { try await take(tokens) } }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
        }
        await gate.reached()
        gate.open()
        #expect(try await all.value == ["token-1"])
        #expect(issuer.fetches == 1)
    }

    @Test func `near its end a token is renewed while calls go on with it`() async throws {
        let gate = Gate()
        gate.open()
        let issuer = Issuer(gate: gate)
        let tokens = issuer.tokens()
        _ = try await take(tokens)
        gate.close()
        issuer.advance(by: .seconds(3600 - 224))
        // The renewal waits at the gate, and nobody waits for it.
        for _ in 0..<3 { #expect(try await take(tokens) == "token-1") }
        gate.open()
        await issuer.settled(tokens)
        #expect(try await take(tokens) == "token-2")
        #expect(issuer.fetches == 2)
    }

    @Test func `a renewal that fails is told, and the old token is used until its end`() async throws {
        let issuer = Issuer()
        let tokens = issuer.tokens()
        _ = try await take(tokens)
        issuer.advance(by: .seconds(3600 - 200))
        issuer.failing = "the server is on fire"
        #expect(try await take(tokens) == "token-1")
        await issuer.settled(tokens)
        #expect(issuer.warnings.count == 1)
        #expect(issuer.warnings.first?.contains("the server is on fire") == true)
        // Not at once again.
        #expect(try await take(tokens) == "token-1")
        #expect(issuer.fetches == 2)
        issuer.advance(by: .seconds(11))
        #expect(try await take(tokens) == "token-1")
        await issuer.settled(tokens)
        #expect(issuer.fetches == 3)
        // Ten seconds before its end it is no longer sent.
        issuer.advance(by: .seconds(180))
        await #expect(throws: GoogleCredentialError("the server is on fire")) { try await take(tokens) }
        issuer.failing = nil
        issuer.advance(by: .seconds(2))
        #expect(try await take(tokens) == "token-5")
    }

    @Test func `without a token a failure stands for a second, so that many calls do not ask again each`() async throws
    {
        let issuer = Issuer()
        issuer.failing = "no such account"
        let tokens = issuer.tokens()
        for _ in 0..<10 {
            await #expect(throws: GoogleCredentialError("no such account")) { try await take(tokens) }
        }
        #expect(issuer.fetches == 1)
        issuer.failing = nil
        issuer.advance(by: .seconds(1))
        #expect(try await take(tokens) == "token-2")
    }

    @Test func `a refused token is replaced, by one request for all that were refused`() async throws {
        let issuer = Issuer()
        let tokens = issuer.tokens()
        let refused = try await take(tokens)
        for _ in 0..<3 {
            #expect(try await tokens.token(insteadOf: refused, within: GCSTrial.long) == "token-2")
        }
        #expect(issuer.fetches == 2)
    }

    @Test func `a caller waits no longer than it can`() async throws {
        let gate = Gate()
        let issuer = Issuer(gate: gate)
        let tokens = issuer.tokens()
        let error = await #expect(throws: GoogleCredentialError.self) {
            try await tokens.token(within: .milliseconds(50))
        }
        #expect(error?.description.hasPrefix("the trial account: no access token came within") == true)
        gate.open()
        await issuer.settled(tokens)
        #expect(try await take(tokens) == "token-1")
    }
}

internal import HTTP
private import Platform

/// An access token and its times.
struct AccessToken: Sendable {
    /// Google's metadata server keeps a token until five minutes before its end; asked earlier it gives the same one.
    private static let renewedBefore = Duration.seconds(225)
    /// Kept for the way to the service, and the service's own clock.
    private static let margin = Duration.seconds(10)

    /// A secret.
    let text: String
    let renewAt: ContinuousClock.Instant
    let endsAt: ContinuousClock.Instant

    /// - Parameters:
    ///   - lifetime: from `sent` on, before the request for the token was sent.
    init(_ text: String, lifetime: Duration, sent: ContinuousClock.Instant) {
        self.text = text
        endsAt = sent + lifetime - Self.margin
        renewAt = sent + lifetime - min(Self.renewedBefore, lifetime / 4)
    }
}

/// The access tokens of one credential: fetched when first needed, kept, renewed ahead of their end while calls go on with
/// the old one. One request at a time. Any thread may call it.
final class GoogleTokens: Sendable {
    typealias Fetch = @Sendable (_ limit: Duration) async -> Result<AccessToken, GoogleCredentialError>

    private struct State {
        var token: AccessToken?
        var renewal: Task<Result<AccessToken, GoogleCredentialError>, Never>?
        var failure: (error: GoogleCredentialError, at: ContinuousClock.Instant)?
    }

    private enum Step {
        case use(AccessToken)
        case wait(Task<Result<AccessToken, GoogleCredentialError>, Never>)
        case fail(GoogleCredentialError)
    }

    /// After a failure, how long the old token is used before the next attempt.
    private static let renewalPause = Duration.seconds(10)
    /// After a failure, how long callers get the same error when there is no token to use.
    private static let failurePause = Duration.seconds(1)
    /// How long a renewal in the background may take; nobody waits for it.
    private static let renewalLimit = Duration.seconds(30)

    /// For people: whose tokens they are.
    let source: String
    private let fetch: Fetch
    private let now: @Sendable () -> ContinuousClock.Instant
    private let warn: @Sendable (String) -> Void
    private let state = Locked(State())

    convenience init(_ credential: GoogleCredential, warn: @escaping @Sendable (String) -> Void) {
        let requests = TokenRequests(credential)
        self.init(source: credential.source, warn: warn) { await requests.fetch(within: $0) }
    }

    init(
        source: String, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        warn: @escaping @Sendable (String) -> Void = { _ in }, fetch: @escaping Fetch
    ) {
        self.source = source
        self.now = now
        self.warn = warn
        self.fetch = fetch
    }

    /// The request under way, if any; for tests.
    var renewal: Task<Result<AccessToken, GoogleCredentialError>, Never>? { state.withLock { $0.renewal } }

    /// A token to use now.
    ///
    /// - Parameter limit: how long the caller can wait when there is none yet.
    func token(within limit: Duration) async throws(GoogleCredentialError) -> String {
        try await take(within: limit)
    }

    /// Another token than the one that a service refused; the same, when the credential's owner insists on it.
    func token(insteadOf refused: String, within limit: Duration) async throws(GoogleCredentialError) -> String {
        state.withLock { state in
            if state.token?.text == refused { state.token = nil }
        }
        return try await take(within: limit)
    }

    private func take(within limit: Duration) async throws(GoogleCredentialError) -> String {
        let now = now()
        let step: Step = state.withLock { state in
            if let token = state.token, now < token.endsAt {
                let hasFailed = state.failure.map { now < $0.at + Self.renewalPause } ?? false
                if now >= token.renewAt, state.renewal == nil, !hasFailed {
                    state.renewal = renew(within: Self.renewalLimit)
                }
                return .use(token)
            }
            if let renewal = state.renewal { return .wait(renewal) }
            if let failure = state.failure, now < failure.at + Self.failurePause { return .fail(failure.error) }
            let renewal = renew(within: limit)
            state.renewal = renewal
            return .wait(renewal)
        }
        switch step {
        case .use(let token): return token.text
        case .fail(let error): throw error
        case .wait(let renewal): return try await wait(for: renewal, within: limit)
        }
    }

    /// A task that fetches a token and keeps it; called with the lock, which the task needs only later.
    private func renew(within limit: Duration) -> Task<Result<AccessToken, GoogleCredentialError>, Never> {
        Task { [self] in
            let result = await fetch(limit)
            let now = now()
            let isInUse = state.withLock { state in
                state.renewal = nil
                switch result {
                case .success(let token):
                    state.token = token
                    state.failure = nil
                case .failure(let error):
                    state.failure = (error, now)
                }
                return state.token.map { now < $0.endsAt } ?? false
            }
            if case .failure(let error) = result, isInUse {
                warn("The access token was not renewed; the old one is used until its end: \(error)")
            }
            return result
        }
    }

    /// Waits for a renewal that others may wait for too; one in the background may have more time than this caller.
    private func wait(
        for renewal: Task<Result<AccessToken, GoogleCredentialError>, Never>, within limit: Duration
    ) async throws(GoogleCredentialError) -> String {
        let late = GoogleCredentialError("\(source): no access token came within \(limit)")
        let result = await firstResult(of: renewal, orAfter: limit, late)
        return try result.get().text
    }

    private func firstResult(
        of renewal: Task<Result<AccessToken, GoogleCredentialError>, Never>, orAfter limit: Duration,
        _ late: GoogleCredentialError
    ) async -> Result<AccessToken, GoogleCredentialError> {
        let answer = Locked<CheckedContinuation<Result<AccessToken, GoogleCredentialError>, Never>?>(nil)
        return await withCheckedContinuation { continuation in
            answer.withLock { $0 = continuation }
            let clock = Task {
                do { try await Task.sleep(for: limit, clock: .continuous) } catch { return }
                answer.take()?.resume(returning: .failure(late))
            }
            Task {
                let result = await renewal.value
                answer.take()?.resume(returning: result)
                clock.cancel()
            }
        }
    }
}

extension Locked {
    /// The value, once: nil is left behind.
    fileprivate func take<Wrapped: Sendable>() -> Wrapped? where Value == Wrapped? {
        withLock { value in
            defer { value = nil }
            return value
        }
    }
}

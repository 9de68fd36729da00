internal import Election
internal import HTTP
internal import Platform

/// Keeps credentials ready for use: loads them, loads them again in time, and lets only one load run at a time.
actor AccessKeeper {
    /// What a call needs of the credentials.
    struct Access: Sendable {
        /// Grows with each load.
        let number: Int
        let client: HTTPClient
        /// The header's value; nil: none.
        let authorization: String?
    }

    private struct Current {
        let access: Access
        let options: HTTPClient.Options
        /// By the boot-time clock, in nanoseconds; `Int64.max`: never.
        var renewAt: Int64
        let expiresAt: Int64
    }

    /// A plugin is not run more often, whatever the API server says of what it gave.
    private static let pluginPause: Int64 = 10_000_000_000
    /// How long to wait with the next try after a load failed and what there was is still good.
    private static let retryPause: Int64 = 10_000_000_000

    private let credentials: KubernetesCredentials
    private var failures: RepeatedFailures
    private let now: @Sendable () -> Int64
    private var current: Current?
    private var loading: Task<Result<Access, KubernetesError>, Never>?
    private var lastFailure: KubernetesError?
    /// Before this time a plugin does not run again.
    private var pluginRestsUntil = Int64.min

    /// - Parameter now: the boot-time clock; for tests.
    init(
        _ credentials: KubernetesCredentials, log: Log,
        now: @escaping @Sendable () -> Int64 = { Reading.now().boottime }
    ) {
        self.credentials = credentials
        failures = RepeatedFailures(log)
        self.now = now
    }

    /// Loads only when it is time to.
    func access() async throws(KubernetesError) -> Access {
        if let current, now() < current.renewAt { return current.access }
        // A plugin may take a minute, or hang. Nobody waits for it while there is something to go on with.
        if credentials.isPlugin, let current, now() < current.expiresAt {
            if loading == nil, now() >= pluginRestsUntil { startLoading() }
            return current.access
        }
        do throws(KubernetesError) { return try await load() } catch {
            guard let current, now() < current.expiresAt else { throw error }
            return current.access
        }
    }

    /// What to use after the API server has answered 401 to `refused`.
    ///
    /// - Returns: nil: nothing else is to be had.
    func renewed(after refused: Access) async throws(KubernetesError) -> Access? {
        guard credentials.canChange else { return nil }
        // Several calls were refused with the same token; one of them has renewed it by now.
        if let current, current.access.number != refused.number { return current.access }
        if credentials.isPlugin, now() < pluginRestsUntil { return nil }
        return try await load()
    }

    private func load() async throws(KubernetesError) -> Access {
        if let loading { return try await loading.value.get() }
        if credentials.isPlugin, now() < pluginRestsUntil, let lastFailure { throw lastFailure }
        return try await startLoading().value.get()
    }

    /// A task of its own, so that a caller who gives up does not end it for the others.
    @discardableResult
    private func startLoading() -> Task<Result<Access, KubernetesError>, Never> {
        let task = Task { await loadAlone() }
        loading = task
        return task
    }

    private func loadAlone() async -> Result<Access, KubernetesError> {
        let result: Result<Access, KubernetesError>
        do throws(KubernetesError) {
            result = .success(take(try await credentials.load()))
            lastFailure = nil
            failures.succeeded("renewal")
        } catch {
            result = .failure(error)
            lastFailure = error
            goOn(despite: error)
        }
        pluginRestsUntil = now() + Self.pluginPause
        loading = nil
        return result
    }

    private func goOn(despite error: KubernetesError) {
        guard var kept = current, now() >= kept.renewAt, now() < kept.expiresAt else { return }
        failures.failed(
            "renewal", "Goes on with the credentials that there are, since they could not be renewed: \(error)",
            at: .now())
        failures.advance(at: .now())
        kept.renewAt = min(now() + Self.retryPause, kept.expiresAt)
        current = kept
    }

    private func take(_ loaded: KubernetesCredentials.Loaded) -> Access {
        // Connections are kept for as long as trust and identity are.
        let client = current.flatMap { $0.options == loaded.options ? $0.access.client : nil }
        let access = Access(
            number: (current?.access.number ?? 0) + 1, client: client ?? HTTPClient(loaded.options),
            authorization: loaded.authorization)
        let time = now()
        current = Current(
            access: access, options: loaded.options, renewAt: Self.moment(loaded.renewAfter, after: time),
            expiresAt: Self.moment(loaded.expiresAfter, after: time))
        return access
    }

    private static func moment(_ delay: Duration?, after time: Int64) -> Int64 {
        // Expiries centuries away are as good as none.
        guard let seconds = delay?.components.seconds, seconds < 1 << 32 else { return .max }
        return time + seconds * 1_000_000_000
    }
}

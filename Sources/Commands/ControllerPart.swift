internal import Controller
internal import Election
internal import Platform
internal import Storage
internal import Webhook

/// A process's part in the election: its store, its API server, and the board that its leases are posted on.
struct ControllerPart {
    let options: ElectionOptions
    let board: LeadershipBoard
    let status: ElectionStatus
    let timing: Timing
    /// Without election, whatever else holds.
    let excluded: [Pattern]
    let address: StoreAddress
    private let console: Console
    private let log: Log
    /// What was warned of while the store is opened, which may take many tries; nil: it is open.
    private let openingWarnings = Locked<Set<String>?>([])

    /// - Throws: ``UsageError`` when the flags do not go together.
    init(_ options: ElectionOptions, policy: Policy, console: Console, log: Log) throws {
        try options.checkWhereNamespacesComeFrom(console.environment)
        self.options = options
        self.console = console
        self.log = log
        excluded = policy.excludedNamespaces
        timing = try options.checkedTiming()
        address = try options.store.resolvedAddress(console.environment)
        // Nothing is led and nothing is known: every guarded write is denied until the election says otherwise.
        board = LeadershipBoard(LeadershipTable(cluster: options.cluster))
        status = ElectionStatus(board: board, timing: timing)
    }

    func state() throws -> StateDirectory {
        try options.store.state.open(console.environment, cluster: options.cluster)
    }

    /// The API server that is served; nil: namespaces come by name.
    func kubernetes() async throws -> KubernetesPart? {
        let credentials = try await options.kubernetes.credentials(
            namespaces: options.namespaces, environment: console.environment)
        return credentials.map { KubernetesPart($0, timing: timing, log: log) }
    }

    /// - Parameter uid: of this cluster, without Kubernetes.
    func contender(_ kubernetes: KubernetesPart?, uid: String?) async throws -> any Contender {
        let releaseLimit = max(
            options.shutdownTimeout / 2, options.shutdownTimeout - Candidate.handoverLimit(timing))
        guard let uid else {
            guard let kubernetes else { preconditionFailure("without Kubernetes there is a uid of this machine") }
            // Whatever is wrong with the store may be mended from outside, so this waits for it, unready.
            return kubernetes.controller(
                options, excluded: excluded, timing: timing, board: board, status: status, releaseLimit: releaseLimit,
                openStore: openStore)
        }
        let candidate = Candidate(
            cluster: options.cluster, uid: uid, timing: timing, store: try await openStore(), board: board,
            status: status, log: log, releaseLimit: releaseLimit)
        candidate.setWishes(options.namespaces.map { Wish($0, .lead(seconds: options.leaseSeconds)) })
        return candidate
    }

    @Sendable private func openStore() async throws -> any LeaseStore {
        do {
            // A little sooner than the election gives a call up, so that it hears what the store was waiting for.
            let store = try await address.open(
                timeout: timing.requestTimeout * 9 / 10,
                access: options.store.access(console.environment, warn: warn))
            try await store.probe()
            openingWarnings.withLock { $0 = nil }
            return store
        } catch let error as StoreError {
            throw CommandFailure("the store \(address) cannot be opened: \(error.reason)")
        } catch let error as StoreProbeFailure {
            throw CommandFailure("the store \(address) cannot be used: \(error)")
        }
    }

    @Sendable private func warn(_ sentence: String) {
        let isNew = openingWarnings.withLock { $0?.insert(sentence).inserted ?? true }
        if isNew { log.warning(sentence) }
    }
}

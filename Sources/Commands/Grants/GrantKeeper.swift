internal import Election
internal import Platform

/// Keeps a webhook's board to what the controllers of its cluster grant.
///
/// Each controller is asked in a loop of its own, standbys too: none that hangs keeps the webhook from another, and the
/// one that takes over is found at its first answer.
actor GrantKeeper {
    /// Asks one controller. - Throws: why there is no answer, as a sentence for people.
    typealias Ask =
        @Sendable (_ endpoint: GrantAddress, _ known: TableMark?, _ timeout: Duration) async throws -> Grant
    typealias Resolve = @Sendable (_ address: GrantAddress) async throws -> [GrantAddress]

    nonisolated let addresses: [GrantAddress]
    nonisolated let status: GrantStatus
    nonisolated let board: LeadershipBoard
    private let cluster: String
    private let log: Log
    private let ask: Ask
    private let resolve: Resolve
    private let readClocks: @Sendable () -> Reading

    private var client: GrantClient
    /// Whose table it is, and when its last heartbeat was sent at the earliest, by this machine's raw clock.
    private var source: (incarnation: String, heartbeat: Int64)?
    /// Before the first question was sent that ``source`` answered with a grant.
    private var sourceChanged: Reading
    /// Whether its table has leases of this cluster that it has not regained, or not read.
    private var isRegaining = false
    /// How long a grant may be acted on at most, by the last one; until there is one, by the default timing.
    private var longest = Timing().grantDuration - Timing().commitMargin
    /// Before the question of the last grant was sent; before the first: the start.
    private var lastGranted: Reading
    private var hasBeenGranted = false
    private var isSilent = true
    private var hasToldOfSilence = false
    private var failures: RepeatedFailures

    /// Between two looks at what a host name leads to.
    private static let resolveInterval = Duration.seconds(2)
    /// So that no settings of a controller make questions a load, or a failover slow.
    private static let intervals = Duration.milliseconds(50)...Duration.seconds(1)
    /// A time-out holds up nobody but the controller that it waits for, and an answer that comes later than a grant lasts
    /// at least brings the table.
    private static let timeouts = Duration.seconds(1)...Duration.seconds(5)
    /// Silence is told of when it has lasted so many times as long as a grant: less may be a hiccup.
    private static let toldAfter = 3
    /// The next controller is looked for in haste for so many times as long as a grant: that is longer than a standby takes
    /// to take over.
    private static let hasteLasts = 20

    /// - Parameter denies: whether writes are denied without a grant.
    init(
        cluster: String, addresses: [GrantAddress], denies: Bool, log: Log, ask: @escaping Ask,
        resolve: @escaping Resolve = { try await $0.endpoints() },
        readClocks: @escaping @Sendable () -> Reading = { .now() }
    ) {
        let start = readClocks()
        self.cluster = cluster
        self.addresses = addresses
        self.log = log
        self.ask = ask
        self.resolve = resolve
        self.readClocks = readClocks
        client = GrantClient(cluster: cluster)
        failures = RepeatedFailures(log)
        (lastGranted, sourceChanged) = (start, start)
        status = GrantStatus(cluster: cluster, denies: denies, start: start.realtime / 1000)
        board = LeadershipBoard(LeadershipTable(cluster: cluster, silentSince: start.realtime / 1000))
    }

    /// Asks until its task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            for address in addresses { group.addTask { await self.follow(address) } }
        }
    }

    // MARK: Whom to ask

    /// Asks every controller that the address leads to, and looks now and then whether those are still the ones.
    private func follow(_ address: GrantAddress) async {
        var asking: [GrantAddress: Task<Void, Never>] = [:]
        defer { for task in asking.values { task.cancel() } }
        while !Task.isCancelled {
            do {
                let endpoints = try await resolve(address)
                status.note(address.host, problem: endpoints.isEmpty ? "its name has no address" : nil)
                for (endpoint, task) in asking where !endpoints.contains(endpoint) {
                    task.cancel()
                    asking[endpoint] = nil
                    status.note("\(endpoint)", problem: nil)
                }
                for endpoint in endpoints where asking[endpoint] == nil {
                    asking[endpoint] = Task { await keepAsking(endpoint) }
                }
            } catch {
                // Those that it led to before may still be there.
                status.note(address.host, problem: "\(error)")
            }
            heedSilence()
            // For a numeric address there is nothing to look up again.
            let pause = address.isNumeric ? Duration.seconds(86_400) : Self.resolveInterval
            do { try await Task.sleep(for: pause, clock: .continuous) } catch { return }
        }
    }

    private func keepAsking(_ endpoint: GrantAddress) async {
        while !Task.isCancelled {
            let begun = ContinuousClock.now
            let known = client.known
            // Rule "grants": before the question is sent.
            let asked = readClocks()
            do {
                let grant = try await ask(endpoint, known, longest.clamped(to: Self.timeouts))
                guard !Task.isCancelled else { return }
                try take(grant, askedAt: asked, knowing: known, from: endpoint)
            } catch {
                guard !Task.isCancelled else { return }
                status.count(.failed)
                note(endpoint, failure: error)
            }
            heedSilence()
            let pace = pace(after: begun.duration(to: .now))
            do { try await Task.sleep(until: begun + pace, clock: .continuous) } catch { return }
        }
    }

    /// The time from one question to a controller to the next.
    ///
    /// - Parameter took: of the last one, until it was answered.
    func pace(after took: Duration) -> Duration {
        // Rule "grants": with the default timing, every sixth of the grant duration.
        let regular = (longest / 2).clamped(to: Self.intervals)
        let now = readClocks()
        // The active one has said that it leaves, or should have answered by now, or has just taken over and regains its
        // cluster's leases: what comes next is to be found at once. In an outage, haste would help nobody.
        let (age, limit) = (now.elapsedForUse(since: lastGranted), longest * Self.hasteLasts)
        let isMissed = (source == nil || age > regular * 3 / 2) && age < limit
        let isNew = isRegaining && now.elapsedForUse(since: sourceChanged) < limit
        guard isMissed || isNew else { return regular }
        // Large tables are no small work for the controller, which changes them all the time then.
        return min(regular, max(regular / 5, took * 5))
    }

    // MARK: What they say

    /// - Parameter known: the table that the question named.
    private func take(
        _ grant: Grant, askedAt asked: Reading, knowing known: TableMark?, from endpoint: GrantAddress
    ) throws {
        // A controller that another run of it has replaced without its knowing, as when the store does not answer it, goes
        // on granting for a while. What counts is who has renewed last.
        let heartbeat = asked.monotonicRaw - max(0, grant.elapsed)
        // Nor can it be used when it rests on a table that another controller's has replaced since the question was sent.
        let lacksItsTable = grant.table == nil && grant.mark == known && known != client.known
        if grant.cluster == cluster, grant.isActive, lacksItsTable || isOutdated(grant, heartbeat) {
            status.count(.outdated)
            status.note("\(endpoint)", problem: nil)
            return
        }
        guard let table = try client.take(grant, askedAt: asked) else {
            // It says itself that it has been replaced or is leaving: the next one may have renewed hardly later.
            if isOurs(grant) { source = nil }
            status.count(.standby)
            status.note("\(endpoint)", problem: "it stands by, begins or ends, so it has nothing to grant")
            return
        }
        if !isOurs(grant), stillRegains(table) {
            status.count(.standby)
            status.note("\(endpoint)", problem: "it has just taken over, and regains this cluster's leases")
            return
        }
        board.publish(table)
        longest = .nanoseconds(grant.longest) * (1_000_000 - grant.rho) / 1_000_000
        status.count(.granted)
        status.note("\(endpoint)", problem: nil)
        failures.succeeded("\(endpoint)")
        status.noteGrant(askedAt: asked)
        tell(of: grant, from: endpoint, at: asked)
        if !isOurs(grant) { sourceChanged = asked }
        isRegaining = table.entries.contains { $0.state == .lapsed || $0.state == .unknown }
        let newest = isOurs(grant) ? source?.heartbeat : nil
        source = (grant.mark.incarnation, max(heartbeat, newest ?? heartbeat))
        lastGranted = asked
        hasBeenGranted = true
        (isSilent, hasToldOfSilence) = (false, false)
    }

    /// Whether a controller that has taken over has yet to regain something that its predecessor's grant allows at this moment.
    /// Until then that grant counts, as it would if this question had not been answered yet.
    private func stillRegains(_ table: LeadershipTable) -> Bool {
        guard !isSilent else { return false }
        let (granted, now) = (board.table(), readClocks())
        return granted.entries.indices.contains { slot in
            guard case .leads = granted.standing(slot: slot, at: now),
                case .vacant(_, let reason) = table.standing(of: granted.index.names[slot], at: now)
            else { return false }
            // What it has freed, or cannot read, it will not regain so soon.
            return reason == .unknown || reason == .lapsed || reason == .notElected
        }
    }

    private func isOurs(_ grant: Grant) -> Bool { source?.incarnation == grant.mark.incarnation }

    private func isOutdated(_ grant: Grant, _ heartbeat: Int64) -> Bool {
        guard let source, !isSilent else { return false }
        guard isOurs(grant) else { return heartbeat <= source.heartbeat }
        // Two addresses of one controller: the answer to an earlier question came later.
        return grant.mark.revision < client.known?.revision ?? 0
    }

    private func tell(of grant: Grant, from endpoint: GrantAddress, at asked: Reading) {
        let fields: KeyValuePairs = ["controller": "\(endpoint)", "incarnation": grant.mark.incarnation]
        if !hasBeenGranted {
            log.info("Admits by the grants of a controller from now on", fields)
        } else if hasToldOfSilence {
            log.info("Grants are back after \(asked.elapsedForUse(since: lastGranted).forPeople)", fields)
        } else if !isOurs(grant) {
            log.info("Another controller of this cluster grants from now on", fields)
        }
    }

    /// A controller that cannot be reached is told of when it is missed; one that answers wrongly will not mend itself.
    private func note(_ endpoint: GrantAddress, failure: any Error) {
        status.note("\(endpoint)", problem: "\(failure)")
        guard failure is RecordError || failure is CommandFailure else { return }
        failures.failed(
            "\(endpoint)", "The answer of the controller at \(endpoint) cannot be used: \(failure)", at: readClocks())
    }

    /// Says so on the board and in the log when the last grant is over.
    private func heedSilence() {
        failures.advance(at: readClocks())
        let silence = readClocks().elapsedForUse(since: lastGranted)
        if !isSilent, silence >= longest {
            isSilent = true
            let since = lastGranted.realtime / 1000
            status.noteSilence(since: since)
            board.publish(LeadershipTable(cluster: cluster, silentSince: since))
        }
        guard isSilent, !hasToldOfSilence, silence >= longest * Self.toldAfter else { return }
        hasToldOfSilence = true
        log.error(
            "Denies every guarded write: no active controller of cluster \(cluster) could be reached for "
                + "\(silence.forPeople)" + (status.problems.map { " (\($0))" } ?? "")
                + ". Look at the controllers of this cluster, and at --grants-address")
    }
}

extension Duration {
    fileprivate func clamped(to range: ClosedRange<Duration>) -> Duration {
        min(max(self, range.lowerBound), range.upperBound)
    }
}

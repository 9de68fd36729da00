package import Election
private import FoundationEssentials
package import Platform
package import Storage

/// This cluster's part in the election, from start to end: drives an ``Elector`` with the clocks and a store.
///
/// Everything happens in one loop, one input after the other; only the store calls run beside it. When ``run()`` has
/// returned or thrown, for whatever reason, the board shows no lease of this cluster any more.
package actor Candidate {
    private enum Input: Sendable {
        case wishes([Wish])
        case leave(Farewell)
        case noticed
        case completed(StoreCalls.Completion)
        case alarm
    }

    private let cluster: String
    private let uid: String
    private let timing: Timing
    private let releaseLimit: Duration
    private let board: LeadershipBoard
    private let status: ElectionStatus
    private let store: any LeaseStore
    private let log: Log
    private let onNote: @Sendable (Note) -> Void

    // Bounded by what feeds it: the calls in flight, one alarm, a few notices a second, and what the owner asks for.
    private let inputs: AsyncStream<Input>
    private let inbox: AsyncStream<Input>.Continuation

    private var calls: StoreCalls
    private var electionLog: ElectionLog
    /// nil: before the start, and in the pause after an incarnation's end.
    private var incarnation: Incarnation?
    /// Whether this incarnation took over the member record, so that it has something to leave behind.
    private var hasTakenOver = false
    private var takeovers = 0
    /// Whether this run has once read its member record, so that one it cannot read now is trouble of the store.
    private var hasReadRecord = false
    /// Why the last incarnation ended, until the next has read its member record.
    private var troubled: String?
    /// What this cluster wants, for the next incarnation.
    private var wishes: [String: Wish.Aim] = [:]
    /// How this run is to end, once it was asked to.
    private var farewell: Farewell?
    /// The last write of the own member record, and when it was answered, or sent.
    private var heartbeat: (request: RequestID, at: Instant)?
    private var outcome: Result<Void, ControllerError>?
    private var hasRun = false

    private typealias Instant = ContinuousClock.Instant
    private var tickDue: Instant?
    private var restartDue: Instant?
    private var departureDue: Instant?
    private var farewellDue: Instant?
    private var logDue = Instant.now
    private var alarm: (at: Instant, task: Task<Void, Never>)?

    /// How often what the log holds back is looked at.
    private static let logInterval = Duration.seconds(1)
    /// The least time between two hints of the store, each of which costs two lists.
    private static let noticeInterval = Duration.milliseconds(300)

    /// - Parameters:
    ///   - cluster: a valid cluster name.
    ///   - uid: which of the clusters that may use this name; ``StateDirectory/uid()`` outside Kubernetes.
    ///   - board: where admissions read who leads; nobody else may publish on it.
    ///   - releaseLimit: how long giving everything back may take before it becomes a handover.
    ///   - onNote: gets what people want to know; called between two inputs, so it must not wait.
    package init(
        cluster: String, uid: String, timing: Timing, store: any LeaseStore, board: LeadershipBoard,
        status: ElectionStatus, log: Log, releaseLimit: Duration = .seconds(20),
        onNote: @escaping @Sendable (Note) -> Void = { _ in }
    ) {
        self.cluster = cluster
        self.uid = uid
        self.timing = timing
        self.store = store
        self.board = board
        self.status = status
        self.log = log
        self.releaseLimit = releaseLimit
        self.onNote = onNote
        (inputs, inbox) = AsyncStream.makeStream()
        calls = StoreCalls(store: store, timeout: timing.requestTimeout, status: status) { [inbox] in
            inbox.yield(.completed($0))
        }
        electionLog = ElectionLog(log, cluster: cluster)
    }

    /// Says what this cluster wants of namespaces; may be called before ``run()``, and from any thread.
    nonisolated package func setWishes(_ wishes: [Wish]) {
        inbox.yield(.wishes(wishes))
    }

    /// Has ``run()`` end in good order; a later call overrides an earlier one. Any thread may call it.
    nonisolated package func leave(_ farewell: Farewell) {
        inbox.yield(.leave(farewell))
    }

    /// Takes part until ``leave(_:)`` was called and is done. To be called once.
    ///
    /// - Throws: ``ControllerError/refused(_:)`` when this cluster must not take part, ``ControllerError/cancelled``
    ///   when its task was cancelled.
    package func run() async throws(ControllerError) {
        precondition(!hasRun, "a candidate runs once")
        hasRun = true
        defer { end() }
        if let problem = timing.problem { throw .refused(problem) }
        let notices = Task { [store, inbox] in
            guard let stream = store.notices() else { return }
            for await _ in stream {
                inbox.yield(.noticed)
                // What comes meanwhile is one hint. Interrupted only when the run is over.
                try? await Task.sleep(for: Self.noticeInterval, clock: .continuous)
            }
        }
        defer { notices.cancel() }

        begin()
        setAlarm()
        for await input in inputs {
            take(input)
            doWhatIsDue()
            if let outcome { return try outcome.get() }
            setAlarm()
        }
        // The stream ends by itself only when this task was cancelled.
        log.warning(
            "The election was cancelled before cluster \(cluster) had left it; its leases run out by themselves")
        throw .cancelled
    }

    /// Whatever the reason: nothing that this run led may be acted on when it does not renew any more.
    private func end() {
        disown()
        calls.giveUpAll()
        alarm?.task.cancel()
        inbox.finish()
        electionLog.end(at: .now())
        status.set(.ended)
    }

    private func disown() {
        if let table = board.table().disowned() { board.publish(table) }
    }

    // MARK: One input after the other

    private func take(_ input: Input) {
        switch input {
        case .wishes(let new):
            for wish in new { wishes[wish.namespace] = wish.aim == .forget ? nil : wish.aim }
            step(.wishes(new))
        case .leave(let farewell): leave(by: farewell)
        case .noticed: step(.noticed)
        case .completed(let completion):
            electionLog.foreignObjects(completion.foreign)
            guard let settled = calls.settle(completion) else { break }
            if settled.request == heartbeat?.request { heartbeat?.at = .now }
            step(.answered(settled.request, settled.answer))
        case .alarm:
            // Also when it came early, or is an older one: the next is set anew, so that no tick is ever waited for in vain.
            alarm?.task.cancel()
            alarm = nil
        }
    }

    private func doWhatIsDue() {
        let now = Instant.now
        for settled in calls.giveUp(at: now) { step(.answered(settled.request, settled.answer)) }
        if let tickDue, tickDue <= now { step(.tick) }
        if let restartDue, restartDue <= now { begin() }
        if let departureDue, departureDue <= now { depart() }
        if let farewellDue, farewellDue <= now { loseFarewellPatience() }
        if logDue <= now {
            electionLog.advance(board.table(), silent: incarnation?.silentHolder(), at: .now())
            status.set(renewTimes: incarnation?.renewTimes ?? [:])
            logDue = now + Self.logInterval
        }
    }

    private func step(_ event: Event) {
        // In place: a copy of the incarnation would copy every namespace.
        guard outcome == nil, let step = incarnation?.take(event) else { return }
        for note in step.notes { heed(note) }
        for request in step.requests {
            if case .write(.member(cluster), _, _) = request.operation { heartbeat = (request.id, .now) }
            calls.start(request)
        }
        tickDue = step.wakeAfter.map { .now + $0 }
        if let ending = step.ending { end(incarnationBy: ending) }
    }

    private func heed(_ note: Note) {
        status.count(note)
        electionLog.note(note, at: .now())
        onNote(note)
        switch note {
        case .standingBy:
            noteRecordWasRead()
            status.set(.standingBy)
        case .otherUID: noteRecordWasRead()
        case .tookOver:
            noteRecordWasRead()
            hasTakenOver = true
            status.set(farewell == nil ? .takingPart : .leaving)
        case .led, .lapsed, .lost, .givingBack, .gaveBack, .holderChanged, .refused, .unreadable, .deleted,
            .requestFailed, .requestsSucceedAgain:
            break
        }
    }

    private func noteRecordWasRead() {
        hasReadRecord = true
        troubled = nil
    }

    private func setAlarm() {
        let at = [tickDue, calls.nextDeadline, restartDue, departureDue, farewellDue].reduce(logDue) {
            min($0, $1 ?? $0)
        }
        if let alarm, alarm.at <= at { return }
        alarm?.task.cancel()
        let task = Task { [inbox] in
            do {
                try await Task.sleep(until: at, clock: .continuous)
                inbox.yield(.alarm)
            } catch {
                // An earlier alarm took its place, or the run is over.
            }
        }
        alarm = (at, task)
    }

    // MARK: Incarnations

    private func begin() {
        restartDue = nil
        hasTakenOver = false
        status.set(.joining)
        let identity = Elector.Identity(
            cluster: cluster, uid: uid, incarnation: UUID().uuidString.lowercased())
        incarnation = Incarnation(identity, timing: timing, takeovers: takeovers, board: board)
        // In one order, so that two runs with the same wishes do the same.
        step(.wishes(wishes.sorted { $0.key < $1.key }.map { Wish($0.key, $0.value) }))
    }

    private func end(incarnationBy ending: Ending) {
        takeovers = incarnation?.takeovers ?? takeovers
        incarnation = nil
        tickDue = nil
        calls.giveUpAll()
        disown()
        switch ending {
        case .handedOver where hasTakenOver:
            finish("Cluster \(cluster) has left the election; its leases wait for its next run")
        case .stopped where hasTakenOver:
            finish("Cluster \(cluster) has left the election; all its leases are free")
        case .handedOver, .stopped:
            finish("This run of cluster \(cluster) has left the election; it led nothing")
        case .memberRecordUnreadable(let reason) where hasReadRecord:
            // An error of the disk, or somebody's mistake, that can be mended without a restart.
            startAnew(reason)
        case .refused(let reason), .memberRecordUnreadable(let reason):
            outcome = .failure(.refused(reason))
        case .deposed(let successor):
            startAnew("another run of its controller, incarnation \(successor), took over")
        case .memberRecordGone:
            startAnew("somebody deleted its member record")
        }
    }

    private func startAnew(_ cause: String) {
        guard farewell == nil else {
            return finish("This run of cluster \(cluster) has left the election: \(cause)")
        }
        // A pause, so that a fault that ends each incarnation at once cannot load the store.
        let pause = min(timing.renewInterval, .seconds(1))
        // Once: the same trouble may end each of many incarnations at once.
        if cause != troubled {
            log.warning("Gave up all leases of cluster \(cluster): \(cause). Joins again in \(pause.forPeople)")
        }
        troubled = cause
        status.set(.joining)
        restartDue = .now + pause
    }

    // MARK: Leaving

    private func finish(_ sentence: String) {
        log.info(sentence)
        outcome = .success(())
    }

    private func leave(by farewell: Farewell) {
        self.farewell = farewell
        guard incarnation != nil else {
            return finish("This run of cluster \(cluster) has left the election; it led nothing")
        }
        status.set(.leaving)
        farewellDue = nil
        if farewell == .handover, hasTakenOver, let heartbeat, heartbeat.at + store.rewriteInterval > .now {
            // What is led is led on until the store takes the next write of the member record: it would be for nobody while
            // one that comes too soon is refused and tried again.
            departureDue = heartbeat.at + store.rewriteInterval
        } else {
            depart()
        }
    }

    private func depart() {
        departureDue = nil
        guard let farewell else { return }
        let limit: Duration
        switch farewell {
        case .handover: limit = Self.handoverLimit(timing)
        case .release:
            limit = releaseLimit
            electionLog.waits(
                for: "Gives all leases of cluster \(cluster) back, once no webhook and no earlier run of it acts on "
                    + "them any more", at: .now())
        }
        farewellDue = .now + limit
        step(.leave(farewell))
    }

    /// How long a handover may take: two tries, each of which the store may leave unanswered.
    package static func handoverLimit(_ timing: Timing) -> Duration { timing.requestTimeout * 2 + timing.retryInterval }

    private func loseFarewellPatience() {
        switch farewell {
        case .release:
            log.warning(
                "Cluster \(cluster) has not finished giving its leases back within \(releaseLimit.forPeople), so it "
                    + "ends with a handover: its next run can take the rest at once, other clusters when they have "
                    + "run out")
            leave(by: .handover)
        case .handover, nil:
            log.error(
                "The store did not take the handover of cluster \(cluster) within \(Self.handoverLimit(timing).forPeople), so this "
                    + "run ends without it. Nothing is led any more; the cluster's next run has to wait until this "
                    + "one has been silent for \(timing.standbyTakeover(after: 0).forPeople), and other clusters "
                    + "until its leases have run out")
            outcome = .success(())
        }
    }
}

extension LeadershipTable {
    /// This table without any claim of this cluster's and with nothing more to grant; nil: it is so already.
    fileprivate func disowned() -> LeadershipTable? {
        guard isActive || entries.contains(where: { $0.state == .own }) else { return nil }
        var table = self
        table.isActive = false
        table.mark = TableMark(incarnation: mark.incarnation, revision: mark.revision + 1)
        for slot in entries.indices where entries[slot].state == .own {
            table.entries[slot].state = .lapsed
            table.entries[slot].limit = 0
        }
        return table
    }
}

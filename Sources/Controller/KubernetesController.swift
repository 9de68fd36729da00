package import Election
package import Kubernetes
package import Platform
package import Storage

/// A cluster's controller: keeps a Lease object in every elected namespace of its API server, competes for each, and
/// writes what comes of it into the objects' status.
///
/// It never decides about leadership itself: it tells a ``Candidate`` which namespaces are wanted, and reads the board. An
/// API server that is down stops nothing but what people see, until `apiLossTimeout`.
package actor KubernetesController: Contender {
    package struct Options: Sendable {
        package var cluster: String
        /// Of every Lease object.
        package var leaseName = "lease-gsc"
        /// The lease duration of new Lease objects.
        package var leaseSeconds: Int
        /// Where the controller's own `coordination.k8s.io` Lease is.
        package var systemNamespace = "multi-cluster-leader-election-system"
        /// Without a successful call to the API server for this long, everything is given back; nil: never.
        package var apiLossTimeout: Duration? = .seconds(60)
        /// How long giving everything back may take before it becomes a handover.
        package var releaseLimit = Duration.seconds(20)
        /// Which namespaces take part in the election, by name and labels.
        package var isElected: @Sendable (_ namespace: String, _ labels: [String: String]) -> Bool

        package init(
            cluster: String, leaseSeconds: Int,
            isElected: @escaping @Sendable (_ namespace: String, _ labels: [String: String]) -> Bool
        ) {
            self.cluster = cluster
            self.leaseSeconds = leaseSeconds
            self.isElected = isElected
        }
    }

    /// Writes under way at once, heartbeats and Events aside.
    static let choresMax = 16
    /// How often the table is looked at while it keeps changing.
    private static let lookInterval = Duration.milliseconds(100)
    /// How long the last statuses of a release may take.
    private static let flushLimit = Duration.seconds(5)
    private static let retryInterval = Duration.seconds(2)
    /// What waits for this actor at most; beyond it Events are lost, which are a courtesy.
    private static let notesMax = 4096

    /// The API server was lost, so everything is given back until it answers.
    private struct Loss {
        /// nil: it had never answered.
        let lastAnswered: Reading?
        /// It answers again, and what is still to be given back is left to the next run.
        var isOver = false
    }

    let options: Options
    let client: KubernetesClient
    let timing: Timing
    let board: LeadershipBoard
    let status: ElectionStatus
    let kubernetesStatus: KubernetesStatus
    private let openStore: @Sendable () async throws -> any LeaseStore
    let log: Log

    var desk: LeaseDesk
    var store: (any LeaseStore)?
    private var uid: String?
    var failures: RepeatedFailures
    var events: EventQueue

    private var queue: [String] = []
    private var queued: Set<String> = []
    private var writes: [Int: Task<Void, Never>] = [:]
    private var writesEver = 0
    var choresUnderWay = 0
    var ring: [String] = []
    var ringMade: ContinuousClock.Instant?
    var heartbeat = ControllerHeartbeat()

    private var candidate: Candidate?
    private var election: Task<Void, Never>?
    private var farewell: Farewell?
    private var loss: Loss?
    private var started = Reading.now()
    private var flushEnd: ContinuousClock.Instant?

    private let notes: AsyncStream<Note>
    private let noted: AsyncStream<Note>.Continuation
    private let farewells: AsyncStream<Farewell>
    private let asked: AsyncStream<Farewell>.Continuation
    private let outcomes: AsyncStream<Result<Void, ControllerError>>
    private let decided: AsyncStream<Result<Void, ControllerError>>.Continuation

    /// - Parameter openStore: opens and tries the store; called again after a while when it throws.
    package init(
        _ options: Options, client: KubernetesClient, timing: Timing, board: LeadershipBoard, status: ElectionStatus,
        kubernetesStatus: KubernetesStatus, log: Log, openStore: @escaping @Sendable () async throws -> any LeaseStore
    ) {
        self.options = options
        self.client = client
        self.timing = timing
        self.board = board
        self.status = status
        self.kubernetesStatus = kubernetesStatus
        self.log = log
        self.openStore = openStore
        desk = LeaseDesk(
            cluster: options.cluster, leaseName: options.leaseName, defaultSeconds: options.leaseSeconds,
            isElected: options.isElected)
        failures = RepeatedFailures(log)
        events = EventQueue(cluster: options.cluster)
        (notes, noted) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.notesMax))
        (farewells, asked) = AsyncStream.makeStream()
        (outcomes, decided) = AsyncStream.makeStream()
    }

    nonisolated package func leave(_ farewell: Farewell) {
        asked.yield(farewell)
    }

    package func run() async throws(ControllerError) {
        started = .now()
        let helpers = startHelpers()
        var outcome: Result<Void, ControllerError>?
        for await decision in outcomes {
            outcome = decision
            break
        }
        for helper in helpers { helper.cancel() }
        for write in writes.values { write.cancel() }
        // Whatever the reason: the board shows no lease any more when this returns.
        election?.cancel()
        await election?.value
        failures.end(at: .now())
        guard let outcome else { throw .cancelled }
        try outcome.get()
    }

    // MARK: - What it listens to

    private func startHelpers() -> [Task<Void, Never>] {
        [
            Task { [client] in for await event in client.watch(NamespaceObject.self) { take(event) } },
            Task { [client] in for await event in client.watch(LeaseObject.self) { take(event) } },
            Task { [notes] in for await note in notes { take(note) } },
            Task { [farewells] in for await farewell in farewells { take(farewell) } },
            Task { [board] in
                for await _ in board.changes {
                    look()
                    // What comes meanwhile is one look.
                    try? await Task.sleep(for: Self.lookInterval, clock: .continuous)
                }
            },
            Task {
                while !Task.isCancelled {
                    second()
                    // Interrupted only at the end.
                    try? await Task.sleep(for: .seconds(1), clock: .continuous)
                }
            },
            Task { await findUID() },
            Task { await findStore() },
        ]
    }

    private func take(_ event: WatchEvent<NamespaceObject>) {
        switch event {
        case .listed: kubernetesStatus.noteSynced(.namespaces)
        case .troubled(let error): trouble(.namespaces, error)
        case .recovered: recovery(.namespaces)
        case .changed, .removed: break
        }
        enqueue(desk.take(event))
        tellWishes()
    }

    private func take(_ event: WatchEvent<LeaseObject>) {
        switch event {
        case .listed: kubernetesStatus.noteSynced(.leases)
        case .troubled(let error): trouble(.leases, error)
        case .recovered: recovery(.leases)
        case .changed, .removed: break
        }
        enqueue(desk.take(event))
        tellWishes()
    }

    private func trouble(_ watched: KubernetesStatus.Watched, _ error: KubernetesError) {
        kubernetesStatus.note(watched, trouble: error.message)
        log.warning("Cannot watch \(watched.rawValue), and tries again by itself: \(error.message)")
    }

    private func recovery(_ watched: KubernetesStatus.Watched) {
        kubernetesStatus.note(watched, trouble: nil)
        log.info("Watches \(watched.rawValue) again")
    }

    private func take(_ note: Note) {
        events.add(note, at: .now())
        kubernetesStatus.noteEventsDropped(events.dropped)
    }

    private func tellWishes() {
        if let candidate {
            let wishes = desk.newWishes()
            if !wishes.isEmpty { candidate.setWishes(wishes) }
        } else {
            startElectionIfReady()
        }
        pump()
    }

    // MARK: - Before the election

    /// The uid of the `kube-system` namespace is the cluster's (protocol, `members/<cluster>`).
    private func findUID() async {
        while uid == nil, !Task.isCancelled {
            do throws(KubernetesError) {
                uid = try await client.read(NamespaceObject.self, "kube-system").metadata.uid
                failures.succeeded("uid ")
            } catch {
                failures.failed(
                    "uid \(error.code)", "Cannot read the namespace kube-system, whose uid is this cluster's: \(error)",
                    at: .now())
            }
            if uid == nil { try? await Task.sleep(for: Self.retryInterval, clock: .continuous) }
        }
        startElectionIfReady()
    }

    private func findStore() async {
        var hasFailed = false
        while store == nil, !Task.isCancelled {
            do {
                store = try await openStore()
                if hasFailed { log.info("The store can be used now") }
                failures.succeeded("store ")
                kubernetesStatus.noteStore(problem: nil)
            } catch {
                hasFailed = true
                kubernetesStatus.noteStore(problem: "\(error)")
                // Another cause has a line of its own, at once: somebody may be mending one after the other.
                failures.failed("store \("\(error)".filter { !$0.isNumber })", "\(error)", at: .now())
                try? await Task.sleep(for: Self.retryInterval, clock: .continuous)
            }
        }
        startElectionIfReady()
    }

    private func startElectionIfReady() {
        guard candidate == nil, farewell == nil, loss == nil, let store, let uid, desk.isComplete else { return }
        let candidate = Candidate(
            cluster: options.cluster, uid: uid, timing: timing, store: store, board: board, status: status, log: log,
            releaseLimit: options.releaseLimit, onNote: { [noted] in noted.yield($0) })
        candidate.setWishes(desk.allWishes())
        self.candidate = candidate
        election = Task {
            let result: Result<Void, ControllerError>
            do throws(ControllerError) {
                try await candidate.run()
                result = .success(())
            } catch {
                result = .failure(error)
            }
            electionEnded(result)
        }
    }

    // MARK: - The end, and the loss of the API server

    private func take(_ farewell: Farewell) {
        self.farewell = farewell
        if let candidate { candidate.leave(farewell) } else { decided.yield(.success(())) }
    }

    private func electionEnded(_ result: Result<Void, ControllerError>) {
        candidate = nil
        guard case .success = result, farewell != nil || loss != nil else {
            decided.yield(result)
            return
        }
        // A standby has nothing to say about leases that another run leads on.
        let hadTakenOver = board.table().anchor.boottime > 0
        guard farewell == .release, loss == nil, hadTakenOver else {
            if farewell != nil { decided.yield(result) }
            return
        }
        // Nobody comes soon to correct what the objects say, so it is done now.
        desk.hasEnded = true
        flushEnd = .now + Self.flushLimit
        look()
        endFlushIfDone()
    }

    private func endFlushIfDone() {
        guard let flushEnd else { return }
        // A write that failed is tried again by the next look.
        let isDone = choresUnderWay == 0 && queue.isEmpty && !desk.isOverstating(by: report())
        if isDone || flushEnd <= .now { decided.yield(.success(())) }
    }

    /// Protocol, "when a leader can elect but not work".
    func watchAPI(at now: Reading = .now()) {
        let answered = client.lastAnswered
        if let loss {
            guard let answered, answered != loss.lastAnswered else { return }
            // A release that was asked for goes on, and its last statuses can be written now.
            if let candidate, farewell == nil {
                // Once: each time begins a new wait for the store.
                if loss.isOver { return }
                self.loss?.isOver = true
                // What cannot be given back yet, since an earlier run may still act on it, would hold up the return: a handover
                // leaves that to the next run, which is ours.
                candidate.leave(.handover)
                return
            }
            if farewell == nil { log.info("\(client.server) answers again: takes part in the election again") }
            self.loss = nil
            kubernetesStatus.note(isGivenUp: false)
            startElectionIfReady()
        } else if let candidate, let timeout = options.apiLossTimeout, farewell == nil,
            // A wall clock that is set forward is no silence.
            now.elapsedForWait(since: answered ?? started) > timeout
        {
            log.warning(
                "\(client.server) has not answered for \(timeout.forPeople): gives everything back, since nobody here can "
                    + "use what this cluster leads")
            loss = Loss(lastAnswered: answered)
            kubernetesStatus.note(isGivenUp: true)
            candidate.leave(.release)
        }
    }

    // MARK: - As time passes

    private func second() {
        watchAPI()
        startElectionIfReady()
        failures.advance(at: .now())
        look()
        if isWriting { trickle() }
        beat()
        endFlushIfDone()
    }

    /// Only the active replica writes.
    private var isWriting: Bool { status.phase == .takingPart || flushEnd != nil }

    func report() -> LeaseStatusReport {
        LeaseStatusReport(
            cluster: options.cluster, timing: timing, table: board.table(), renewTimes: status.renewTimes,
            storeProblem: status.storeProblem(), now: .now())
    }

    /// Finds the Lease objects that say something else than the table does.
    private func look() {
        guard isWriting else { return }
        let report = report()
        enqueue(desk.needy(by: report))
        pump()
    }

    private func enqueue(_ namespaces: [String]) {
        for namespace in namespaces where queued.insert(namespace).inserted { queue.append(namespace) }
    }

    private func pump() {
        guard isWriting, let store, !queue.isEmpty, choresUnderWay < Self.choresMax else { return }
        let report = report()
        var taken = 0
        while choresUnderWay < Self.choresMax, taken < queue.count {
            let namespace = queue[taken]
            taken += 1
            queued.remove(namespace)
            if let chore = desk.chore(for: namespace, by: report, at: .now) { start(chore, namespace, store) }
        }
        queue.removeFirst(taken)
    }

    func start(_ chore: LeaseDesk.Chore, _ namespace: String, _ store: any LeaseStore) {
        let writer = LeaseWriter(
            client: client, store: store, cluster: options.cluster, leaseName: options.leaseName,
            defaultSeconds: options.leaseSeconds)
        let view = desk.places[namespace]?.lease
        desk.begin(namespace)
        choresUnderWay += 1
        write { controller in
            let outcome = await writer.perform(chore, namespace, view)
            await controller.finish(chore, namespace, view, outcome)
        }
    }

    /// Runs beside this actor; given up when the run ends.
    func write(_ work: @escaping @Sendable (KubernetesController) async -> Void) {
        writesEver += 1
        let number = writesEver
        writes[number] = Task {
            await work(self)
            writes[number] = nil
        }
    }

    private func finish(
        _ chore: LeaseDesk.Chore, _ namespace: String, _ view: LeaseView?, _ outcome: LeaseWriter.Outcome
    ) {
        choresUnderWay -= 1
        switch outcome {
        case .done(let object, let telling):
            noteSuccess(of: chore, namespace)
            let isKept = isKept(chore, in: object, namespace)
            desk.end(chore, namespace, failed: !isKept, at: .now)
            enqueue([desk.takeAnswer(object)].compactMap(\.self))
            if let telling {
                log.info(telling.message, ["namespace": namespace, "reason": telling.reason])
                events.add(telling.level, telling.reason, namespace, telling.message, at: .now())
            }
        case .overtaken(let object):
            noteSuccess(of: chore, namespace)
            desk.end(chore, namespace, failed: false, at: .now)
            enqueue([desk.takeAnswer(object, replacesNewer: true)].compactMap(\.self))
        case .notAsked(let reason):
            failures.failed(
                "\(chore.name)", "The handover of \(namespace) was not asked for yet: \(reason)", at: .now())
            desk.end(chore, namespace, failed: true, at: .now)
        case .failed(let error):
            // The first time it may be that the namespace is going, which the watch tells soon.
            kubernetesStatus.noteWrite(
                chore.name, problem: error, isEssential: desk.failures(of: chore, namespace) > 0)
            // Somebody else has deleted it; the watch tells soon.
            if error.code == .notFound, chore != .create { desk.forgetLease(of: namespace, uid: view?.uid) }
            if error.code != .conflict, desk.places[namespace]?.isTerminating == false {
                failures.failed(
                    "\(chore.name) \(error.code)",
                    "Cannot \(chore.purpose(namespace)), and tries again by itself: \(error)", at: .now())
            }
            desk.end(chore, namespace, failed: true, at: .now)
        }
        tellWishes()
        endFlushIfDone()
    }

    private func noteSuccess(of chore: LeaseDesk.Chore, _ namespace: String) {
        guard kubernetesStatus.noteWrite(chore.name, problem: nil) else { return }
        log.info("Can \(chore.purpose(namespace)) again")
        failures.succeeded("\(chore.name) ")
    }

    /// Whether the API server has kept a status as it was written. What it leaves out would be written again for ever, at the
    /// pace of its answers.
    private func isKept(_ chore: LeaseDesk.Chore, in object: LeaseObject, _ namespace: String) -> Bool {
        guard case .status(let status) = chore else { return true }
        if object.status?.differsOnlyInFreshness(from: status) == true {
            failures.succeeded("status kept")
            return true
        }
        failures.failed(
            "status kept",
            "The API server does not keep all of the status of the Lease object of \(namespace), so its kind is of another "
                + "version: make install", at: .now())
        return false
    }
}

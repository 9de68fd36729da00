internal import Controller
internal import Election
internal import Storage

/// Many planned handovers at once: asks for all of them, then follows the records, by lists, until they are done.
struct TransferBatch {
    struct Move: Hashable {
        let namespace: String
        /// Who is to lead, first choice first; the next is asked when one does not answer. At least one.
        let targets: [String]
    }

    enum Event: Hashable {
        /// - Parameter waited: false: the target led already.
        case done(namespace: String, target: String, term: UInt64, waited: Bool)
        /// With the reason, as a sentence.
        case failed(namespace: String, String)
        case note(String)
    }

    /// Requests to the store at a time.
    static let concurrency = 16
    /// After so many requests every cluster is told to look.
    private static let noticeEvery = 256

    let store: any LeaseStore
    /// How long to wait while nothing gets done.
    let timeout: Duration
    /// Between two lists of all leases.
    var pollInterval = Duration.milliseconds(500)
    /// How long a target may take to say that it wants a namespace, while there is another to ask.
    var answerTimeout = Duration.seconds(15)
    let report: (Event) -> Void

    /// A handover that was asked for.
    private struct Pending {
        var targets: ArraySlice<String>
        var askedAt: ContinuousClock.Instant
        var stage: HandoverStage?
    }

    /// What a look at a handover told.
    private enum Step {
        case waits(Pending)
        case ended(Event)
    }

    /// Reports the end of each move once.
    ///
    /// - Returns: the namespaces that their targets lead now, and how many are not led as asked.
    /// - Throws: ``CommandFailure`` when the store could not be used at all.
    func run(_ moves: [Move]) async throws -> (done: [String], failures: Int) {
        var pending: [String: Pending] = [:]
        var (done, failures) = ([String](), 0)
        var progressAt = ContinuousClock.now
        func apply(_ step: Step, to namespace: String) {
            switch step {
            case .waits(let move): pending[namespace] = move
            case .ended(let event):
                if case .done = event { done.append(namespace) } else { failures += 1 }
                pending[namespace] = nil
                progressAt = .now
                report(event)
            }
        }

        let targets = Dictionary(moves.map { ($0.namespace, $0.targets) }, uniquingKeysWith: { first, _ in first })
        try await ask(moves.map { ($0.namespace, $0.targets.first) }) { namespace, answer in
            apply(Self.step(answer, namespace, (targets[namespace] ?? [])[...]), to: namespace)
        }
        var trouble: String?
        while !pending.isEmpty {
            do throws(StoreError) {
                let records = Dictionary(
                    try await store.list(.leases).map { ($0.name.name, $0.body) },
                    uniquingKeysWith: { first, _ in first }
                )
                trouble = nil
                for (namespace, move) in pending.sorted(by: { $0.key < $1.key }) {
                    apply(Self.step(records[namespace], namespace, move), to: namespace)
                }
            } catch {
                // May pass; the wait is bounded anyhow.
                trouble = error.reason
            }
            for (namespace, step) in try await askNext(pending) { apply(step, to: namespace) }
            if pending.isEmpty || ContinuousClock.now - progressAt >= timeout { break }
            try await Task.sleep(for: pollInterval)
        }
        for (namespace, move) in pending.sorted(by: { $0.key < $1.key }) {
            let reason =
                trouble.map { "the store cannot be read: \($0)" }
                ?? move.stage?.missing(target: move.targets.first ?? "", namespace: namespace)
                ?? "the record was not read in time."
            apply(.ended(.failed(namespace: namespace, "not done in time: \(reason)")), to: namespace)
        }
        return (done, failures)
    }

    /// Takes the wishes back, whoever they name.
    ///
    /// - Parameter taken: gets each namespace that has no preferred holder any more.
    /// - Returns: how many still have one.
    func clear(_ namespaces: [String], taken: (String) -> Void) async throws -> Int {
        var failures = 0
        try await ask(namespaces.map { ($0, nil) }) { namespace, answer in
            switch answer {
            case .success: taken(namespace)
            case .failure(let error):
                failures += 1
                report(.failed(namespace: namespace, "\(error)"))
            }
        }
        return failures
    }

    // MARK: - Asking

    private typealias Answer = Result<LeaseRecord, PreferredHolder.Failure>

    /// Writes the wishes, a few at a time, and makes every cluster look.
    ///
    /// - Throws: ``CommandFailure`` when the store took none of them.
    private func ask(_ wishes: [(namespace: String, target: String?)], _ take: (String, Answer) -> Void) async throws {
        var storeProblem: StoreError?
        var isUsable = wishes.isEmpty
        var rest = wishes[...]
        var answers: [(String, Answer)] = []
        while !rest.isEmpty {
            let chunk = rest.prefix(Self.noticeEvery)
            rest = rest.dropFirst(Self.noticeEvery)
            for (namespace, answer) in await write(chunk) {
                if case .failure(.store(let error)) = answer { storeProblem = error } else { isUsable = true }
                answers.append((namespace, answer))
            }
            if let storeProblem, !isUsable {
                throw CommandFailure("the store cannot be used: \(storeProblem.reason)")
            }
            await notice()
            for (namespace, answer) in answers { take(namespace, answer) }
            answers = []
        }
    }

    private func write(_ wishes: ArraySlice<(namespace: String, target: String?)>) async -> [(String, Answer)] {
        await withTaskGroup(of: (String, Answer).self) { group in
            var answers: [(String, Answer)] = []
            for (index, wish) in wishes.enumerated() {
                if index >= Self.concurrency, let answer = await group.next() { answers.append(answer) }
                group.addTask { [store] in
                    do throws(PreferredHolder.Failure) {
                        return (
                            wish.namespace,
                            .success(try await PreferredHolder.write(wish.target, of: wish.namespace, in: store))
                        )
                    } catch {
                        return (wish.namespace, .failure(error))
                    }
                }
            }
            for await answer in group { answers.append(answer) }
            return answers
        }
    }

    private func notice() async {
        let problem: String?
        do throws(PreferredHolder.Failure) {
            problem = try await PreferredHolder.rewriteNotice(in: store) ? nil : "each attempt was left unanswered"
        } catch {
            problem = "\(error)"
        }
        if let problem {
            report(
                .note(
                    "members/~notice could not be rewritten, so the clusters notice at their next re-list only: \(problem)"
                ))
        }
    }

    private static func step(_ answer: Answer, _ namespace: String, _ targets: ArraySlice<String>) -> Step {
        switch answer {
        case .failure(let error): return .ended(.failed(namespace: namespace, "\(error)"))
        case .success(let record):
            guard let target = targets.first, record.holderIdentity == target else {
                return .waits(Pending(targets: targets, askedAt: .now))
            }
            return .ended(.done(namespace: namespace, target: target, term: record.term, waited: false))
        }
    }

    // MARK: - Following

    /// - Parameter body: of the lease record as it is now.
    private static func step(_ body: [UInt8]?, _ namespace: String, _ move: Pending) -> Step {
        func failed(_ reason: String) -> Step { .ended(.failed(namespace: namespace, reason)) }
        guard let target = move.targets.first else { return failed("nobody is to lead it") }
        guard let body else { return failed("its lease record has been deleted; somebody else did that") }
        guard let record = try? LeaseRecord(parsing: body) else {
            return failed(
                "leases/\(namespace) is no lease record any more: find out who wrote it; to have it made anew, stop the "
                    + "controllers of all clusters before you delete it")
        }
        let stage = HandoverStage(record, target: target)
        switch stage {
        case .done: return .ended(.done(namespace: namespace, target: target, term: record.term, waited: true))
        case .cancelled: return failed(stage.missing(target: target, namespace: namespace) ?? "")
        case .unanswered, .wanted, .free:
            var move = move
            move.stage = stage
            return .waits(move)
        }
    }

    /// Asks the next cluster for what the one before has not answered.
    private func askNext(_ pending: [String: Pending]) async throws -> [(String, Step)] {
        let late = pending.filter { _, move in
            guard case .unanswered = move.stage, move.targets.count > 1 else { return false }
            return ContinuousClock.now - move.askedAt >= answerTimeout
        }
        for (namespace, move) in late.sorted(by: { $0.key < $1.key }) {
            let (one, next) = (move.targets.first ?? "", move.targets.dropFirst().first ?? "")
            report(.note("\(one) does not say that it wants \(namespace); asks \(next)"))
        }
        var steps: [(String, Step)] = []
        try await ask(late.map { ($0.key, $0.value.targets.dropFirst().first) }) { namespace, answer in
            let targets = late[namespace]?.targets.dropFirst() ?? []
            steps.append((namespace, Self.step(answer, namespace, targets)))
        }
        return steps
    }
}

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

    /// Reports the end of each move once.
    ///
    /// - Returns: the namespaces that their targets lead now, and how many are not led as asked.
    /// - Throws: ``CommandFailure`` when the store could not be used at all.
    func run(_ moves: [Move]) async throws -> (done: [String], failures: Int) {
        var pending: [String: Pending] = [:]
        var (done, failures) = ([String](), 0)
        var progressAt = ContinuousClock.now
        func end(_ event: Event) {
            switch event {
            case .done(let namespace, _, _, _):
                done.append(namespace)
                pending[namespace] = nil
            case .failed(let namespace, _):
                failures += 1
                pending[namespace] = nil
            case .note: break
            }
            progressAt = .now
            report(event)
        }

        let targets = Dictionary(moves.map { ($0.namespace, $0.targets) }, uniquingKeysWith: { first, _ in first })
        try await ask(moves.map { ($0.namespace, $0.targets.first) }) { namespace, answer in
            take(answer, of: namespace, (targets[namespace] ?? [])[...], &pending, end)
        }
        var trouble: String?
        while !pending.isEmpty {
            do throws(StoreError) {
                let records = Dictionary(
                    try await store.list(.leases).map { ($0.name.name, $0.body) },
                    uniquingKeysWith: { first, _ in first })
                trouble = nil
                for (namespace, move) in pending.sorted(by: { $0.key < $1.key }) {
                    judge(namespace, move, records[namespace], &pending, end)
                }
            } catch {
                // May pass; the wait is bounded anyhow.
                trouble = error.reason
            }
            try await askNext(&pending, end)
            if pending.isEmpty { break }
            guard ContinuousClock.now - progressAt < timeout else { break }
            try await Task.sleep(for: pollInterval)
        }
        for (namespace, move) in pending.sorted(by: { $0.key < $1.key }) {
            let reason =
                trouble.map { "the store cannot be read: \($0)" }
                ?? move.stage?.missing(target: move.targets.first ?? "", namespace: namespace)
                ?? "the record was not read in time."
            end(.failed(namespace: namespace, "not done in time: \(reason)"))
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

    private func take(
        _ answer: Answer, of namespace: String, _ targets: ArraySlice<String>, _ pending: inout [String: Pending],
        _ end: (Event) -> Void
    ) {
        switch answer {
        case .failure(let error): end(.failed(namespace: namespace, "\(error)"))
        case .success(let record):
            if let target = targets.first, record.holderIdentity == target {
                end(.done(namespace: namespace, target: target, term: record.term, waited: false))
            } else {
                pending[namespace] = Pending(targets: targets, askedAt: .now)
            }
        }
    }

    // MARK: - Following

    private func judge(
        _ namespace: String, _ move: Pending, _ body: [UInt8]?, _ pending: inout [String: Pending],
        _ end: (Event) -> Void
    ) {
        guard let target = move.targets.first else { return }
        guard let body else {
            return end(.failed(namespace: namespace, "its lease record has been deleted; somebody else did that"))
        }
        guard let record = try? LeaseRecord(parsing: body) else {
            return end(
                .failed(
                    namespace: namespace, "leases/\(namespace) is no lease record any more; repair or delete the object"
                ))
        }
        let stage = HandoverStage(record, target: target)
        switch stage {
        case .done: end(.done(namespace: namespace, target: target, term: record.term, waited: true))
        case .cancelled:
            end(.failed(namespace: namespace, stage.missing(target: target, namespace: namespace) ?? ""))
        case .unanswered, .wanted, .free: pending[namespace]?.stage = stage
        }
    }

    /// Asks the next cluster for what the one before has not answered.
    private func askNext(_ pending: inout [String: Pending], _ end: (Event) -> Void) async throws {
        let late = pending.filter { _, move in
            guard case .unanswered = move.stage, move.targets.count > 1 else { return false }
            return ContinuousClock.now - move.askedAt >= answerTimeout
        }
        if late.isEmpty { return }
        for (namespace, move) in late.sorted(by: { $0.key < $1.key }) {
            report(
                .note(
                    "\(move.targets.first ?? "") does not say that it wants \(namespace); asks \(move.targets[move.targets.startIndex + 1])"
                ))
        }
        try await ask(late.map { ($0.key, $0.value.targets.dropFirst().first) }) { namespace, answer in
            take(answer, of: namespace, late[namespace]?.targets.dropFirst() ?? [], &pending, end)
        }
    }
}

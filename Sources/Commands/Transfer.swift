internal import Controller
internal import Election
internal import Storage

/// A planned handover, seen from outside: asks for it in the lease record, then follows the record until it is done.
struct Transfer {
    /// How often the record is read while waiting: a handover takes a few seconds.
    private static let pollInterval = Duration.milliseconds(200)
    let namespace: String
    let store: any LeaseStore
    let pollInterval: Duration
    /// Gets each line of progress.
    let report: (String) -> Void

    /// - Parameter namespace: a valid ``RecordName``.
    init(
        namespace: String, store: any LeaseStore, pollInterval: Duration = pollInterval,
        report: @escaping (String) -> Void
    ) {
        self.namespace = namespace
        self.store = store
        self.pollInterval = pollInterval
        self.report = report
    }

    /// Makes `target` the leader.
    ///
    /// - Returns: the last line, for standard output.
    /// - Throws: ``CommandFailure`` when it cannot be asked for, or is not done after `timeout`.
    func run(to target: String, timeout: Duration) async throws -> String {
        let clock = ContinuousClock()
        let start = clock.now
        let first = try await read()
        if first.holderIdentity == target, first.preferredHolder ?? target == target {
            return "\(target) leads \(namespace) already (term \(first.term))"
        }
        try await requireLive(target)
        let asked = try await setPreference(target)
        report(
            asked.isFree
                ? "asked: \(target) is to lead \(namespace), which nobody leads now"
                : "asked: \(target) is to lead \(namespace), which \(asked.holderIdentity) leads now (term \(asked.term))"
        )

        var stage: HandoverStage?
        var trouble: String?
        while true {
            do {
                let record = try await read()
                trouble = nil
                let reached = HandoverStage(record, target: target)
                if reached == .done {
                    let seconds = Self.seconds(clock.now - start)
                    return "\(target) leads \(namespace) after \(seconds) (term \(record.term))"
                }
                if case .cancelled = reached {
                    throw CommandFailure(
                        reached.missing(target: target, namespace: namespace) ?? "", code: TransferCommand.notDone)
                }
                if reached != stage, let line = reached.progress(target: target) { report(line) }
                stage = reached
            } catch let error as StoreError {
                // May pass; the wait is bounded anyhow.
                trouble = error.reason
            }
            guard clock.now - start < timeout else { break }
            try await Task.sleep(for: pollInterval)
        }
        throw CommandFailure(
            "not done after \(Self.seconds(timeout)): " + (try await missing(stage, target: target, trouble: trouble))
                + " The request stays in the record until it is fulfilled or cleared with --clear.",
            code: TransferCommand.notDone)
    }

    /// Takes the preference back, whoever it names.
    ///
    /// - Returns: the last line, for standard output.
    func clear() async throws -> String {
        guard let preferred = try await read().preferredHolder else {
            return "\(namespace) has no preferred holder"
        }
        _ = try await setPreference(nil)
        return "\(namespace) no longer prefers \(preferred)"
    }

    // MARK: - Asking

    private func requireLive(_ target: String) async throws {
        try Self.requireLive(
            target, in: ElectionSnapshot(members: try await store.list(.members), leases: [], readAt: 0))
    }

    /// - Throws: ``CommandFailure`` when `target` does not say that it takes part.
    static func requireLive(_ target: String, in snapshot: ElectionSnapshot) throws(CommandFailure) {
        if snapshot.member(target)?.state == .live { return }
        let found =
            switch snapshot.members.first(where: { $0.cluster == target })?.record {
            case .success(let record): "its member record says \(record.state.rawValue)"
            case .failure(let error): "its member record cannot be read: \(error)"
            case nil: "it has no member record"
            }
        let live = snapshot.members.map(\.cluster).filter { snapshot.member($0)?.state == .live }
        throw CommandFailure(
            "\(target) takes no part in the election (\(found)): start it first. Live now: "
                + (live.isEmpty ? "none" : live.joined(separator: ", ")))
    }

    /// - Returns: the record as it is now.
    private func setPreference(_ target: String?) async throws -> LeaseRecord {
        let outcome = try await asked { try await PreferredHolder.set(target, of: namespace, in: store) }
        if !outcome.isNoticed {
            report("members/~notice could not be rewritten: the clusters will notice at their next re-list")
        }
        return outcome.record
    }

    private func read() async throws -> LeaseRecord {
        try await asked { try await PreferredHolder.record(of: namespace, in: store) }
    }

    /// The store's own errors as such, so that a wait can outlast them.
    private func asked<Answer>(_ call: () async throws -> Answer) async throws -> Answer {
        do {
            return try await call()
        } catch PreferredHolder.Failure.store(let error) {
            throw error
        }
    }

    // MARK: - Waiting

    /// What the handover waits for, as a sentence.
    private func missing(_ stage: HandoverStage?, target: String, trouble: String?) async throws -> String {
        if let trouble { return "the store cannot be read: \(trouble)." }
        let member = (try? await ElectionSnapshot(reading: store))?.member(target)
        if member?.state != .live { return "\(target) has left the election meanwhile." }
        return stage?.missing(target: target, namespace: namespace) ?? "the record was not read in time."
    }

    static func seconds(_ duration: Duration) -> String {
        let tenths = duration.nanoseconds / 100_000_000
        return "\(tenths / 10).\(tenths % 10) s"
    }
}

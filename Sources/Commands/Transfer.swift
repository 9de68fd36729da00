internal import Election
private import FoundationEssentials
internal import Storage

/// A planned handover, seen from outside: asks for it in the lease record, then follows the record until it is done.
struct Transfer {
    /// How often the record is read while waiting: a handover takes a few seconds.
    private static let pollInterval = Duration.milliseconds(200)
    /// A conflict means that somebody else's write got through; more of them in a row than clusters could cause is a fault.
    private static let attemptsMax = 20

    let namespace: String
    let store: any LeaseStore
    let pollInterval: Duration
    /// Gets each line of progress.
    let report: (String) -> Void

    private let lease: ObjectName

    /// - Parameter namespace: a valid ``RecordName``.
    init(
        namespace: String, store: any LeaseStore, pollInterval: Duration = pollInterval,
        report: @escaping (String) -> Void
    ) {
        guard let lease = ObjectName(.leases, namespace) else {
            preconditionFailure("every valid name is an object's name: \(namespace)")
        }
        self.namespace = namespace
        self.store = store
        self.pollInterval = pollInterval
        self.report = report
        self.lease = lease
    }

    /// Makes `target` the leader.
    ///
    /// - Returns: the last line, for standard output.
    /// - Throws: ``CommandFailure`` when it cannot be asked for, or is not done after `timeout`.
    func run(to target: String, timeout: Duration) async throws -> String {
        let clock = ContinuousClock()
        let start = clock.now
        let first = try await read()
        if first.record.holderIdentity == target, first.record.preferredHolder ?? target == target {
            return "\(target) leads \(namespace) already (term \(first.record.term))"
        }
        try await requireLive(target)
        let asked = try await setPreference(target)
        report(
            asked.isFree
                ? "asked: \(target) is to lead \(namespace), which nobody leads now"
                : "asked: \(target) is to lead \(namespace), which \(asked.holderIdentity) leads now (term \(asked.term))"
        )

        var stage: Stage?
        var trouble: String?
        while true {
            do {
                let record = try await read().record
                trouble = nil
                let reached = Stage(record, target: target)
                if reached == .done {
                    let seconds = Self.seconds(clock.now - start)
                    return "\(target) leads \(namespace) after \(seconds) (term \(record.term))"
                }
                if reached == .cancelled {
                    throw CommandFailure(
                        "somebody else changed the preferred holder of \(namespace) to "
                            + (record.preferredHolder ?? "nobody")
                            + " while waiting; ask again if \(target) should lead")
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
                + " The request stays in the record until it is fulfilled or cleared with --clear.")
    }

    /// Takes the preference back, whoever it names.
    ///
    /// - Returns: the last line, for standard output.
    func clear() async throws -> String {
        guard let preferred = try await read().record.preferredHolder else {
            return "\(namespace) has no preferred holder"
        }
        _ = try await setPreference(nil)
        return "\(namespace) no longer prefers \(preferred)"
    }

    // MARK: - Asking

    private func read() async throws -> (record: LeaseRecord, version: ObjectVersion) {
        guard let object = try await store.read(lease) else {
            throw CommandFailure(
                "there is no lease record of \(namespace): no cluster competes for it yet. Run one that does, and check "
                    + "the spelling and --store")
        }
        do {
            return (try LeaseRecord(parsing: object.body), object.version)
        } catch {
            throw CommandFailure(
                "leases/\(namespace) is no lease record, and is left alone: \(error). Repair or delete the object")
        }
    }

    private func requireLive(_ target: String) async throws {
        let snapshot = ElectionSnapshot(members: try await store.list(.members), leases: [], readAt: 0)
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

    /// Changes only the preference, by compare-and-swap, and makes every cluster look.
    ///
    /// - Returns: the record as it is now.
    private func setPreference(_ target: String?) async throws -> LeaseRecord {
        for _ in 0..<Self.attemptsMax {
            let (found, version) = try await read()
            var record = found
            // As wanted already: by an earlier request, or by a write of this one whose answer was lost.
            if record.preferredHolder != target {
                record.preferredHolder = target
                record.write = UUID().uuidString.lowercased()
                do throws(StoreError) {
                    _ = try await store.write(lease, record.encoded(), replacing: version)
                } catch .conflict {
                    continue
                } catch .unclear {
                    continue
                }
            }
            try await rewriteNotice()
            return record
        }
        throw CommandFailure(
            "leases/\(namespace) could not be changed in \(Self.attemptsMax) attempts: each time somebody else wrote it "
                + "first, or the answer was lost. Try again")
    }

    private func rewriteNotice() async throws {
        for _ in 0..<Self.attemptsMax {
            let version = try await store.read(.notice)?.version
            do throws(StoreError) {
                let body = "{\"write\":\"\(UUID().uuidString.lowercased())\"}\n"
                _ = try await store.write(.notice, Array(body.utf8), replacing: version)
                return
            } catch .conflict {
                // Somebody else rewrote it after the lease record had changed, which serves as well.
                return
            } catch .unclear {
                continue
            }
        }
        // The clusters list the leases once in a while without it, too.
        report("members/~notice could not be rewritten: the clusters will notice at their next re-list")
    }

    // MARK: - Waiting

    private enum Stage: Equatable {
        case unanswered(holder: String)
        case wanted(holder: String)
        case free
        case cancelled
        case done

        init(_ record: LeaseRecord, target: String) {
            if record.holderIdentity == target {
                self = .done
            } else if record.preferredHolder != target {
                self = .cancelled
            } else if record.isFree {
                self = .free
            } else if record.wantedBy == target {
                self = .wanted(holder: record.holderIdentity)
            } else {
                self = .unanswered(holder: record.holderIdentity)
            }
        }

        func progress(target: String) -> String? {
            switch self {
            case .unanswered: "waiting for \(target) to say that it wants it"
            case .wanted(let holder): "\(target) wants it; waiting for \(holder) to give it back"
            case .free: "it is free; waiting for \(target) to claim it"
            case .cancelled, .done: nil
            }
        }
    }

    /// What the handover waits for, as a sentence.
    private func missing(_ stage: Stage?, target: String, trouble: String?) async throws -> String {
        if let trouble { return "the store cannot be read: \(trouble)." }
        let member = (try? await ElectionSnapshot(reading: store))?.member(target)
        if member?.state != .live { return "\(target) has left the election meanwhile." }
        switch stage {
        case .unanswered:
            return "\(target) has not said that it wants \(namespace). Is it running, and does it compete for this "
                + "namespace?"
        case .wanted(let holder):
            return "\(holder) has not given it back. If it is down, its lease ends by itself."
        case .free:
            return "\(target) has not claimed it, though it is free. Is \(target) running?"
        case .cancelled, .done, nil:
            return "the record was not read in time."
        }
    }

    private static func seconds(_ duration: Duration) -> String {
        let tenths = duration.nanoseconds / 100_000_000
        return "\(tenths / 10).\(tenths % 10) s"
    }
}

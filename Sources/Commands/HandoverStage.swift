internal import Election

/// How far a planned handover has come, as the lease record shows it.
enum HandoverStage: Equatable {
    case unanswered(holder: String)
    case wanted(holder: String)
    case free
    /// Somebody else has changed the wish.
    case cancelled(preferred: String?)
    case done

    init(_ record: LeaseRecord, target: String) {
        if record.holderIdentity == target {
            self = .done
        } else if record.preferredHolder != target {
            self = .cancelled(preferred: record.preferredHolder)
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

    /// What it waits for, as a sentence; nil: for nothing.
    func missing(target: String, namespace: String) -> String? {
        switch self {
        case .unanswered:
            "\(target) has not said that it wants \(namespace). Is it running, and does it compete for this namespace?"
        case .wanted(let holder):
            "\(holder) has not given it back. If it is down, its lease ends by itself."
        case .free:
            "\(target) has not claimed it, though it is free. Is \(target) running?"
        case .cancelled(let preferred):
            "somebody else changed the preferred holder of \(namespace) to \(preferred ?? "nobody") while waiting; ask "
                + "again if \(target) should lead."
        case .done: nil
        }
    }
}

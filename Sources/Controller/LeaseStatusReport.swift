internal import Election
internal import Kubernetes

/// What a Lease object's status should say, from what admissions are judged by.
struct LeaseStatusReport: Sendable {
    static let held = "Held"
    static let storeReachable = "StoreReachable"

    let cluster: String
    let timing: Timing
    let table: LeadershipTable
    /// RFC 3339, by cluster.
    let renewTimes: [String: String]
    /// nil: the store answers.
    let storeProblem: String?
    let now: Reading

    /// What tells that a status may have to be written again, in a few bytes.
    struct Mark: Hashable, Sendable {
        let state: LeadershipTable.Entry.State
        let holder: Int32
        let term: UInt64
        let transitions: Int32
        let leads: Bool
        let storeAnswers: Bool
        let generation: Int64
    }

    func mark(slot: Int?, generation: Int64?) -> Mark {
        let entry = slot.map { table.entries[$0] } ?? LeadershipTable.Entry()
        return Mark(
            state: entry.state, holder: entry.holder, term: entry.term, transitions: entry.transitions,
            leads: slot.map(leads) ?? false, storeAnswers: storeProblem == nil, generation: generation ?? 0)
    }

    func leads(_ slot: Int) -> Bool {
        if case .leads = table.standing(slot: slot, at: now) { true } else { false }
    }

    /// - Parameters:
    ///   - slot: the namespace's slot in the table; nil: it has none yet.
    ///   - view: the object whose status it is to be.
    func status(namespace: String, slot: Int?, of view: LeaseView) -> LeaseObject.Status {
        let standing = slot.map { table.standing(slot: $0, at: now) } ?? .vacant(slot: nil, reason: .unknown)
        let tenure = slot.map(table.tenure)
        let holder = tenure?.holder ?? ""

        var status = LeaseObject.Status()
        status.isLeader = slot.map(leads) ?? false
        status.observedHolderIdentity = holder
        status.observedAcquireTime =
            tenure.flatMap { $0.acquired > 0 ? Timestamp.format(microseconds: $0.acquired) : nil }
        status.observedRenewTime =
            holder == cluster ? ownRenewTime : renewTime(of: holder) ?? view.status?.observedRenewTime
        status.leaseTransitions = tenure?.transitions ?? 0
        status.term = tenure.map { Int64(clamping: $0.term) }
        status.observedGeneration = view.generation
        status.observedPreferredHolder = view.status?.observedPreferredHolder
        let old = view.status?.conditions ?? []
        // Conditions of other types are somebody else's.
        status.conditions =
            old.filter { $0.type != Self.held && $0.type != Self.storeReachable }
            + [
                condition(Self.held, heldStatus(namespace, standing, holder, view), old, view),
                condition(Self.storeReachable, storeStatus, old, view),
            ]
        return status
    }

    /// The last heartbeat that the store acknowledged.
    private var ownRenewTime: String? {
        table.anchor.realtime > 0 ? Timestamp.format(microseconds: table.anchor.realtime / 1000) : nil
    }

    /// In our own form: another cluster wrote it, and one wrong time would have the whole status refused.
    private func renewTime(of holder: String) -> String? {
        renewTimes[holder].flatMap(Timestamp.parse).map(Timestamp.format)
    }

    private typealias Verdict = (status: String, reason: String, message: String)

    private func heldStatus(
        _ namespace: String, _ standing: LeadershipTable.Standing, _ holder: String, _ view: LeaseView
    ) -> Verdict {
        if let seconds = view.spec.leaseDurationSeconds, let refusal = timing.refusal(ofSeconds: seconds) {
            return ("False", "DurationRefused", "\(cluster) does not compete for \(namespace): \(refusal)")
        }
        switch standing {
        case .leads: return ("True", "Leads", "\(cluster) leads \(namespace)")
        case .follows: return ("False", "OtherClusterLeads", "\(holder) leads \(namespace)")
        case .unmanaged: return ("False", "Unmanaged", "\(namespace) has no election")
        case .vacant(_, .free): return ("False", "Free", "Nobody leads \(namespace): its lease is free")
        case .vacant(_, .lapsed):
            return ("False", "Lapsed", "The claim of \(cluster) has run out, or is not regained yet")
        case .vacant(_, .unreadable):
            return ("Unknown", "RecordUnreadable", "The lease record of \(namespace) in the store cannot be read")
        case .vacant(_, .unknown), .vacant(_, .notElected), .vacant(_, .silent):
            return ("Unknown", "RecordNotRead", "The lease record of \(namespace) has not been read yet")
        }
    }

    private var storeStatus: Verdict {
        if let storeProblem { return ("False", "NotAnswering", storeProblem) }
        return ("True", "Answering", "The store answers")
    }

    private func condition(
        _ type: String, _ verdict: Verdict, _ old: [LeaseObject.Condition], _ view: LeaseView
    ) -> LeaseObject.Condition {
        let before = old.first { $0.type == type }
        // How long the store has been silent must not cost a write each time.
        let keepsMessage = type == Self.storeReachable && before?.status == verdict.status
        return LeaseObject.Condition(
            type: type, status: verdict.status, reason: verdict.reason,
            message: keepsMessage ? before!.message : verdict.message,
            lastTransitionTime: before?.status == verdict.status
                ? before!.lastTransitionTime : Timestamp.format(microseconds: now.realtime / 1000),
            observedGeneration: view.generation)
    }
}

extension LeaseObject.Status {
    /// Whether only what the trickle refreshes differs: the observed renew time, and how the store is.
    func differsOnlyInFreshness(from other: LeaseObject.Status) -> Bool {
        var (one, two) = (self, other)
        one.observedRenewTime = nil
        two.observedRenewTime = nil
        one.conditions?.removeAll { $0.type == LeaseStatusReport.storeReachable }
        two.conditions?.removeAll { $0.type == LeaseStatusReport.storeReachable }
        return one == two
    }
}

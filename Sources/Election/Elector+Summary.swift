extension Elector {
    /// What people and metrics want to know between the notes.
    package struct Summary: Hashable, Sendable {
        package enum Phase: String, Hashable, Sendable {
            case joining
            case active
            case leaving
            case ended
        }

        /// A lease that this cluster waits for: its holder's heartbeats have not come for longer than they may take.
        package struct Waiting: Hashable, Sendable {
            package let namespace: String
            package let holder: String
            /// At most this much longer, if the holder stays silent.
            package let rest: Duration
        }

        package let phase: Phase
        package let wanted: Int
        package let led: Int
        /// Since the newest acknowledged heartbeat was sent; nil before the first.
        package let heartbeatAge: Duration?
        /// Of the claim whose window ends first, the commit margin not taken off; nil without a claim.
        package let windowLeft: Duration?
        /// Whether the newest answer of the store was a failure.
        package let requestsAreFailing: Bool
        /// The wanted lease of a silent cluster that is waited for the longest; nil without one.
        package let waiting: Waiting?
    }

    /// - Parameter now: this machine's clocks.
    package func summary(at now: Reading) -> Summary {
        let sent = own.acknowledged?.sent
        let age = sent.map { now.elapsedForUse(since: $0) }
        var led = 0
        var shortest: Int?
        var waiting: Summary.Waiting?
        for slot in slots {
            if let claim = slot.claim {
                led += 1
                shortest = min(shortest ?? claim.honoured, claim.honoured)
            }
            guard slot.wanted != nil, case .record(let record, _) = slot.known, !record.isFree,
                record.holderIdentity != identity.cluster, let position = memberPosition(record.holderIdentity)
            else { continue }
            let silence = now.elapsedForWait(since: members[position].firstReceived)
            guard silence > timing.renewInterval + timing.pollInterval * 2 else { continue }
            let rest =
                timing.staleness(ofSeconds: record.leaseDurationSeconds)
                - silence
            if rest > waiting?.rest ?? .zero {
                waiting = .init(namespace: slot.namespace, holder: record.holderIdentity, rest: rest)
            }
        }
        return Summary(
            phase: summaryPhase, wanted: slots.count { $0.wanted != nil }, led: led, heartbeatAge: age,
            windowLeft: shortest.flatMap { seconds in age.map { timing.window(ofSeconds: seconds) - $0 } },
            requestsAreFailing: requestsAreFailing, waiting: waiting)
    }

    private var summaryPhase: Summary.Phase {
        switch phase {
        case .joining: .joining
        case .active: .active
        case .leaving: .leaving
        case .ended: .ended
        }
    }
}

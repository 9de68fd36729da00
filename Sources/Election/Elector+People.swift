extension Elector {
    /// A lease that this cluster waits for: its holder's heartbeats have not come for longer than they may take.
    package struct SilentHolder: Hashable, Sendable {
        package let namespace: String
        package let holder: String
        /// At most this much longer, if the holder stays silent.
        package let rest: Duration
    }

    /// The wanted lease of a silent cluster that is waited for the longest, for people; nil without one.
    ///
    /// - Parameter now: this machine's clocks.
    package func silentHolder(at now: Reading) -> SilentHolder? {
        var longest: SilentHolder?
        for slot in slots where slot.wanted != nil {
            guard case .record(let record, _) = slot.known, !record.isFree, record.holderIdentity != identity.cluster,
                let position = memberPosition(record.holderIdentity)
            else { continue }
            let silence = now.elapsedForWait(since: members[position].firstReceived)
            guard silence > timing.renewInterval + timing.pollInterval * 2 else { continue }
            let rest = timing.staleness(ofSeconds: record.leaseDurationSeconds) - silence
            if rest > longest?.rest ?? .zero {
                longest = SilentHolder(namespace: slot.namespace, holder: record.holderIdentity, rest: rest)
            }
        }
        return longest
    }
}

extension Elector {
    /// When each cluster last renewed, by its own wall clock: for people only.
    ///
    /// - Returns: RFC 3339 times by cluster.
    package var renewTimes: [String: String] {
        members.reduce(into: [:]) { times, member in times[member.name] = member.presence.record?.renewTime }
    }
}

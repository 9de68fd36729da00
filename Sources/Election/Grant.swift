/// What a controller tells a webhook in another process: for how long it may act on which claims.
///
/// The webhook notes a reading T before it asks and turns the answer into a table with ``LeadershipTable/init(granted:askedAt:timing:)``;
/// a delayed answer only shortens the grant.
package struct Grant: Hashable, Sendable {
    package struct Entry: Hashable, Sendable {
        package let namespace: String
        /// `own` when granted; otherwise why not.
        package let state: LeadershipTable.Entry.State
        package let holder: String?
        package let term: UInt64
        package let acquired: Int64
        /// For how long the claim could still be acted on when the grant was computed: at most what is left of the window,
        /// and of one grant duration, the commit margin taken off both. Zero unless granted.
        package let remaining: Duration
    }

    package let cluster: String
    package let entries: [Entry]

    /// Computes the grant from the published table.
    ///
    /// - Parameter now: this machine's clocks, read after the table was taken.
    package init(of table: LeadershipTable, at now: Reading, timing: Timing) {
        cluster = table.cluster
        let elapsed = now.elapsedForUse(since: table.anchor)
        entries = table.entries.indices.map { slot in
            let entry = table.entries[slot]
            let tenure = table.tenure(slot)
            // The margin comes off the grant duration, too: when a lease is given back one grant duration after the last
            // grant, a write that was admitted at the grant's very end must have reached the API server's storage.
            let left = min(.nanoseconds(entry.limit) - elapsed, timing.grantDuration - timing.commitMargin)
            let isGranted = entry.state == .own && left > .zero
            return Entry(
                namespace: table.index.names[slot],
                state: entry.state == .own && !isGranted ? .lapsed : entry.state, holder: tenure.holder,
                term: tenure.term, acquired: tenure.acquired, remaining: isGranted ? left : .zero)
        }
    }
}

extension LeadershipTable {
    /// The table of a webhook that lives by grants: it may act until elapsed(T) reaches the remainder·(1−rho).
    ///
    /// - Parameter asked: T, the reading before the request for the grant was sent.
    package init(granted grant: Grant, askedAt asked: Reading, timing: Timing) {
        var holders: [String] = []
        var positions: [String: Int32] = [:]
        var entries = ContiguousArray<Entry>()
        for granted in grant.entries {
            var holder: Int32 = -1
            if let name = granted.holder {
                if let known = positions[name] {
                    holder = known
                } else {
                    holder = Int32(holders.count)
                    positions[name] = holder
                    holders.append(name)
                }
            }
            let limit = granted.remaining * (1_000_000 - timing.rho) / 1_000_000
            entries.append(
                Entry(
                    state: granted.state, holder: holder, term: granted.term, limit: limit.nanoseconds,
                    acquired: granted.acquired))
        }
        self.init(
            cluster: grant.cluster, index: NamespaceIndex(grant.entries.map(\.namespace)), anchor: asked,
            entries: entries, holders: holders)
    }
}

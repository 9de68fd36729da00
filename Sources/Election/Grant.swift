/// Which state of which controller's table: tables with equal marks say the same about every namespace, and differ at
/// most in their ``LeadershipTable/anchor``.
package struct TableMark: Hashable, Sendable, Codable {
    /// Whose table it is; empty before the first incarnation.
    package let incarnation: String
    /// Grows whenever an entry changes.
    package let revision: UInt64

    package init(incarnation: String, revision: UInt64) {
        self.incarnation = incarnation
        self.revision = revision
    }
}

/// What a controller answers a webhook in another process that asks how long it may act on which claims.
///
/// Small when nothing but time has passed: the webhook says which table it has, and gets the table only when that is
/// another one. What is left of every window follows from the table and one number, ``elapsed``.
package struct Grant: Hashable, Sendable, Codable {
    package let cluster: String
    package let mark: TableMark
    /// Whether this incarnation has taken over its cluster's member record. Another one has nothing to grant, and does
    /// not know what the active one does: its answer changes nothing.
    package let isActive: Bool
    /// What was used of every window when the grant was computed, in nanoseconds: elapsed(H).
    package let elapsed: Int64
    /// One grant duration less the commit margin, in nanoseconds: a grant is never longer.
    package let longest: Int64
    /// The controller's bound on clock rates, in parts per million.
    package let rho: Int
    /// nil: the one that the webhook named, or there is nothing to grant.
    package let table: GrantedTable?

    /// - Parameters:
    ///   - table: the published one.
    ///   - known: the table that the webhook has; nil: none.
    ///   - now: this machine's clocks, read after `table` was taken.
    package init(of table: LeadershipTable, known: TableMark?, at now: Reading, timing: Timing) {
        cluster = table.cluster
        mark = table.mark
        isActive = table.isActive
        // A clock that was set back gives nothing more.
        elapsed = max(0, now.nanosecondsForUse(since: table.anchor))
        // The margin comes off the grant duration, too: when a lease is given back one grant duration after the last
        // grant, a write that was admitted at the grant's very end must have reached the API server's storage.
        longest = (timing.grantDuration - timing.commitMargin).nanoseconds
        rho = timing.rho
        self.table = known == table.mark || !table.isActive ? nil : GrantedTable(table)
    }
}

/// A ``LeadershipTable`` as a grant carries it: a column for each field, which takes half the bytes and time of an object
/// for each namespace.
package struct GrantedTable: Hashable, Sendable, Codable {
    package let namespaces: [String]
    package let holders: [String]
    private let states: [LeadershipTable.Entry.State]
    private let slots: [Int32]
    private let terms: [UInt64]
    private let limits: [Int64]
    private let acquired: [Int64]
    private let transitions: [Int32]

    package init(_ table: LeadershipTable) {
        namespaces = table.index.names
        holders = table.holders
        states = table.entries.map(\.state)
        slots = table.entries.map(\.holder)
        terms = table.entries.map(\.term)
        limits = table.entries.map(\.limit)
        acquired = table.entries.map(\.acquired)
        transitions = table.entries.map(\.transitions)
    }

    /// One a namespace, in their order. Only of a table that ``isConsistent``.
    var entries: ContiguousArray<LeadershipTable.Entry> {
        ContiguousArray(
            namespaces.indices.map { row in
                LeadershipTable.Entry(
                    state: states[row], holder: slots[row], term: terms[row], limit: limits[row],
                    acquired: acquired[row], transitions: transitions[row])
            })
    }

    /// Whether the parts belong together; what came over the network is asked before it is used.
    var isConsistent: Bool {
        let rows = namespaces.count
        return states.count == rows && slots.count == rows && terms.count == rows && limits.count == rows
            && acquired.count == rows && transitions.count == rows && Set(namespaces).count == rows
            && slots.allSatisfy { $0 >= -1 && $0 < holders.count } && limits.allSatisfy { $0 >= 0 }
    }
}

/// The webhook's side of the grants: turns answers into the table that admissions are judged by. A value without I/O.
///
/// Its owner takes a reading T, *then* asks a controller, naming ``known``, and hands the answer in with T. A delayed
/// answer only shortens the grant. One question at a time.
package struct GrantClient: Hashable, Sendable {
    /// One hour: far above any grant, and small enough to be multiplied by a million.
    private static let longestMax: Int64 = 3_600_000_000_000

    /// The webhook's cluster; a controller of another one grants nothing.
    private let cluster: String
    /// As the controller has it, with the limits of its windows.
    private var source: LeadershipTable

    package init(cluster: String) {
        self.cluster = cluster
        source = LeadershipTable(cluster: cluster)
    }

    /// What the next question should say; nil: there is no table yet.
    package var known: TableMark? { source.mark.incarnation.isEmpty ? nil : source.mark }

    /// Takes a controller's answer in.
    ///
    /// - Parameter asked: T, this machine's clocks before the question was sent.
    /// - Returns: the table to judge by from now on; nil: the answer comes from an incarnation that is not active.
    /// - Throws: ``RecordError`` when the answer is not usable: it then changes nothing.
    package mutating func take(_ grant: Grant, askedAt asked: Reading) throws(RecordError) -> LeadershipTable? {
        guard grant.cluster == cluster else {
            throw RecordError("it is for cluster \"\(grant.cluster)\", this webhook belongs to \"\(cluster)\"")
        }
        guard grant.elapsed >= 0, (0...Self.longestMax).contains(grant.longest), (0...100_000).contains(grant.rho)
        else {
            throw RecordError("its numbers make no sense")
        }
        guard grant.isActive else { return nil }
        if let table = grant.table {
            guard table.isConsistent else { throw RecordError("its table's parts do not belong together") }
            source = LeadershipTable(
                cluster: cluster, mark: grant.mark, isActive: true,
                // Looking names up costs something to prepare, and they rarely change.
                index: source.index.names == table.namespaces ? source.index : NamespaceIndex(table.namespaces),
                entries: table.entries, holders: table.holders)
        } else if source.mark != grant.mark {
            throw RecordError("it refers to a table that this webhook does not have")
        }
        var table = source
        table.anchor = asked
        for slot in table.entries.indices {
            // Rule "grants": until elapsed(T) reaches the remainder·(1−rho).
            let left = min(table.entries[slot].limit.saturatingSubtract(grant.elapsed), grant.longest)
            table.entries[slot].limit = max(0, left) * Int64(1_000_000 - grant.rho) / 1_000_000
        }
        return table
    }
}

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
        let keepsMargin = Rule.commitMarginIsKept.isKept && Rule.grantDurationIncludesTheMargin.isKept
        longest = (timing.grantDuration - (keepsMargin ? timing.commitMargin : .zero)).nanoseconds
        rho = timing.rho
        self.table = known == table.mark || !table.isActive ? nil : GrantedTable(table)
    }

    /// What was read.
    init(
        cluster: String, mark: TableMark, isActive: Bool, elapsed: Int64, longest: Int64, rho: Int, table: GrantedTable?
    ) {
        self.cluster = cluster
        self.mark = mark
        self.isActive = isActive
        self.elapsed = elapsed
        self.longest = longest
        self.rho = rho
        self.table = table
    }
}

/// A ``LeadershipTable`` as a grant carries it: a column for each field, which takes half the bytes and time of an object
/// for each namespace.
package struct GrantedTable: Hashable, Sendable, Codable {
    package let namespaces: [String]
    package let holders: [String]
    let states: [LeadershipTable.Entry.State]
    let slots: [Int32]
    let terms: [UInt64]
    let limits: [Int64]
    let acquired: [Int64]
    let transitions: [Int32]

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

    /// What was read; see ``isConsistent``.
    init(
        namespaces: [String], holders: [String], states: [LeadershipTable.Entry.State], slots: [Int32],
        terms: [UInt64], limits: [Int64], acquired: [Int64], transitions: [Int32]
    ) {
        self.namespaces = namespaces
        self.holders = holders
        self.states = states
        self.slots = slots
        self.terms = terms
        self.limits = limits
        self.acquired = acquired
        self.transitions = transitions
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
    /// What came of the last answer, while none of its limits was shorter than a grant; nil: some was.
    ///
    /// As long as that is so, all that an answer without a table changes is the anchor, whatever the number of namespaces.
    private var whole: Whole?

    private struct Whole: Hashable {
        var table: LeadershipTable
        /// Of the windows in ``source``; nil: there is none.
        let shortest: Int64?
        let longest: Int64
        let rho: Int
    }

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
        if grant.table == nil, let whole, whole.longest == grant.longest, whole.rho == grant.rho,
            Self.isWhole(grant, whole.shortest)
        {
            self.whole?.table.anchor = asked
            return self.whole?.table
        }
        var table = source
        table.anchor = asked
        var shortest: Int64?
        for slot in table.entries.indices {
            // Rule "grants": until elapsed(T) reaches the remainder·(1−rho).
            let limit = table.entries[slot].limit
            if limit > 0 { shortest = min(shortest ?? limit, limit) }
            let left = min(
                Rule.grantEndsWithTheWindow.isKept || limit == 0 ? limit.saturatingSubtract(grant.elapsed) : .max,
                Rule.grantEndsAfterGrantDuration.isKept || limit == 0 ? grant.longest : .max / 2_000_000)
            table.entries[slot].limit = max(0, left) * Int64(1_000_000 - grant.rho) / 1_000_000
        }
        whole =
            Self.isWhole(grant, shortest)
            ? Whole(table: table, shortest: shortest, longest: grant.longest, rho: grant.rho) : nil
        return table
    }

    /// Whether every window is left for at least as long as a grant lasts.
    private static func isWhole(_ grant: Grant, _ shortest: Int64?) -> Bool {
        // With this rule broken, every limit depends on what has elapsed.
        guard Rule.grantEndsAfterGrantDuration.isKept else { return false }
        return shortest.map { $0.saturatingSubtract(grant.elapsed) >= grant.longest } ?? true
    }
}

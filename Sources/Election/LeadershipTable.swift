/// Who leads each namespace, as an immutable snapshot that answers "do we lead n now?" from a clock reading alone.
///
/// Renewing costs nothing per namespace: all windows count from one ``anchor``. Any thread may read a copy.
package struct LeadershipTable: Hashable, Sendable {
    /// What a cluster's claim, or the lack of one, looks like to the webhook. Plain data, so that copying is a memcpy.
    package struct Entry: Hashable, Sendable, Codable {
        package enum State: UInt8, Hashable, Sendable, Codable {
            /// Left out of the election on purpose.
            case unmanaged
            /// This cluster does not compete for it, and no other cluster is known to lead it.
            case notElected
            /// No lease record has been read yet.
            case unknown
            /// The lease record is free, or there is none.
            case free
            /// This cluster holds a claim; ``limit`` says for how long it may act on it.
            case own
            /// The lease record names this cluster, but it may not act on it: lapsed, given back or of an earlier run.
            case lapsed
            /// Another cluster's lease record.
            case other
            /// The lease record cannot be parsed: an unknown holder.
            case unreadable
        }

        package var state: State
        /// Index into ``LeadershipTable/holders``; -1 without a holder.
        package var holder: Int32
        /// The term of the lease record; 0 without one.
        package var term: UInt64
        /// Nanoseconds after the anchor until which the claim may be acted on, margins taken off. 0 unless `own`.
        package var limit: Int64
        /// When the tenure began, microseconds since 1970 on the holder's wall clock: for people only.
        package var acquired: Int64
        /// How often the holder changed: for people only.
        package var transitions: Int32

        package init(
            state: State = .unknown, holder: Int32 = -1, term: UInt64 = 0, limit: Int64 = 0, acquired: Int64 = 0,
            transitions: Int32 = 0
        ) {
            self.state = state
            self.holder = holder
            self.term = term
            self.limit = limit
            self.acquired = acquired
            self.transitions = transitions
        }
    }

    /// What holds for one namespace at one moment.
    package enum Standing: Hashable, Sendable {
        /// This cluster leads, with the commit margin still left.
        case leads(term: UInt64)
        /// The lease record names another cluster. `slot` is for ``tenure(_:)``.
        case follows(slot: Int)
        /// Nobody is known to lead, for the reason given; nil slot: the namespace is not in the election.
        case vacant(slot: Int?, reason: Vacancy)
        /// Left out of the election on purpose.
        case unmanaged
    }

    package enum Vacancy: Hashable, Sendable {
        /// The namespace is not among those that this cluster's controller elects.
        case notElected
        case unknown
        case free
        /// This cluster's claim has run out, or has not been regained.
        case lapsed
        case unreadable
        /// Nothing is known any more, or yet: see ``LeadershipTable/silentSince``.
        case silent
    }

    /// A lease record for people to read.
    package struct Tenure: Hashable, Sendable {
        package let holder: String?
        package let term: UInt64
        /// Microseconds since 1970 on the holder's wall clock; 0: not known.
        package let acquired: Int64
        /// How often the holder changed.
        package let transitions: Int
    }

    /// The cluster whose claims these are.
    package let cluster: String
    /// Which state of it this is, so that a webhook in another process need not be sent what it has.
    package var mark: TableMark
    /// Whether the incarnation behind it has taken over its cluster's member record and has not ended.
    package var isActive: Bool
    package var index: NamespaceIndex
    /// The reading from which every limit counts: before the acknowledged heartbeat, or the grants request, was sent.
    package var anchor: Reading
    /// One a namespace, in the order of ``index``.
    package var entries: ContiguousArray<Entry>
    /// The names that entries refer to.
    package var holders: [String]
    /// Set where no active controller can be reached, so that nothing of this table counts: since when, in microseconds
    /// since 1970 on this machine's wall clock, for people only.
    package var silentSince: Int64?

    package init(
        cluster: String, mark: TableMark = TableMark(incarnation: "", revision: 0), isActive: Bool = false,
        index: NamespaceIndex = NamespaceIndex([]),
        anchor: Reading = Reading(boottime: 0, realtime: 0, monotonicRaw: 0),
        entries: ContiguousArray<Entry> = [], holders: [String] = [], silentSince: Int64? = nil
    ) {
        precondition(entries.count == index.names.count, "one entry a namespace")
        self.cluster = cluster
        self.mark = mark
        self.isActive = isActive
        self.index = index
        self.anchor = anchor
        self.entries = entries
        self.holders = holders
        self.silentSince = silentSince
    }

    /// The standing of the namespace with this UTF-8 name.
    ///
    /// Allocates nothing. - Parameter now: this machine's clocks, read after the request came in.
    package func standing(of namespace: UnsafeRawBufferPointer, at now: Reading) -> Standing {
        guard silentSince == nil else { return .vacant(slot: nil, reason: .silent) }
        guard let slot = unsafe index.slot(of: namespace) else { return .vacant(slot: nil, reason: .notElected) }
        return standing(slot: slot, at: now)
    }

    package func standing(of namespace: String, at now: Reading) -> Standing {
        var namespace = namespace
        return namespace.withUTF8 { unsafe standing(of: UnsafeRawBufferPointer($0), at: now) }
    }

    package func standing(slot: Int, at now: Reading) -> Standing {
        guard silentSince == nil else { return .vacant(slot: nil, reason: .silent) }
        let entry = entries[slot]
        switch entry.state {
        case .unmanaged: return .unmanaged
        case .notElected: return .vacant(slot: slot, reason: .notElected)
        case .unknown: return .vacant(slot: slot, reason: .unknown)
        case .free: return .vacant(slot: slot, reason: .free)
        case .lapsed: return .vacant(slot: slot, reason: .lapsed)
        case .unreadable: return .vacant(slot: slot, reason: .unreadable)
        case .other: return .follows(slot: slot)
        case .own:
            // Rule "using a claim": strictly inside the window less the margin, by the largest of the differences.
            return now.nanosecondsForUse(since: anchor) < entry.limit
                ? .leads(term: entry.term) : .vacant(slot: slot, reason: .lapsed)
        }
    }

    /// The lease record behind a slot, for messages.
    package func tenure(_ slot: Int) -> Tenure {
        let entry = entries[slot]
        return Tenure(
            holder: entry.holder < 0 ? nil : holders[Int(entry.holder)], term: entry.term, acquired: entry.acquired,
            transitions: Int(entry.transitions))
    }
}

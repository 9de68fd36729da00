package import Election

/// What the ``Elector`` is compared with: one record a namespace that its holder keeps by rewriting it, as most leader
/// elections do. Written in good faith, after public descriptions of common practice.
///
/// Every renew interval a process reads the record of each namespace that it wants. Absent, free or its own: it writes
/// itself as the holder. Another's: only once that has become stale, by the rule of its ``Scheme``. It leads from the
/// answer to a successful write until its renew deadline, two thirds of the lease duration later on its own clocks, and
/// steps down at once when it reads another holder. A renewal that is answered after the deadline does not count. It
/// tells an unclear write from a failed one no more than the usual libraries do: it reads again a little later.
///
/// Every process has an identity of its own, new with each start, so that two replicas of a cluster compete like any
/// others. A process that leaves does not free its records, as is the usual default: they become stale.
///
/// So that only the schemes themselves are compared, it gets what the ``Elector`` has, too: the commit margin is kept
/// free at the end of its time, and rights are used and waited for by the careful clock differences of ``Reading``.
package struct RenewedLease: Participant {
    package enum Scheme: String, Hashable, Sendable, CaseIterable {
        /// A record is stale when its `renewTime`, from the holder's wall clock, plus its duration is before the own
        /// wall clock. Written by compare-and-swap.
        case wallClock
        /// A record is stale when it has stayed unchanged for its duration on the own clocks; nobody's timestamp is
        /// looked at. Read, decided on and then written without a condition, whatever it has become in between:
        /// the store must ignore the versions that these requests carry.
        case unconditional
    }

    package let scheme: Scheme
    package let takeovers = 0
    private let holderIdentity: String
    private let timing: Timing
    private var slots: [Slot] = []
    private var table: LeadershipTable
    private var nextRequest: RequestID = 1
    private var hasEnded = false

    // Of the current call.
    private var now = Reading(boottime: 0, realtime: 0, monotonicRaw: 0)
    private var output = Output()
    private var tableChanged = false

    package init(_ scheme: Scheme, identity: Elector.Identity, timing: Timing) {
        self.scheme = scheme
        self.timing = timing
        holderIdentity = "\(identity.cluster)_\(identity.incarnation)"
        table = LeadershipTable(
            cluster: identity.cluster, mark: TableMark(incarnation: identity.incarnation, revision: 0))
    }

    package mutating func handle(_ event: Event, at now: Reading) -> Output {
        output = Output()
        guard !hasEnded else { return output }
        self.now = now
        tableChanged = false
        for slot in slots.indices { lapse(slot) }
        switch event {
        case .tick, .noticed, .published: break
        case .wishes(let wishes): for wish in wishes { take(wish) }
        case .answered(let id, let answer):
            if let slot = slots.firstIndex(where: { $0.pending?.id == id }) { take(answer, at: slot) }
        case .leave(let farewell): leave(farewell)
        }
        if !hasEnded { for slot in slots.indices { advance(slot) } }
        if tableChanged { publish() }
        return output
    }

    // MARK: What is known of one namespace

    private struct Slot: Sendable {
        enum Known: Sendable {
            case unread, absent
            case record(RenewedLeaseRecord, Version)
            /// An unknown holder: never written over.
            case unreadable(Version)

            var version: Version? {
                switch self {
                case .unread, .absent: nil
                case .record(_, let version), .unreadable(let version): version
                }
            }
        }

        let namespace: String
        /// The lease duration in seconds; nil: does not compete for it.
        var wanted: Int?
        var isLeftOut = false
        var known = Known.unread
        /// When the known version was first received.
        var firstReceived: Reading?
        /// When the last successful write was answered; nil: does not lead.
        var renewed: Reading?
        /// The shortest duration written since the last successful write, in seconds, and with that.
        var honoured = 0
        /// The one request under way, and what it writes.
        var pending: (id: RequestID, record: RenewedLeaseRecord?, isRenewal: Bool)?
        var tried: Reading?
        var hasFailed = false
    }

    private mutating func take(_ wish: Wish) {
        let slot = slots.firstIndex { $0.namespace == wish.namespace } ?? slots.count
        if slot == slots.count { slots.append(Slot(namespace: wish.namespace)) }
        switch wish.aim {
        case .lead(let seconds): slots[slot].wanted = seconds
        case .leaveOut, .forget:
            slots[slot].wanted = nil
            stepDown(slot, "the namespace is not wanted any more")
        }
        slots[slot].isLeftOut = wish.aim == .leaveOut
        tableChanged = true
    }

    /// Reads the record when it is time for that, and works out when the next step is.
    private mutating func advance(_ slot: Int) {
        guard slots[slot].wanted != nil else { return }
        if let renewed = slots[slot].renewed {
            wake(after: deadline(slot) - now.elapsedForUse(since: renewed))
        }
        guard slots[slot].pending == nil else { return }
        let interval = slots[slot].hasFailed ? timing.retryInterval : timing.renewInterval
        if let tried = slots[slot].tried {
            let rest = interval - now.elapsedForUse(since: tried)
            guard rest <= .zero else { return wake(after: rest) }
        }
        slots[slot].tried = now
        slots[slot].hasFailed = false
        send(.read(.lease(slots[slot].namespace)), slot, nil)
    }

    private mutating func wake(after rest: Duration) {
        output.wakeAfter = max(.milliseconds(1), min(output.wakeAfter ?? rest, rest))
    }

    private mutating func send(_ operation: Request.Operation, _ slot: Int, _ record: RenewedLeaseRecord?) {
        slots[slot].pending = (nextRequest, record, slots[slot].renewed != nil)
        output.requests.append(Request(id: nextRequest, operation: operation))
        nextRequest += 1
    }

    // MARK: Answers

    private mutating func take(_ answer: Answer, at slot: Int) {
        guard let (_, written, isRenewal) = slots[slot].pending else { return }
        slots[slot].pending = nil
        switch answer {
        case .object(let object):
            observe(object, at: slot)
            if mayWrite(slot) { write(slot) }
        case .written(let version):
            guard let written else { preconditionFailure("a read was answered as a write") }
            slots[slot].known = .record(written, version)
            slots[slot].firstReceived = now
            slots[slot].honoured = written.leaseDurationSeconds
            tableChanged = true
            let isTooLate = isRenewal && slots[slot].renewed == nil
            guard !isTooLate, slots[slot].wanted != nil else { return }
            if slots[slot].renewed == nil {
                output.notes.append(.led(namespace: slots[slot].namespace, term: UInt64(written.leaderTransitions)))
            }
            slots[slot].renewed = now
        case .conflict, .failed, .unclear: slots[slot].hasFailed = true
        case .objects: preconditionFailure("nothing is listed")
        }
    }

    private mutating func observe(_ object: RecordObject?, at slot: Int) {
        if let object {
            guard slots[slot].known.version != object.version else { return }
            if let record = try? RenewedLeaseRecord(parsing: object.body) {
                slots[slot].known = .record(record, object.version)
                if record.holderIdentity != holderIdentity { stepDown(slot, "\(record.holderIdentity) holds it") }
            } else {
                slots[slot].known = .unreadable(object.version)
                output.notes.append(.unreadable(.lease(slots[slot].namespace), reason: "it is not a lease record"))
                stepDown(slot, "the record cannot be read")
            }
        } else {
            slots[slot].known = .absent
            stepDown(slot, "somebody deleted the record")
        }
        slots[slot].firstReceived = now
        tableChanged = true
    }

    private func mayWrite(_ slot: Int) -> Bool {
        guard slots[slot].wanted != nil else { return false }
        switch slots[slot].known {
        case .unread, .unreadable: return false
        case .absent: return true
        case .record(let record, _):
            return record.holderIdentity == holderIdentity || isStale(record, firstReceived: slots[slot].firstReceived)
        }
    }

    private func isStale(_ record: RenewedLeaseRecord, firstReceived: Reading?) -> Bool {
        let duration = Duration.seconds(record.leaseDurationSeconds)
        switch scheme {
        case .wallClock: return record.renewTime + duration.nanoseconds < now.realtime
        case .unconditional: return firstReceived.map { now.elapsedForWait(since: $0) >= duration } ?? false
        }
    }

    private mutating func write(_ slot: Int) {
        guard let seconds = slots[slot].wanted else { preconditionFailure("only what is wanted is written") }
        var record = RenewedLeaseRecord(
            holderIdentity: holderIdentity, leaseDurationSeconds: seconds, acquireTime: now.realtime,
            renewTime: now.realtime, leaderTransitions: 1)
        if case .record(let before, _) = slots[slot].known {
            let continues = before.holderIdentity == holderIdentity
            if continues { record.acquireTime = before.acquireTime }
            record.leaderTransitions = before.leaderTransitions + (continues ? 0 : 1)
        }
        slots[slot].honoured = min(slots[slot].honoured, seconds)
        let operation = Request.Operation.write(
            .lease(slots[slot].namespace), body: record.encoded(), replacing: slots[slot].known.version)
        send(operation, slot, record)
    }

    // MARK: The end of leading

    /// Two thirds of the duration, as the usual defaults of 10 s of 15 s.
    private func deadline(_ slot: Int) -> Duration { .seconds(slots[slot].honoured) * 2 / 3 }

    private mutating func lapse(_ slot: Int) {
        guard let renewed = slots[slot].renewed, now.elapsedForUse(since: renewed) >= deadline(slot) else { return }
        slots[slot].renewed = nil
        output.notes.append(.lapsed(namespace: slots[slot].namespace, term: term(slot)))
        tableChanged = true
    }

    private mutating func stepDown(_ slot: Int, _ reason: String) {
        guard slots[slot].renewed != nil else { return }
        slots[slot].renewed = nil
        output.notes.append(.lost(namespace: slots[slot].namespace, term: term(slot), reason: reason))
        tableChanged = true
    }

    private mutating func leave(_ farewell: Farewell) {
        for slot in slots.indices { stepDown(slot, "this process leaves") }
        hasEnded = true
        tableChanged = true
        switch farewell {
        case .handover: output.ending = .handedOver
        case .release: output.ending = .stopped
        }
    }

    private func term(_ slot: Int) -> UInt64 {
        guard case .record(let record, _) = slots[slot].known else { return 0 }
        return UInt64(record.leaderTransitions)
    }

    // MARK: The table

    /// All limits count from now: what is left of each deadline, less the commit margin.
    private mutating func publish() {
        if table.index.names.count < slots.count { table.index = NamespaceIndex(slots.map(\.namespace)) }
        table.holders = []
        table.entries = ContiguousArray(slots.indices.map { entry($0) })
        table.anchor = now
        // A process that leads nothing has nothing to grant, and does not know what another replica leads.
        table.isActive = slots.contains { $0.renewed != nil }
        table.mark = TableMark(incarnation: table.mark.incarnation, revision: table.mark.revision + 1)
        output.table = table
    }

    private mutating func entry(_ slot: Int) -> LeadershipTable.Entry {
        if slots[slot].isLeftOut { return .init(state: .unmanaged) }
        if slots[slot].wanted == nil { return .init(state: .notElected) }
        switch slots[slot].known {
        case .unread: return .init(state: .unknown)
        case .absent: return .init(state: .free)
        case .unreadable: return .init(state: .unreadable)
        case .record(let record, _):
            table.holders.append(record.holderIdentity)
            var entry = LeadershipTable.Entry(
                state: record.holderIdentity == holderIdentity ? .lapsed : .other,
                holder: Int32(table.holders.count - 1), term: UInt64(record.leaderTransitions),
                acquired: record.acquireTime / 1000, transitions: Int32(clamping: record.leaderTransitions))
            if let renewed = slots[slot].renewed {
                let left = deadline(slot) - now.elapsedForUse(since: renewed) - timing.commitMargin
                entry.state = .own
                entry.limit = max(0, left.nanoseconds)
            }
            return entry
        }
    }
}

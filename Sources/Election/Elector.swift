/// One incarnation's part in the election: the protocol as a pure state machine.
///
/// Events with clock readings go in, store requests and a ``LeadershipTable`` come out. It has no clock, no I/O, no
/// tasks and no randomness: the same events at the same readings give the same outputs. One thread at a time.
///
/// One reading a call is enough: it was taken after the event was observed, which is the safe side for "received", and
/// before the requests of the output leave, which is the safe side for "sent".
///
/// Where the rules are: `Elector+OwnRecord` (starting, standing by, heartbeats, leaving), `Elector+Reading` (what lists
/// and reads tell), `Elector+Deciding` (holder, taker, giving back, handover), `Elector+Writing` (lease records).
package struct Elector: Sendable {
    package struct Identity: Hashable, Sendable {
        /// The cluster's name; ``RecordName/isValid(_:)``.
        package let cluster: String
        package let uid: String
        /// A random UUID, new with every `Elector`.
        package let incarnation: String

        package init(cluster: String, uid: String, incarnation: String) {
            precondition(
                RecordName.isValid(cluster) && !uid.isEmpty && !incarnation.isEmpty, "an identity has all parts")
            self.cluster = cluster
            self.uid = uid
            self.incarnation = incarnation
        }
    }

    enum Phase: Hashable, Sendable {
        /// Reading the own member record: starting, standing by, or waiting for a take-over's answer.
        case joining
        case active
        case leaving(Farewell)
        case ended
    }

    package let identity: Identity
    package let timing: Timing
    /// How many incarnations of this process took over from a live one, since one was active for ``Timing/steadyTime``; the
    /// successor's ``init`` wants it.
    package internal(set) var takeovers: Int
    /// What admissions and grants are judged by.
    package internal(set) var table: LeadershipTable

    var phase = Phase.joining
    var own = OwnRecord()
    /// What this incarnation inherited; nil before the take-over's acknowledgement.
    var inherited: Inherited?

    var members: [Member] = []
    private var memberIndex: [String: Int] = [:]
    var slots: [Slot] = []
    private var slotIndex: [String: Int] = [:]

    var membersList = Repeated()
    var leasesList = Repeated()
    var noticeVersion: Version?
    /// A planned handover is under way: leases are listed more often, so that it takes little longer than the grants.
    var isHandingOver = false

    /// The smallest duration of any claim, held or in flight: before its window ends nothing can have lapsed.
    var shortestHeld: Int?
    /// Slots to be written, in order; those before ``readyHead`` are done.
    var ready: [Int] = []
    var readyHead = 0
    var leaseRequestsInFlight = 0
    static let leaseRequestsInFlightMax = 64

    /// Slots whose claim was dropped or shortened since the last table was handed out, and those in the table that was.
    var unpublished: [Int] = []
    var inPublication: [Int] = []

    private var pending: [RequestID: Pending] = [:]
    private var nextRequest: RequestID = 1
    private var nextAttempt: UInt64 = 1
    var requestsAreFailing = false

    // Of the current call.
    var now = Reading(boottime: 0, realtime: 0, monotonicRaw: 0)
    /// Counts calls: orders requests and answers ("sent after that answer was received").
    var step: UInt64 = 0
    var output = Output()
    var planIsDue = false
    /// The boot-time clock at which some slot's wait is over, in nanoseconds.
    var slotsWakeAt = Int64.max
    var wakeAfter = Duration.seconds(3600)
    private var touched: [Int] = []
    private var tableChanged = true
    private var holderIndex: [String: Int32] = [:]

    package init(identity: Identity, timing: Timing, takeovers: Int = 0) {
        precondition(timing.problem == nil, "an elector needs durations that fit together")
        self.identity = identity
        self.timing = timing
        self.takeovers = takeovers
        table = LeadershipTable(
            cluster: identity.cluster, mark: TableMark(incarnation: identity.incarnation, revision: 0))
    }

    /// Takes one step.
    ///
    /// - Parameter now: this machine's clocks, read after `event` was observed.
    package mutating func handle(_ event: Event, at now: Reading) -> Output {
        self.now = now
        step += 1
        output = Output()
        wakeAfter = .seconds(3600)
        guard phase != .ended else { return output }

        // Before anything else, so that no acknowledgement of this step can revive what has ended.
        lapse()
        switch event {
        case .tick: break
        case .noticed:
            membersList.isWanted = true
            leasesList.isWanted = true
        case .wishes(let wishes):
            for wish in wishes { take(wish) }
            lapse()
        case .answered(let id, let answer):
            if let request = pending.removeValue(forKey: id) { take(answer, to: request) }
        case .published: noteWhatWasPublished()
        case .leave(let farewell): leave(farewell)
        }
        if phase != .ended { advance() }
        finish()
        return output
    }

    /// Sends what is due and works out when the next step is.
    private mutating func advance() {
        if planIsDue || now.boottime >= slotsWakeAt { plan() }
        pump()
        advanceOwnRecord()
        guard phase == .active || isReleasing else { return }
        repeatList(\.membersList, of: .members, for: .membersList, every: timing.pollInterval)
        repeatList(
            \.leasesList, of: .leases, for: .leasesList,
            every: isHandingOver ? timing.handoverInterval : timing.relistInterval)
    }

    var isReleasing: Bool { phase == .leaving(.release) }

    /// Sends a list if it is due: when something asks for it, after a failure, or every so often.
    private mutating func repeatList(
        _ list: WritableKeyPath<Elector, Repeated>, of folder: RecordName.Folder, for purpose: Pending.Purpose,
        every interval: Duration
    ) {
        let state = self[keyPath: list]
        let wait = state.hasFailed ? timing.retryInterval : state.isWanted ? .zero : interval
        guard state.request == nil, isDue(after: wait, since: state.sent) else { return }
        self[keyPath: list] = Repeated(request: send(.list(folder), for: purpose), sent: now, isWanted: false)
    }

    /// Whether `interval` has passed since `last` (nil: for ever); if not, the next step is when it has.
    mutating func isDue(after interval: Duration, since last: Reading?) -> Bool {
        guard let last else { return true }
        let rest = interval - now.elapsedForUse(since: last)
        guard rest > .zero else { return true }
        wakeAfter = min(wakeAfter, rest)
        return false
    }

    // MARK: Requests

    /// What a request was sent for, and when.
    struct Pending: Sendable {
        enum Purpose: Sendable {
            case ownRead
            case ownWrite(sequence: UInt64)
            case membersList
            case leasesList
            case memberRead(Int)
            case leaseRead(slot: Int)
            case leaseWrite(slot: Int, attempt: String)
        }

        let purpose: Purpose
        let operation: Request.Operation
        /// Before the request left.
        let sent: Reading
        let sentStep: UInt64
    }

    mutating func send(_ operation: Request.Operation, for purpose: Pending.Purpose) -> RequestID {
        let id = nextRequest
        nextRequest += 1
        pending[id] = Pending(purpose: purpose, operation: operation, sent: now, sentStep: step)
        output.requests.append(Request(id: id, operation: operation))
        return id
    }

    private mutating func take(_ answer: Answer, to request: Pending) {
        report(answer, to: request)
        switch request.purpose {
        case .ownRead: takeOwnRead(answer, to: request)
        case .ownWrite(let sequence): takeOwnWrite(answer, sequence: sequence)
        case .membersList: takeMembers(answer, to: request)
        case .leasesList: takeLeases(answer, to: request)
        case .memberRead(let index): takeMemberRead(answer, index: index, to: request)
        case .leaseRead(let slot): takeLeaseRead(answer, slot: slot, to: request)
        case .leaseWrite(let slot, let attempt): takeLeaseWrite(answer, slot: slot, attempt: attempt)
        }
    }

    private mutating func report(_ answer: Answer, to request: Pending) {
        let (reason, isUnclear): (String, Bool)
        switch answer {
        case .failed(let text): (reason, isUnclear) = (text, false)
        case .unclear(let text): (reason, isUnclear) = (text, true)
        case .object, .objects, .written, .conflict:
            if requestsAreFailing { output.notes.append(.requestsSucceedAgain) }
            requestsAreFailing = false
            return
        }
        requestsAreFailing = true
        let (operation, name): (String, String)
        switch request.operation {
        case .read(let record): (operation, name) = ("read", record.description)
        case .list(let folder): (operation, name) = ("list", folder.rawValue)
        case .write(let record, _, _): (operation, name) = ("write", record.description)
        }
        output.notes.append(
            .requestFailed(RequestFailure(operation: operation, name: name, reason: reason, isUnclear: isUnclear)))
    }

    /// A name for an attempt to write that no other attempt of any incarnation has.
    mutating func newAttempt() -> String {
        defer { nextAttempt += 1 }
        return "\(identity.incarnation)/\(nextAttempt)"
    }

    // MARK: Members and slots by name

    func memberPosition(_ name: String) -> Int? { memberIndex[name] }

    mutating func memberPositionAdding(_ name: String) -> Int {
        if let position = memberIndex[name] { return position }
        memberIndex[name] = members.count
        members.append(Member(name: name, firstReceived: now))
        return members.count - 1
    }

    func slotPosition(_ namespace: String) -> Int? { slotIndex[namespace] }

    mutating func slotPositionAdding(_ namespace: String) -> Int {
        if let position = slotIndex[namespace] { return position }
        slotIndex[namespace] = slots.count
        slots.append(Slot(namespace: namespace, firstReceived: now))
        return slots.count - 1
    }

    // MARK: The table

    /// Has the slot's table entry made anew at the end of this step.
    mutating func touch(_ position: Int) { touched.append(position) }

    private mutating func finish() {
        var entriesChanged = table.isActive != (phase == .active)
        table.isActive = phase == .active
        if table.entries.count < slots.count {
            touched.append(contentsOf: table.entries.count..<slots.count)
            table.entries.append(
                contentsOf: repeatElement(LeadershipTable.Entry(), count: slots.count - table.entries.count))
            table.index = NamespaceIndex(slots.map(\.namespace))
            entriesChanged = true
        }
        for position in touched {
            let entry = entry(of: slots[position])
            if table.entries[position] != entry {
                table.entries[position] = entry
                entriesChanged = true
            }
        }
        touched.removeAll(keepingCapacity: true)
        if entriesChanged {
            table.mark = TableMark(incarnation: identity.incarnation, revision: table.mark.revision + 1)
            tableChanged = true
        }
        if let sent = own.acknowledged?.sent, table.anchor != sent {
            table.anchor = sent
            tableChanged = true
        }
        if tableChanged || !unpublished.isEmpty {
            output.table = table
            tableChanged = false
            inPublication.append(contentsOf: unpublished)
            unpublished.removeAll(keepingCapacity: true)
        }
        guard phase != .ended else { return }
        if slotsWakeAt != .max {
            wakeAfter = min(wakeAfter, .nanoseconds(max(0, slotsWakeAt.saturatingSubtract(now.boottime))))
        }
        if let shortestHeld, let sent = own.acknowledged?.sent {
            wakeAfter = min(wakeAfter, timing.window(ofSeconds: shortestHeld) - now.elapsedForUse(since: sent))
        }
        output.wakeAfter = max(wakeAfter, .milliseconds(1))
    }

    private mutating func entry(of slot: Slot) -> LeadershipTable.Entry {
        if slot.isLeftOut { return .init(state: .unmanaged) }
        switch slot.known {
        case .unread: return .init(state: slot.wanted == nil ? .notElected : .unknown)
        case .absent: return .init(state: slot.wanted == nil ? .notElected : .free)
        case .unreadable: return .init(state: .unreadable)
        case .record(let record, _):
            var entry = LeadershipTable.Entry(
                term: record.term, transitions: Int32(clamping: record.leaderTransitions))
            if record.isFree {
                entry.state = slot.wanted == nil ? .notElected : .free
                return entry
            }
            entry.holder = holder(record.holderIdentity)
            entry.acquired = Timestamp.parse(record.acquireTime) ?? 0
            if let claim = slot.claim {
                entry.state = .own
                let margin = Rule.commitMarginIsKept.isKept ? timing.commitMargin : .zero
                // Rule "using a claim": the window less the commit margin.
                entry.limit = max(0, (timing.window(ofSeconds: claim.honoured) - margin).nanoseconds)
            } else {
                entry.state = record.holderIdentity == identity.cluster ? .lapsed : .other
            }
            return entry
        }
    }

    private mutating func holder(_ name: String) -> Int32 {
        if let index = holderIndex[name] { return index }
        let index = Int32(table.holders.count)
        holderIndex[name] = index
        table.holders.append(name)
        return index
    }

    /// Rule "giving a lease back": what was dropped or shortened before the table was handed out may have been granted
    /// until that table was published, and not after.
    private mutating func noteWhatWasPublished() {
        // Most tables take nothing away; going through all namespaces for each of them would starve the heartbeat.
        guard !inPublication.isEmpty else { return }
        for position in inPublication {
            if case .dropped = slots[position].granting { slots[position].granting = .ended(since: now) }
            if slots[position].shortened == .unpublished { slots[position].shortened = .published(at: now) }
            // Only these: most tables are published for a new claim, and there may be thousands of those in a row.
            consider(position)
        }
        inPublication.removeAll(keepingCapacity: true)
    }
}

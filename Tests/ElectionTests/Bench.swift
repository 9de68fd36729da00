import Election
import Testing

/// One elector with its machine's clocks and the store's answers in the hands of a test.
///
/// Requests that ``holds`` does not pick are answered at once and faithfully. What must be true after every step of
/// every test is checked here, in ``check(_:)``.
final class Bench {
    let store: Records
    private(set) var elector: Elector
    /// The machine's clocks. Set them to make them jump; ``run(for:)`` and ``pass(_:)`` move all three.
    var now: Reading
    /// How fast the clocks run, in thousandths of true time.
    var rates: (boottime: Int64, realtime: Int64, monotonicRaw: Int64) = (1000, 1000, 1000)
    /// Which requests wait for ``answer(_:_:)``.
    var holds: (Request) -> Bool = { _ in false }
    /// Whether a new table is in use at once; otherwise the test calls ``publish()``.
    var publishesAtOnce = true

    /// Requests that wait for the test, oldest first.
    private(set) var held: [Request] = []
    /// All requests since ``forget()``.
    private(set) var sent: [Request] = []
    /// The clocks when each request was sent.
    private(set) var sentAt: [RequestID: Reading] = [:]
    /// All notes since ``forget()``.
    private(set) var notes: [Note] = []
    private(set) var ending: Ending?
    /// The table that admissions are judged by.
    private(set) var published: LeadershipTable
    private(set) var steps = 0
    private(set) var leaseRequestsInFlightMost = 0

    private var handedOut: LeadershipTable
    private var events: [Event] = []
    private var isStepping = false
    private var wakeAt: Int64?
    private var inFlight: [RequestID: Request] = [:]
    /// The readings before each own heartbeat was sent: what windows may be counted from.
    private var heartbeats: Set<Reading> = []
    private var lastID: RequestID = 0

    init(
        _ cluster: String = "east", uid: String? = nil, incarnation: String = "1", on store: Records = Records(),
        timing: Timing = Timing(), takeovers: Int = 0, at now: Reading = Bench.start
    ) {
        self.store = store
        self.now = now
        elector = Elector(
            identity: .init(
                cluster: cluster, uid: uid ?? "uid-of-\(cluster)", incarnation: "\(cluster)-\(incarnation)"),
            timing: timing, takeovers: takeovers)
        published = elector.table
        handedOut = elector.table
    }

    static let start = Reading(
        boottime: 5_000_000_000_000, realtime: 1_800_000_000_000_000_000, monotonicRaw: 4_000_000_000_000)

    /// An elector that leads the namespaces with this lease duration.
    static func leading(
        _ namespaces: String..., seconds: Int = 15, on store: Records = Records(), timing: Timing = Timing()
    ) -> Bench {
        let bench = Bench(on: store, timing: timing)
        // Nothing to inherit, so that a test sees only the waits that it is about.
        store.beat("east", incarnation: "0", state: .stopped, quiet: 0)
        bench.want(namespaces, seconds: seconds)
        for namespace in namespaces { #expect(bench.leads(namespace), "\(namespace) is led at first") }
        bench.forget()
        return bench
    }

    // MARK: Time and events

    func want(_ namespaces: [String], seconds: Int = 15) {
        step(.wishes(namespaces.map { Wish($0, .lead(seconds: seconds)) }))
    }

    func want(_ namespace: String, seconds: Int = 15) { want([namespace], seconds: seconds) }

    func step(_ event: Event) {
        events.append(event)
        guard !isStepping else { return }
        isStepping = true
        while !events.isEmpty { take(events.removeFirst()) }
        isStepping = false
    }

    func tick() { step(.tick) }

    /// Time passes without a step, as while the process is paused.
    func pass(_ time: Duration) {
        now.boottime += time.nanoseconds * rates.boottime / 1000
        now.realtime += time.nanoseconds * rates.realtime / 1000
        now.monotonicRaw += time.nanoseconds * rates.monotonicRaw / 1000
    }

    /// Time passes, with a tick whenever the elector asked for one.
    func run(for time: Duration) { Bench.run([self], for: time) }

    /// True time passes for all of them; `check` runs after every moment at which something happened.
    static func run(_ benches: [Bench], for time: Duration, check: () -> Void = {}) {
        var rest = time
        for bench in benches where bench.steps == 0 { bench.tick() }
        while true {
            check()
            let next = benches.map(\.untilWake).min() ?? rest
            guard next <= rest else { break }
            for bench in benches { bench.pass(next) }
            rest -= next
            for bench in benches where bench.untilWake <= .zero { bench.tick() }
        }
        for bench in benches { bench.pass(rest) }
        check()
    }

    private var untilWake: Duration {
        guard ending == nil, let wakeAt else { return .seconds(1_000_000) }
        let clock = max(0, wakeAt - now.boottime)
        return .nanoseconds((clock * 1000 + rates.boottime - 1) / rates.boottime)
    }

    // MARK: Answers

    enum Outcome {
        /// Carried out now, and answered truthfully.
        case truth
        case failed
        /// Carried out, but no answer came.
        case unclearButLanded
        /// Not carried out, no answer; ``land(_:)`` may carry it out later.
        case unclear
    }

    /// Answers a request that was held.
    func answer(_ request: Request, _ outcome: Outcome = .truth) {
        switch outcome {
        case .truth: answer(request, with: store.perform(request.operation))
        case .failed: answer(request, with: .failed("refused"))
        case .unclearButLanded:
            land(request)
            answer(request, with: .unclear("timed out"))
        case .unclear: answer(request, with: .unclear("timed out"))
        }
    }

    func answer(_ request: Request, with answer: Answer) {
        held.removeAll { $0.id == request.id }
        step(.answered(request.id, answer))
    }

    /// Carries out a write whose answer is another matter.
    @discardableResult
    func land(_ request: Request) -> Answer { store.perform(request.operation) }

    /// The only request that is held; a failed test if there is none or another one.
    func only(_ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation) throws -> Request {
        #expect(held.count == 1, comment, sourceLocation: sourceLocation)
        return try #require(held.first, comment, sourceLocation: sourceLocation)
    }

    func publish() {
        published = handedOut
        step(.published)
    }

    // MARK: What a test asks

    func leads(_ namespace: String) -> Bool {
        if case .leads = published.standing(of: namespace, at: now) { true } else { false }
    }

    /// The term under which this cluster may act in the namespace.
    func term(_ namespace: String) -> UInt64? {
        if case .leads(let term) = published.standing(of: namespace, at: now) { term } else { nil }
    }

    func forget() {
        sent = []
        notes = []
    }

    /// The lease records that were sent for this namespace, oldest first.
    func leaseWrites(_ namespace: String) -> [LeaseRecord] {
        sent.compactMap { $0.leaseWrite?.namespace == namespace ? $0.leaseWrite?.record : nil }
    }

    /// The own member records that were sent, oldest first.
    var heartbeatsSent: [MemberRecord] { sent.compactMap(\.memberWrite) }

    // MARK: Steps and what must hold after each

    private func take(_ event: Event) {
        if case .answered(let id, _) = event { inFlight[id] = nil }
        let output = elector.handle(event, at: now)
        steps += 1
        notes += output.notes
        if let ending = output.ending { self.ending = ending }
        wakeAt = output.wakeAfter.map { now.boottime + $0.nanoseconds }
        check(output)
        if let table = output.table {
            handedOut = table
            if publishesAtOnce {
                published = table
                events.insert(.published, at: 0)
            }
        }
        for request in output.requests {
            sent.append(request)
            sentAt[request.id] = now
            inFlight[request.id] = request
            if holds(request) {
                held.append(request)
            } else {
                events.append(.answered(request.id, store.perform(request.operation)))
            }
        }
        let leases = inFlight.count { $0.value.name?.folder == .leases }
        leaseRequestsInFlightMost = max(leaseRequestsInFlightMost, leases)
        #expect(leases <= 64, "at most 64 lease requests are in flight")
        let own = inFlight.count { $0.value.name == .member(elector.identity.cluster) }
        #expect(own <= 1, "at most one request about the own record is in flight")
    }

    private func check(_ output: Output) {
        for request in output.requests {
            #expect(request.id > lastID, "a request id is never used twice")
            lastID = request.id
            if request.memberWrite != nil { heartbeats.insert(now) }
        }
        let table = output.table ?? handedOut
        #expect(table == elector.table, "every change of the table is handed out")
        for note in output.notes {
            switch note {
            case .lapsed(let namespace, _), .lost(let namespace, _, _), .givingBack(let namespace, _):
                #expect(output.table != nil, "a dropped claim comes with a new table")
                if case .leads = table.standing(of: namespace, at: now) {
                    Issue.record("the table still shows the dropped claim of \(namespace)")
                }
            default: break
            }
        }
        if table.anchor != handedOut.anchor {
            #expect(heartbeats.contains(table.anchor), "windows count from the moment before a heartbeat was sent")
        }
        if ending != nil {
            #expect(!table.entries.contains { $0.state == .own }, "no claim outlives its incarnation")
            #expect(output.requests.isEmpty && output.wakeAfter == nil, "an ended incarnation does nothing more")
        } else {
            #expect(output.wakeAfter.map { $0 > .zero } == true, "the next tick is asked for")
        }
    }
}

extension Request {
    /// nil: a list.
    var name: RecordName? {
        switch operation {
        case .read(let name), .write(let name, _, _): name
        case .list: nil
        }
    }

    var isWrite: Bool { if case .write = operation { true } else { false } }
    var isRead: Bool { if case .read = operation { true } else { false } }

    func isList(_ folder: RecordName.Folder) -> Bool { operation == .list(folder) }

    var memberWrite: MemberRecord? {
        guard case .write(.member(let cluster), let body, _) = operation else { return nil }
        return try? MemberRecord(parsing: body, ofCluster: cluster)
    }

    var leaseWrite: (namespace: String, record: LeaseRecord)? {
        guard case .write(.lease(let namespace), let body, _) = operation,
            let record = try? LeaseRecord(parsing: body)
        else { return nil }
        return (namespace, record)
    }

    /// A heartbeat, take-over or farewell.
    var isMemberWrite: Bool { memberWrite != nil }
    var isLeaseWrite: Bool { leaseWrite != nil }
    /// A read of one member record.
    func isRead(ofMember cluster: String) -> Bool { operation == .read(.member(cluster)) }
    func isRead(ofLease namespace: String) -> Bool { operation == .read(.lease(namespace)) }
}

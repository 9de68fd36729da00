internal import Election
internal import Platform

/// Who admitted what and when, and who had which lease in the store; finds what must not be.
///
/// All times are of this process's one clock. An admission happened somewhere between question and answer, a write
/// somewhere between its request and the moment it was seen: what is found is certain, whatever was delayed here. Answers
/// may come in any order. Any thread may call it.
final class Ledger: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// One admission.
    struct Admission: Hashable, Sendable {
        let namespace: String
        let cluster: String
        /// The webhook that was asked.
        let door: String
        let term: UInt64
        /// Before the first byte of the question left.
        let sent: Instant
        /// After the last byte of the answer had come.
        let received: Instant
    }

    /// A time in which admissions followed each other.
    struct Stretch: Hashable, Sendable {
        var start: Instant
        var end: Instant
    }

    /// The admission that was answered first, and the one that was asked last.
    struct Ends: Hashable, Sendable {
        var first: Admission
        var last: Admission
    }

    /// All admissions with one term.
    struct Tenure: Hashable, Sendable {
        let namespace: String
        let cluster: String
        let term: UInt64
        /// The one that was answered first.
        var first: Admission
        /// The one that was asked last.
        var last: Admission
        /// By webhook.
        var doors: [String: Ends]
        var stretches: [Stretch]
        var count = 0
    }

    /// A lease record as it lies in the store.
    struct Landing: Hashable, Sendable {
        let holder: String
        let term: UInt64
        /// When it was certainly there.
        let seen: Instant
    }

    struct Violation: Hashable, Sendable {
        let time: Instant
        let text: String
    }

    struct State {
        var seesStore = true
        /// By namespace, in the order of terms.
        var tenures: [String: [Tenure]] = [:]
        var landings: [String: [Landing]] = [:]
        /// By cluster: when its member record was last written as one that takes part, and by which process.
        var heartbeats: [String: (time: Instant, client: String)] = [:]
        /// By door: the last answer, whatever it said.
        var answered: [String: Instant] = [:]
        var counts = Counts()
        var violations: [Violation] = []
        /// Found, beyond ``violationsMax``.
        var more = 0
    }

    struct Counts: Hashable, Sendable {
        var admitted = 0
        var denied = 0
        /// No HTTP answer, or none that can be read.
        var unanswered = 0

        var all: Int { admitted + denied + unanswered }
    }

    private let state: Locked<State>

    /// - Parameter seesStore: whether it is told of writes; without them admissions are only compared with each other.
    init(seesStore: Bool = true) {
        state = Locked(State(seesStore: seesStore))
    }

    // MARK: - What was seen

    func add(_ admission: Admission) {
        state.withLock { state in
            state.counts.admitted += 1
            state.answered[admission.door] = max(state.answered[admission.door] ?? admission.sent, admission.sent)
            state.check(admission)
            state.enter(admission)
        }
    }

    /// - Parameter sent: of the question.
    func addDenial(at door: String, sent: Instant) {
        state.withLock { state in
            state.counts.denied += 1
            state.answered[door] = max(state.answered[door] ?? sent, sent)
        }
    }

    func addUnanswered() {
        state.withLock { $0.counts.unanswered += 1 }
    }

    /// A write that has taken effect.
    ///
    /// - Parameter client: the name of the process.
    func addWrite(of object: String, _ body: [UInt8], by client: String) {
        let now = Instant.now
        if let name = object.namePart(after: "members/") {
            guard let record = try? MemberRecord(parsing: body, ofCluster: name), record.state == .live else { return }
            state.withLock { $0.heartbeats[name] = (now, client) }
        } else if let namespace = object.namePart(after: "leases/") {
            do {
                let record = try LeaseRecord(parsing: body)
                let landing = Landing(holder: record.holderIdentity, term: record.term, seen: now)
                state.withLock { $0.land(landing, in: namespace) }
            } catch {
                report("a lease record was written that cannot be read: \(namespace): \(error)")
            }
        }
    }

    func report(_ text: String) {
        state.withLock { $0.report(text) }
    }

    // MARK: - What is known

    var counts: Counts { state.withLock { $0.counts } }

    var violations: (listed: [Violation], more: Int) { state.withLock { ($0.violations, $0.more) } }

    /// Of a namespace, by term.
    func tenures(of namespace: String) -> [Tenure] { state.withLock { $0.tenures[namespace] ?? [] } }

    /// The holder of a lease, as the store has it; nil: nobody.
    func holder(of namespace: String) -> String? {
        state.withLock { state in
            state.landings[namespace]?.last.flatMap { $0.holder.isEmpty ? nil : $0.holder }
        }
    }

    /// The process that wrote the cluster's last heartbeat.
    func activeController(of cluster: String) -> String? { state.withLock { $0.heartbeats[cluster]?.client } }

    /// What is still to be seen after a moment before all is well again; empty: nothing.
    func missing(since start: Instant, namespaces: [String], clusters: [String], doors: [String]) -> [String] {
        state.withLock { state in
            namespaces.filter { (state.tenures[$0]?.map(\.last.sent).max() ?? start) <= start }
                .map { "nobody admits in \($0)" }
                + clusters.filter { (state.heartbeats[$0]?.time ?? start) <= start }.map { "\($0) has no heartbeat" }
                + doors.filter { (state.answered[$0] ?? start) <= start }.map { "\($0) does not answer" }
        }
    }
}

extension String {
    fileprivate func namePart(after folder: String) -> String? {
        hasPrefix(folder) ? String(dropFirst(folder.count)) : nil
    }
}

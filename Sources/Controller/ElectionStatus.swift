package import Election
package import Platform

/// How the election goes, for `/metrics` and `/readyz`. Any thread may call it.
///
/// What it says about leases comes from the board, so that it never disagrees with what admissions are judged by.
package final class ElectionStatus: Sendable {
    /// What the candidate is doing, as far as it matters to whoever waits for it to be ready.
    enum Phase: Hashable, Sendable, CaseIterable {
        case notStarted
        case joining
        case standingBy
        case takingPart
        case leaving
        case ended

        /// As metrics call it.
        fileprivate var label: String {
            switch self {
            case .notStarted: "starting"
            case .joining: "joining"
            case .standingBy: "standing_by"
            case .takingPart: "active"
            case .leaving: "leaving"
            case .ended: "ended"
            }
        }
    }

    enum Outcome: Hashable, Sendable {
        case answered(Answer)
        case timedOut

        fileprivate var label: String {
            switch self {
            case .answered(.object), .answered(.objects), .answered(.written): "ok"
            case .answered(.conflict): "conflict"
            case .answered(.failed): "failed"
            case .answered(.unclear): "unclear"
            case .timedOut: "timed_out"
            }
        }
    }

    private struct Series: Hashable, Comparable {
        let operation: String
        let outcome: String

        static let operations = ["list", "read", "write"]
        static let outcomes = ["conflict", "failed", "ok", "timed_out", "unclear"]
        static let all: [Series: Int] = Dictionary(
            uniqueKeysWithValues: operations.flatMap { operation in
                // What is only read conflicts with nothing.
                outcomes.filter { $0 != "conflict" || operation == "write" }.map { (Series(operation, $0), 0) }
            })

        init(_ operation: String, _ outcome: String) {
            (self.operation, self.outcome) = (operation, outcome)
        }

        static func < (one: Series, other: Series) -> Bool {
            (one.operation, one.outcome) < (other.operation, other.outcome)
        }
    }

    private struct Histogram {
        /// Upper bounds in seconds: from a local file to a store that times out.
        static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
        /// One a bound, not cumulated; what is above the last is in ``count`` only.
        var buckets = [Int](repeating: 0, count: bounds.count)
        var count = 0
        var sum = 0.0

        mutating func add(_ value: Double) {
            if let bucket = Self.bounds.firstIndex(where: { value <= $0 }) { buckets[bucket] += 1 }
            count += 1
            sum += value
        }

        func samples(_ label: (name: String, value: String)) -> [MetricFamily.Sample] {
            var (samples, below) = ([MetricFamily.Sample](), 0)
            for (bound, bucket) in zip(Self.bounds, buckets) {
                below += bucket
                samples.append(.init(Double(below), labels: [label, ("le", "\(bound)")], suffix: "_bucket"))
            }
            samples.append(.init(Double(count), labels: [label, ("le", "+Inf")], suffix: "_bucket"))
            samples.append(.init(sum, labels: [label], suffix: "_sum"))
            samples.append(.init(Double(count), labels: [label], suffix: "_count"))
            return samples
        }
    }

    private struct State {
        var phase = Phase.notStarted
        /// All that there can be: the first failure of a kind would not show as an increase of what was not there.
        var requests: [Series: Int] = Series.all
        var durations = Dictionary(uniqueKeysWithValues: Series.operations.map { ($0, Histogram()) })
        var abandonedCalls = 0
        var transitions: [String: Int] = [:]
        var unreadable = 0
        var since: Reading
        var lastAnswered: Reading?
        var lastFailure: String?
        var renewTimes: [String: String] = [:]
    }

    private let board: LeadershipBoard
    private let silenceMax: Duration
    private let state: Locked<State>

    /// - Parameter timing: how long a store may be silent before this cluster is not ready follows from it.
    package init(board: LeadershipBoard, timing: Timing) {
        self.board = board
        // Three lists of the members in a row without an answer.
        silenceMax = timing.pollInterval * 3 + timing.requestTimeout
        state = Locked(State(since: .now()))
    }

    // MARK: What the candidate reports

    func set(_ phase: Phase) {
        state.withLock { $0.phase = phase }
    }

    /// When each cluster last renewed, by its own wall clock.
    func set(renewTimes: [String: String]) {
        state.withLock { $0.renewTimes = renewTimes }
    }

    func count(_ operation: Request.Operation, _ outcome: Outcome, duration: Duration, at now: Reading = .now()) {
        let name =
            switch operation {
            case .read: "read"
            case .list: "list"
            case .write: "write"
            }
        let failure: String? =
            switch outcome {
            case .answered(.failed(let text)), .answered(.unclear(let text)): text
            case .timedOut: "no answer within \(duration.forPeople)"
            case .answered: nil
            }
        state.withLock {
            $0.requests[Series(name, outcome.label), default: 0] += 1
            $0.durations[name, default: Histogram()].add(duration.inSeconds)
            $0.lastFailure = failure
            if failure == nil { $0.lastAnswered = now }
        }
    }

    func setAbandonedCalls(_ count: Int) {
        state.withLock { $0.abandonedCalls = count }
    }

    func count(_ note: Note) {
        let change: String? =
            switch note {
            case .led: "gained"
            case .lapsed: "lapsed"
            case .lost: "lost"
            case .gaveBack: "given_back"
            case .standingBy, .otherUID, .tookOver, .givingBack, .holderChanged, .refused, .unreadable, .deleted,
                .requestFailed, .requestsSucceedAgain:
                nil
            }
        guard let change else { return }
        state.withLock { $0.transitions[change, default: 0] += 1 }
    }

    // MARK: What others ask

    /// The metrics of the election, as of `now`.
    package func families(at now: Reading = .now()) -> [MetricFamily] {
        let table = board.table()
        let state = state.withLock { $0 }
        let elapsed = now.nanosecondsForUse(since: table.anchor)
        let windows = table.entries.lazy.filter { $0.state == .own }.map { $0.limit - elapsed }
        let led = windows.count { $0 > 0 }
        // Only the active controller knows: to one that stands by every namespace is without a leader.
        let rest = state.phase == .takingPart ? Self.rest(of: table, led: led) : nil
        // Before the first heartbeat there is nothing to tell, and 0 would be a lie.
        let heartbeatAge = table.anchor.boottime == 0 ? [] : [MetricFamily.Sample(Double(elapsed) / 1e9)]
        return [
            MetricFamily(
                "leasehold_leases_led", .gauge, help: "Namespaces that this cluster leads at this moment.",
                [.init(Double(led))]),
            MetricFamily(
                "leasehold_leases_led_elsewhere", .gauge, help: "Namespaces that another cluster leads.",
                rest.map { [.init(Double($0.elsewhere))] } ?? []),
            MetricFamily(
                "leasehold_leases_leaderless", .gauge,
                help: "Namespaces in the election that no cluster is known to lead.",
                rest.map { [.init(Double($0.leaderless))] } ?? []),
            MetricFamily(
                "leasehold_controller_state", .gauge, help: "1 for what this controller is doing, 0 for all else.",
                Phase.allCases.map { .init($0 == state.phase ? 1 : 0, labels: [("state", $0.label)]) }),
            MetricFamily(
                "leasehold_heartbeat_age_seconds", .gauge,
                help: "Time since the last heartbeat that the store acknowledged was sent.", heartbeatAge),
            MetricFamily(
                "leasehold_window_left_seconds", .gauge,
                help: "Time until the first held lease may no longer be acted on, if no heartbeat succeeds.",
                windows.min().map { [.init(Double(max(0, $0)) / 1e9)] } ?? []),
            MetricFamily(
                "leasehold_transitions_total", .counter,
                help: "Leases gained, and lost by what.",
                ["gained", "given_back", "lapsed", "lost"].map {
                    .init(Double(state.transitions[$0] ?? 0), labels: [("change", $0)])
                }),
            MetricFamily(
                "leasehold_store_requests_total", .counter, help: "Requests to the lease store, by their outcome.",
                state.requests.sorted { $0.key < $1.key }.map {
                    .init(Double($1), labels: [("operation", $0.operation), ("outcome", $0.outcome)])
                }),
            MetricFamily(
                "leasehold_store_request_duration_seconds", .histogram,
                help: "Time until a request to the lease store was answered or given up.",
                state.durations.sorted { $0.key < $1.key }.flatMap { $1.samples(("operation", $0)) }),
            MetricFamily(
                "leasehold_store_answer_age_seconds", .gauge,
                help: "Time since the lease store last answered a request.",
                state.lastAnswered.map { [.init(now.elapsedForWait(since: $0).inSeconds)] } ?? []),
            MetricFamily(
                "leasehold_store_calls_abandoned", .gauge,
                help: "Calls that were given up after the request time-out and have not come back.",
                [.init(Double(state.abandonedCalls))]),
        ]
    }

    private static func rest(of table: LeadershipTable, led: Int) -> (elsewhere: Int, leaderless: Int) {
        var (elsewhere, elected) = (0, 0)
        for entry in table.entries {
            switch entry.state {
            case .unmanaged, .notElected: continue
            case .other: elsewhere += 1
            case .own, .unknown, .free, .lapsed, .unreadable: break
            }
            elected += 1
        }
        return (elsewhere, elected - elsewhere - led)
    }

    /// What the candidate is doing.
    var phase: Phase { state.withLock { $0.phase } }

    /// RFC 3339 times by cluster, for people.
    var renewTimes: [String: String] { state.withLock { $0.renewTimes } }

    /// Why the store cannot be counted on, as of `now`; nil: it answers.
    func storeProblem(at now: Reading = .now()) -> String? {
        let state = state.withLock { $0 }
        let cause = state.lastFailure.map { ": \($0)" } ?? ""
        guard let lastAnswered = state.lastAnswered else { return "the store has not answered yet\(cause)" }
        let silence = now.elapsedForWait(since: lastAnswered)
        return silence > silenceMax ? "the store has not answered for \(silence.forPeople)\(cause)" : nil
    }

    /// Whether the election can do its work, as of `now`.
    package func checks(at now: Reading = .now()) -> [ReadinessCheck] {
        let state = state.withLock { $0 }
        let election: String? =
            switch state.phase {
            case .notStarted: "the election has not started"
            case .joining: "this cluster's own member record is not taken over yet"
            // A replica that stands by does what it is for. Were it unready, a rolling update would wait for ever.
            case .standingBy, .takingPart: nil
            case .leaving: "this run is leaving the election"
            case .ended: "this run has left the election"
            }
        return [
            ReadinessCheck("store reachable", problem: storeProblem(at: now)),
            ReadinessCheck("takes part in the election or stands by", problem: election),
        ]
    }
}

internal import Controller
internal import Election
internal import Platform

/// How a webhook gets on with its controllers, for `/metrics` and `/readyz`. Any thread may call it.
final class GrantStatus: Sendable {
    /// What became of one question.
    enum Outcome: String, CaseIterable {
        case granted
        /// The controller stands by, or is on its way in or out.
        case standby
        /// Another run of the controller has renewed since the one that answered.
        case outdated
        case failed
    }

    private struct State {
        var counts: [Outcome: Int] = [:]
        var lastGranted: Reading?
        /// Since when nothing may be acted on; nil: a grant is in force.
        var silentSince: Int64?
        /// By whom it is about; sorted when told.
        var problems: [String: String] = [:]
    }

    private let cluster: String
    private let denies: Bool
    private let state: Locked<State>

    /// - Parameters:
    ///   - denies: whether writes are denied without a grant; else the webhook is ready without any.
    ///   - start: microseconds since 1970.
    init(cluster: String, denies: Bool, start: Int64) {
        self.cluster = cluster
        self.denies = denies
        state = Locked(State(silentSince: start))
    }

    func count(_ outcome: Outcome) { state.withLock { $0.counts[outcome, default: 0] += 1 } }

    /// - Parameter asked: before the question was sent.
    func noteGrant(askedAt asked: Reading) {
        state.withLock {
            $0.lastGranted = asked
            $0.silentSince = nil
        }
    }

    func noteSilence(since: Int64) { state.withLock { $0.silentSince = since } }

    /// - Parameter problem: nil: it answers as it should.
    func note(_ source: String, problem: String?) {
        state.withLock { $0.problems[source] = problem }
    }

    /// Everything that is wrong at this moment, in one line; nil: nothing is.
    var problems: String? {
        let problems = state.withLock { $0.problems }
        guard !problems.isEmpty else { return nil }
        return problems.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "; ")
    }

    /// A webhook that was granted something once stays ready without grants: its denials say why, and what to do, where an
    /// API server without an endpoint to call could say nothing. `leasehold_grant_in_force` tells of it.
    func checks() -> [ReadinessCheck] {
        // So that a new mode takes effect even when there is no controller, in a rolling update too.
        guard denies else { return [] }
        let (isReady, since) = state.withLock { ($0.lastGranted != nil, $0.silentSince ?? 0) }
        let problem =
            isReady
            ? nil
            : "no active controller of cluster \"\(cluster)\" could be reached since "
                + "\(Timestamp.format(microseconds: since))" + (problems.map { ": \($0)" } ?? "")
        return [ReadinessCheck("a controller has granted", problem: problem)]
    }

    func families(at now: Reading = .now()) -> [MetricFamily] {
        let state = state.withLock { $0 }
        return [
            MetricFamily(
                "leasehold_grant_questions_total", .counter,
                help: "Questions to controllers for a grant, by what became of them.",
                Outcome.allCases.map { .init(Double(state.counts[$0] ?? 0), labels: [("outcome", $0.rawValue)]) }),
            MetricFamily(
                "leasehold_grant_age_seconds", .gauge,
                help: "Time since the question was sent that the last grant answered.",
                state.lastGranted.map { [.init(Double(now.nanosecondsForUse(since: $0)) / 1e9)] } ?? []),
            MetricFamily(
                "leasehold_grant_in_force", .gauge,
                help: "1 while a grant is in force, 0 while every guarded write is denied for want of one.",
                [.init(state.silentSince == nil ? 1 : 0)]),
        ]
    }
}

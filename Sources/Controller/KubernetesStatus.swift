package import Election
package import Kubernetes
package import Platform

/// How the controller gets on with its API server, for `/metrics` and `/readyz`. Any thread may call it.
package final class KubernetesStatus: Sendable {
    enum Watched: String, Sendable, CaseIterable {
        case namespaces
        case leases
    }

    private struct State {
        /// How often all objects were listed.
        var lists: [Watched: Int] = [:]
        var troubles: [Watched: String] = [:]
        var watchTroubles: [Watched: Int] = [:]
        var writeProblems: [String: WriteProblem] = [:]
        var writes: [String: [String: Int]] = [:]
        var storeProblem: String? = "it has not been opened yet"
        var eventsDropped = 0
        var isGivenUp = false
    }

    private struct WriteProblem {
        let message: String
        let last: Reading
    }

    /// What fails is tried again within half of this (``LeaseDesk``, ``ControllerHeartbeat``), so a failure that did not come
    /// again is over: its namespace has been deleted, or nothing is to be written any more.
    private static let problemLife = Duration.seconds(70)

    private let state = Locked(State())
    private let client: KubernetesClient
    private let silenceMax: Duration

    package init(_ client: KubernetesClient, timing: Timing) {
        self.client = client
        // Three of the controller's heartbeats in a row without an answer.
        silenceMax = timing.renewInterval * 3 + .seconds(5)
    }

    // MARK: What the controller reports

    func note(_ watched: Watched, trouble: String?) {
        state.withLock {
            if trouble != nil { $0.watchTroubles[watched, default: 0] += 1 }
            $0.troubles[watched] = trouble
        }
    }

    /// A list alone ends no trouble: without a watch, what comes next is seen late.
    func noteSynced(_ watched: Watched) {
        state.withLock { $0.lists[watched, default: 0] += 1 }
    }

    /// - Parameters:
    ///   - problem: nil: it was done.
    ///   - isEssential: whether this cluster is not ready while it cannot be done.
    /// - Returns: whether this has ended a problem.
    @discardableResult
    func noteWrite(
        _ kind: String, problem: KubernetesError?, isEssential: Bool = true, at now: Reading = .now()
    ) -> Bool {
        state.withLock {
            $0.writes[kind, default: [:]][problem == nil ? "ok" : "failed", default: 0] += 1
            guard isEssential else { return false }
            switch problem?.code {
            case nil: return $0.writeProblems.removeValue(forKey: kind) != nil
            // What only somebody's hand can mend.
            case .forbidden, .notFound, .invalid, .unauthorized, .credentials:
                $0.writeProblems[kind] = problem.map { WriteProblem(message: $0.message, last: now) }
            case .unreachable, .unclear, .alreadyExists, .conflict, .expired, .tooManyRequests, .status: break
            }
            return false
        }
    }

    func noteStore(problem: String?) { state.withLock { $0.storeProblem = problem } }

    func noteEventsDropped(_ count: Int) { state.withLock { $0.eventsDropped = count } }

    /// - Parameter isGivenUp: whether everything was given back because the API server does not answer.
    func note(isGivenUp: Bool) { state.withLock { $0.isGivenUp = isGivenUp } }

    // MARK: What others ask

    package func checks(at now: Reading = .now()) -> [ReadinessCheck] {
        let state = state.withLock { $0 }
        func watch(_ watched: Watched, _ name: String) -> ReadinessCheck {
            ReadinessCheck(
                name, problem: state.troubles[watched] ?? (state.lists[watched] != nil ? nil : "not listed yet"))
        }
        return [
            ReadinessCheck("Kubernetes API answers", problem: silence(state, at: now)),
            watch(.namespaces, "namespaces are watched"),
            watch(.leases, "Lease objects are watched"),
            ReadinessCheck("Lease objects are written", problem: writeProblem(state, at: now)),
            ReadinessCheck("store opened", problem: state.storeProblem),
        ]
    }

    private func writeProblem(_ state: State, at now: Reading) -> String? {
        state.writeProblems.filter { now.elapsedForWait(since: $0.value.last) <= Self.problemLife }
            .min { $0.key < $1.key }?.value.message
    }

    private func silence(_ state: State, at now: Reading) -> String? {
        let consequence =
            state.isGivenUp ? "; everything was given back, and is taken part in again when it answers" : ""
        guard let lastAnswered = client.lastAnswered else { return "\(client.server) has not answered yet" }
        let silence = now.elapsedForWait(since: lastAnswered)
        guard silence > silenceMax || state.isGivenUp else { return nil }
        return "\(client.server) has not answered for \(silence.forPeople)\(consequence)"
    }

    package func families(at now: Reading = .now()) -> [MetricFamily] {
        let state = state.withLock { $0 }
        return [
            MetricFamily(
                "leasehold_kubernetes_writes_total", .counter, help: "Writes to the API server, by kind and outcome.",
                state.writes.sorted { $0.key < $1.key }.flatMap { kind, outcomes in
                    outcomes.sorted { $0.key < $1.key }.map {
                        .init(Double($1), labels: [("kind", kind), ("outcome", $0)])
                    }
                }),
            MetricFamily(
                "leasehold_watch_up", .gauge, help: "1 while a watch works, 0 before its first list and in trouble.",
                Watched.allCases.map {
                    .init(
                        state.lists[$0] != nil && state.troubles[$0] == nil ? 1 : 0,
                        labels: [("watched", $0.rawValue)])
                }),
            MetricFamily(
                "leasehold_watch_restarts_total", .counter,
                help: "Times that a watch had to begin again with a list of all objects.",
                Watched.allCases.map {
                    .init(Double(max(1, state.lists[$0] ?? 1) - 1), labels: [("watched", $0.rawValue)])
                }),
            MetricFamily(
                "leasehold_watch_troubles_total", .counter,
                help: "Causes for which a watch stopped working, each counted once until it works again.",
                Watched.allCases.map {
                    .init(Double(state.watchTroubles[$0] ?? 0), labels: [("watched", $0.rawValue)])
                }),
            MetricFamily(
                "leasehold_kubernetes_answer_age_seconds", .gauge,
                help: "Time since the API server last answered.",
                client.lastAnswered.map { [.init(now.elapsedForWait(since: $0).inSeconds)] } ?? []),
            MetricFamily(
                "leasehold_events_dropped_total", .counter, help: "Events that were not written, as too many waited.",
                [.init(Double(state.eventsDropped))]),
        ]
    }
}

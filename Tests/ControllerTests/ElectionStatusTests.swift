import Platform
import Testing

@testable import Controller
@testable import Election

@Suite struct ElectionStatusTests {
    private let board = LeadershipBoard(LeadershipTable(cluster: "east"))
    private let status: ElectionStatus
    /// The default: three polls of 3 s and a time-out of 3 s.
    private let silenceMax = Duration.seconds(12)

    init() {
        status = ElectionStatus(board: board, timing: Timing())
    }

    private func after(_ duration: Duration, _ start: Reading) -> Reading {
        let nanoseconds = duration.nanoseconds
        return Reading(
            boottime: start.boottime + nanoseconds, realtime: start.realtime + nanoseconds,
            monotonicRaw: start.monotonicRaw + nanoseconds)
    }

    private func publish(limits: [Duration?], anchor: Reading) {
        board.publish(
            LeadershipTable(
                cluster: "east", index: NamespaceIndex(limits.indices.map { "team-\($0)" }), anchor: anchor,
                entries: ContiguousArray(
                    limits.map { .init(state: $0 == nil ? .free : .own, limit: $0?.nanoseconds ?? 0) })))
    }

    private func text(at now: Reading) -> Set<String> {
        Set(MetricFamily.text(status.families(at: now)).split(separator: "\n").map(String.init))
    }

    @Test func `what is led is what the board shows at that moment`() {
        let anchor = Reading(boottime: 1_000_000_000, realtime: 1, monotonicRaw: 1)
        publish(limits: [.seconds(10), .seconds(4), nil], anchor: anchor)
        let early = text(at: after(.seconds(1), anchor))
        #expect(
            early.isSuperset(of: [
                "leasehold_leases_led 2", "leasehold_heartbeat_age_seconds 1", "leasehold_window_left_seconds 3",
            ]))
        let late = text(at: after(.seconds(5), anchor))
        #expect(
            late.isSuperset(of: [
                "leasehold_leases_led 1", "leasehold_heartbeat_age_seconds 5", "leasehold_window_left_seconds 0",
            ]))
    }

    @Test func `before the first heartbeat nothing is said about its age`() {
        let lines = text(at: .now())
        #expect(lines.contains("leasehold_leases_led 0"))
        #expect(!lines.contains { $0.hasPrefix("leasehold_heartbeat_age_seconds ") })
        #expect(!lines.contains { $0.hasPrefix("leasehold_window_left_seconds ") })
    }

    @Test func `requests are counted by operation and outcome, with their durations`() {
        let write = Request.Operation.write(.lease("team-a"), body: [], replacing: nil)
        status.count(write, .answered(.written(Version("1"))), duration: .milliseconds(4))
        status.count(write, .answered(.conflict), duration: .milliseconds(40))
        status.count(write, .timedOut, duration: .seconds(30))
        status.count(.read(.lease("team-a")), .answered(.object(nil)), duration: .milliseconds(1))
        status.count(.list(.leases), .answered(.unclear("")), duration: .milliseconds(1))
        status.count(.list(.leases), .answered(.failed("")), duration: .milliseconds(1))
        let name = "leasehold_store_request"
        #expect(
            text(at: .now()).isSuperset(of: [
                "\(name)s_total{operation=\"write\",outcome=\"ok\"} 1",
                "\(name)s_total{operation=\"write\",outcome=\"conflict\"} 1",
                "\(name)s_total{operation=\"write\",outcome=\"timed_out\"} 1",
                "\(name)s_total{operation=\"read\",outcome=\"ok\"} 1",
                "\(name)s_total{operation=\"list\",outcome=\"unclear\"} 1",
                "\(name)s_total{operation=\"list\",outcome=\"failed\"} 1",
                "\(name)_duration_seconds_bucket{operation=\"write\",le=\"0.0025\"} 0",
                "\(name)_duration_seconds_bucket{operation=\"write\",le=\"0.005\"} 1",
                "\(name)_duration_seconds_bucket{operation=\"write\",le=\"0.05\"} 2",
                "\(name)_duration_seconds_bucket{operation=\"write\",le=\"10.0\"} 2",
                "\(name)_duration_seconds_bucket{operation=\"write\",le=\"+Inf\"} 3",
                "\(name)_duration_seconds_sum{operation=\"write\"} 30.044",
                "\(name)_duration_seconds_count{operation=\"write\"} 3",
            ]))
    }

    @Test func `each way to gain or lose a lease is counted`() {
        status.count(.led(namespace: "a", term: 1))
        status.count(.led(namespace: "b", term: 1))
        status.count(.lapsed(namespace: "a", term: 1))
        status.count(.lost(namespace: "b", term: 1, reason: ""))
        status.count(.requestsSucceedAgain)
        #expect(
            text(at: .now()).isSuperset(of: [
                "leasehold_transitions_total{change=\"gained\"} 2", "leasehold_transitions_total{change=\"lapsed\"} 1",
                "leasehold_transitions_total{change=\"lost\"} 1",
                "leasehold_transitions_total{change=\"given_back\"} 0",
            ]))
    }

    @Test func `the store counts as reachable from its first answer until it has been silent for too long`() {
        let start = Reading.now()
        let problem = { (now: Reading) in self.status.checks(at: now)[0].problem }
        #expect(problem(start) == "the store has not answered yet")
        status.count(.list(.leases), .answered(.failed("permission denied")), duration: .zero, at: start)
        #expect(problem(start) == "the store has not answered yet: permission denied")

        status.count(.list(.leases), .answered(.objects([])), duration: .zero, at: start)
        #expect(problem(after(silenceMax, start)) == nil)
        status.count(.list(.leases), .timedOut, duration: .seconds(3), at: after(.seconds(5), start))
        #expect(problem(after(silenceMax, start)) == nil)
        #expect(
            problem(after(.seconds(13), start)) == "the store has not answered for 13 s: no answer within 3 s")
        // A conflict is an answer.
        status.count(.read(.notice), .answered(.conflict), duration: .zero, at: after(.seconds(14), start))
        #expect(problem(after(.seconds(15), start)) == nil)
    }

    @Test(arguments: [
        (ElectionStatus.Phase.notStarted, false), (.joining, false), (.standingBy, true), (.takingPart, true),
        (.leaving, false), (.ended, false),
    ])
    func `a run takes part from the take-over, or standing by, until it leaves`(
        phase: ElectionStatus.Phase, isReady: Bool
    ) {
        status.set(phase)
        #expect((status.checks()[1].problem == nil) == isReady)
    }
}

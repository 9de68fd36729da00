import Election
import HTTP
import Platform
import Support

@testable import Commands

/// Stands for the controllers of a cluster, the network between, and a webhook's clocks.
final class FakeControllers: Sendable {
    enum Behaviour: Sendable {
        case answers(LeadershipTable)
        case refuses
        /// Never answers, until the question is given up.
        case hangs
        /// Answers when it is set to do something else.
        case hesitates
        case talksNonsense
    }

    struct Unreachable: Error, CustomStringConvertible {
        let description = "nobody listens there"
    }

    /// Short, so that controllers are asked often and no test waits for long.
    static let timing = {
        var timing = Timing()
        timing.grantDuration = .milliseconds(300)
        timing.commitMargin = .milliseconds(200)
        return timing
    }()

    static let start = Reading(
        boottime: 1_000_000_000_000, realtime: 2_000_000_000_000, monotonicRaw: 3_000_000_000_000)

    private let behaviours = Locked<[String: Behaviour]>([:])
    private let asked = Locked<[String: Int]>([:])
    private let clocks = Locked(start)

    var now: Reading { clocks.withLock { $0 } }

    func advance(_ duration: Duration) {
        clocks.withLock {
            $0.boottime += duration.nanoseconds
            $0.realtime += duration.nanoseconds
            $0.monotonicRaw += duration.nanoseconds
        }
    }

    func set(_ endpoint: String, _ behaviour: Behaviour) {
        behaviours.withLock { $0[endpoint] = behaviour }
    }

    /// How often it was asked.
    func questions(_ endpoint: String) -> Int { asked.withLock { $0[endpoint] ?? 0 } }

    /// Returns when a question that is asked from now on has been answered or given up.
    func waitForAnswer(of endpoint: String) async throws {
        // The next may be on its way already, and is followed by another only when it has been dealt with.
        let count = questions(endpoint) + 2
        try await eventually("\(endpoint) is asked") { questions(endpoint) >= count }
    }

    @Sendable func ask(_ endpoint: GrantAddress, _ known: TableMark?, _ timeout: Duration) async throws -> Grant {
        let name = endpoint.description
        asked.withLock { $0[name, default: 0] += 1 }
        while case .hesitates = behaviours.withLock({ $0[name] }) {
            try await Task.sleep(for: .milliseconds(1), clock: .continuous)
        }
        switch behaviours.withLock({ $0[name] }) {
        case .answers(let table): return Grant(of: table, known: known, at: now, timing: Self.timing)
        case .talksNonsense: throw CommandFailure("nonsense")
        case .hangs:
            try await Task.sleep(for: .seconds(3600), clock: .continuous)
            throw Unreachable()
        case .refuses, .hesitates, nil: throw Unreachable()
        }
    }

    /// The table of a controller that leads team-a.
    ///
    /// - Parameter heartbeat: when its last one was sent.
    func table(
        _ incarnation: String, cluster: String = "east", revision: UInt64 = 1, isActive: Bool = true, term: UInt64 = 7,
        state: LeadershipTable.Entry.State = .own, heartbeat: Reading? = nil
    ) -> LeadershipTable {
        LeadershipTable(
            cluster: cluster, mark: TableMark(incarnation: incarnation, revision: revision), isActive: isActive,
            index: NamespaceIndex(["team-a"]), anchor: heartbeat ?? now,
            entries: [.init(state: state, holder: 0, term: term, limit: state == .own ? 10_000_000_000 : 0)],
            holders: [cluster])
    }
}

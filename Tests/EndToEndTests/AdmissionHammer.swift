import Platform
import Support
import Testing

/// Asks clusters all the time whether the sample's operator may write, through both doors of each, and keeps every answer.
///
/// Through a door one question follows the other. Ends with its object, or by ``stop()``.
final class AdmissionHammer: Sendable {
    private let answers = Locked(AdmissionRecord())
    private let isStopping = Locked(false)
    private let tasks: [Task<Void, Never>]

    init(_ clusters: TestCluster...) throws {
        let doors = try clusters.flatMap { [try AdmissionDoor.webhook(of: $0), try AdmissionDoor.apiServer(of: $0)] }
        tasks = doors.map { [answers, isStopping] door in
            Task {
                while !isStopping.withLock({ $0 }), !Task.isCancelled {
                    let answer = await door.ask()
                    answers.withLock { $0.add(answer) }
                    // A pace that leaves the machine to those who are asked. Interrupted only at the end.
                    try? await Task.sleep(for: Self.pause(door.kind), clock: .continuous)
                }
            }
        }
    }

    deinit {
        for task in tasks { task.cancel() }
    }

    private static func pause(_ kind: AdmissionDoor.Kind) -> Duration {
        switch kind {
        case .webhook: .milliseconds(10)
        case .apiServer: .milliseconds(100)
        }
    }

    var record: AdmissionRecord { answers.withLock { $0 } }

    /// Waits for the answers to what is asked, and asks no more.
    @discardableResult func stop() async -> AdmissionRecord {
        isStopping.withLock { $0 = true }
        for task in tasks { await task.value }
        return record
    }

    /// Waits until an answer to a question asked from now on has come from each of a cluster's doors, or from some.
    func until(
        _ cluster: TestCluster, at kinds: [AdmissionDoor.Kind] = [.webhook, .apiServer], _ what: String,
        _ isMeant: @Sendable (AdmissionDoor.Answer) -> Bool
    ) async throws {
        let start = ContinuousClock.now
        do {
            try await eventually(what) {
                let new = record.answers(of: cluster.name, sentAfter: start)
                return kinds.allSatisfy { kind in new.contains { $0.kind == kind && isMeant($0) } }
            }
        } catch {
            let last = record.answers(of: cluster.name).suffix(3).map(\.description).joined(separator: "\n")
            throw ChildProcess.Failure(
                "\(what): \(error)\nThe last answers:\n\(last)\nThe log of \(cluster.name):\n\(cluster.log)")
        }
    }

    func untilAdmits(_ cluster: TestCluster) async throws {
        try await until(cluster, "\(cluster.name) admits", \.isAdmitted)
    }

    func until(_ cluster: TestCluster, saysThatLeads leader: TestCluster) async throws {
        try await until(cluster, "\(cluster.name) says that \(leader.name) leads") {
            $0.text.contains(#"is led by cluster \"\#(leader.name)\""#)
        }
    }
}

/// Answers of several clusters, all with times of one clock.
struct AdmissionRecord: Sendable {
    /// A time in which no other cluster admitted.
    struct Tenure: Sendable {
        /// The one that was asked first.
        let first: AdmissionDoor.Answer
        /// The one that came last.
        var last: AdmissionDoor.Answer

        var cluster: String { first.cluster }
    }

    private(set) var answers: [AdmissionDoor.Answer] = []

    mutating func add(_ answer: AdmissionDoor.Answer) { answers.append(answer) }

    mutating func add(_ other: AdmissionRecord) { answers += other.answers }

    func answers(of cluster: String, _ kind: AdmissionDoor.Kind? = nil, sentAfter start: ContinuousClock.Instant? = nil)
        -> [AdmissionDoor.Answer]
    {
        answers.filter { answer in
            answer.cluster == cluster && kind.map { $0 == answer.kind } ?? true
                && start.map { answer.sent > $0 } ?? true
        }
    }

    /// Who admitted, one after the other, by when they were asked.
    var tenures: [Tenure] {
        answers.filter(\.isAdmitted).sorted { $0.sent < $1.sent }.reduce(into: []) { tenures, answer in
            if tenures.last?.cluster == answer.cluster {
                let end = tenures.count - 1
                if tenures[end].last.received < answer.received { tenures[end].last = answer }
            } else {
                tenures.append(Tenure(first: answer, last: answer))
            }
        }
    }

    /// Expects that these clusters admitted, each in one go and in this order, never two at once.
    func expectTurns(_ clusters: [TestCluster], sourceLocation: SourceLocation = #_sourceLocation) {
        let (tenures, expected) = (tenures.map(\.cluster), clusters.map(\.name))
        #expect(tenures == expected, "\(Self.logs(clusters))", sourceLocation: sourceLocation)
        expectNoOverlap(of: clusters, sourceLocation: sourceLocation)
    }

    /// The last answer of a tenure and the first of the next, wherever that had not come before this was asked for.
    ///
    /// The promise covers an answer that takes no longer than the commit margin. A longer one, on a machine with too much to
    /// do, does not tell when it was decided: the next cluster may rightly have begun since.
    var overlaps: [(AdmissionDoor.Answer, AdmissionDoor.Answer)] {
        let tenures = tenures
        return zip(tenures, tenures.dropFirst()).map { ($0.last, $1.first) }.filter {
            $0.received >= $1.sent && $0.received - $0.sent < Self.commitMargin
        }
    }

    /// Of the clusters that are asked: see ``Fleet``.
    private static let commitMargin = Duration.milliseconds(500)

    /// Expects that no two clusters admitted at once.
    ///
    /// - Parameter clusters: whose logs tell more.
    func expectNoOverlap(of clusters: [TestCluster], sourceLocation: SourceLocation = #_sourceLocation) {
        guard let (one, next) = overlaps.first else { return }
        Issue.record(
            "two clusters admitted at once: \(one); \(next)\n\(Self.logs(clusters))", sourceLocation: sourceLocation)
    }

    private static func logs(_ clusters: [TestCluster]) -> String {
        clusters.map { "The log of \($0.name):\n\($0.log)" }.joined(separator: "\n")
    }

    /// Expects at least one answer, and that all of them admit.
    func expectAdmitted(
        by cluster: TestCluster, _ kind: AdmissionDoor.Kind, sentAfter start: ContinuousClock.Instant,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let answers = answers(of: cluster.name, kind, sentAfter: start)
        #expect(!answers.isEmpty, "\(cluster.name) was not asked", sourceLocation: sourceLocation)
        for answer in answers where !answer.isAdmitted {
            Issue.record("\(answer)\nThe log of \(cluster.name):\n\(cluster.log)", sourceLocation: sourceLocation)
            break
        }
    }

    /// Expects at least one answer, and that none admits.
    func expectDenied(
        by cluster: TestCluster, _ kind: AdmissionDoor.Kind, sentAfter start: ContinuousClock.Instant,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let answers = answers(of: cluster.name, kind, sentAfter: start)
        #expect(!answers.isEmpty, "\(cluster.name) was not asked", sourceLocation: sourceLocation)
        for answer in answers where answer.isAdmitted {
            Issue.record("\(answer)\nThe log of \(cluster.name):\n\(cluster.log)", sourceLocation: sourceLocation)
            break
        }
    }
}

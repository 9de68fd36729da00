private import FoundationEssentials
internal import Platform

/// What a run found and measured.
package struct ChaosReport: Sendable {
    struct Round: Sendable {
        let round: Schedule.Round
        let start: ContinuousClock.Instant
        /// When the last of its faults had ended.
        let mended: ContinuousClock.Instant
        /// From then on.
        let recovery: Duration
        let marks: [Inflictor.Mark]

        /// The row of the table.
        var label: String { round.single?.label ?? "several at once" }
    }

    /// A time without admission in one namespace.
    struct Gap: Sendable {
        let namespace: String
        let from: String
        let to: String
        let start: ContinuousClock.Instant
        let end: ContinuousClock.Instant
        /// The round in which it ended; nil: before the first.
        let round: Round?
        /// How long this program stood still meanwhile.
        let stalled: Duration

        var length: Duration { end - start }
        var isFailover: Bool { from != to }
        /// Whether nothing but the fault of one leader was in the way.
        var isBound: Bool { isFailover && round?.round.single?.leavesOthersWhole ?? false }
        var isTooLong: Bool { isBound && length > ChaosSettings.failoverMax + stalled }
    }

    let settings: ChaosSettings
    let start: ContinuousClock.Instant
    let end: ContinuousClock.Instant
    let rounds: [Round]
    let tenures: [String: [Ledger.Tenure]]
    let gaps: [Gap]
    let counts: Ledger.Counts
    let violations: (listed: [Ledger.Violation], more: Int)
    let longestStall: Duration
    /// What each process used, over time; empty: nobody looked.
    let usage: [Usage]
    /// How often certificates were made anew.
    let reloads: Int

    init(
        settings: ChaosSettings, start: ContinuousClock.Instant, end: ContinuousClock.Instant, rounds: [Round],
        ledger: Ledger, stalls: Stalls, usage: [Usage] = [], reloads: Int = 0
    ) {
        self.settings = settings
        self.start = start
        self.end = end
        self.rounds = rounds
        let tenures = Dictionary(uniqueKeysWithValues: ChaosSettings.namespaces.map { ($0, ledger.tenures(of: $0)) })
        self.tenures = tenures
        gaps = ChaosSettings.namespaces.flatMap { Self.gaps(tenures[$0] ?? [], rounds, stalls) }
        counts = ledger.counts
        violations = ledger.violations
        longestStall = stalls.longest
        self.usage = usage
        self.reloads = reloads
    }

    /// Between the admissions of one tenure, and from one tenure to the next.
    private static func gaps(_ tenures: [Ledger.Tenure], _ rounds: [Round], _ stalls: Stalls) -> [Gap] {
        var gaps: [Gap] = []
        func add(
            _ tenure: Ledger.Tenure, to: String, _ start: ContinuousClock.Instant, _ end: ContinuousClock.Instant
        ) {
            gaps.append(
                Gap(
                    namespace: tenure.namespace, from: tenure.cluster, to: to, start: start, end: end,
                    round: rounds.last { $0.start <= end }, stalled: stalls.total(since: start, until: end)))
        }
        for (index, tenure) in tenures.enumerated() {
            for (one, next) in zip(tenure.stretches, tenure.stretches.dropFirst()) {
                add(tenure, to: tenure.cluster, one.end, next.start)
            }
            guard index + 1 < tenures.count else { break }
            add(tenure, to: tenures[index + 1].cluster, tenure.last.sent, tenures[index + 1].first.received)
        }
        return gaps
    }

    /// Whether nothing was seen that must not be, however long anything took.
    package var isSafe: Bool { violations.listed.isEmpty }

    /// Whether nothing came to be tried. A few faults may all have met clusters that led nothing.
    package var isIdle: Bool { rounds.isEmpty || counts.admitted == 0 || failovers == 0 && rounds.count >= 10 }

    /// How often another cluster led a namespace than before.
    package var failovers: Int { moves.count }

    var moves: [Gap] { gaps.filter(\.isFailover) }
    var tooLong: [Gap] { gaps.filter(\.isTooLong) }

    /// Whether every failover was in time, too.
    package var isClean: Bool { isSafe && tooLong.isEmpty }

    /// Writes it into the settings' folder, as text, as a picture and as JSON.
    package func write() throws {
        guard let folder = settings.folder else { return }
        for (name, content) in [("report.txt", text), ("report.svg", svg), ("report.json", try json())] {
            try Data(content.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
        }
    }
}

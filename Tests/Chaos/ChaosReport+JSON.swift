private import FoundationEssentials

/// The report as programs read it. All times are seconds since the begin.
extension ChaosReport {
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(document), as: UTF8.self) + "\n"
    }

    private struct Document: Encodable {
        let seed: UInt64
        let seconds: Double
        let failoverSecondsMax: Double
        let admitted: Int
        let denied: Int
        let unanswered: Int
        let longestStall: Double
        let violations: [Finding]
        let moreViolations: Int
        let rounds: [RoundEntry]
        let gaps: [GapEntry]
        let tenures: [TenureEntry]
    }

    private struct Finding: Encodable {
        let time: Double
        let text: String
    }

    private struct RoundEntry: Encodable {
        let number: Int
        let start: Double
        let mended: Double
        let recovery: Double
        let faults: [FaultEntry]
    }

    private struct FaultEntry: Encodable {
        let fault: String
        let cluster: String?
        let start: Double
        let end: Double
        let outcome: String
    }

    private struct GapEntry: Encodable {
        let namespace: String
        let from: String
        let to: String
        let start: Double
        let seconds: Double
        let fault: String?
        let isBound: Bool
        let isTooLong: Bool
    }

    private struct TenureEntry: Encodable {
        let namespace: String
        let cluster: String
        let term: UInt64
        let admissions: Int
        let first: Double
        let last: Double
    }

    private func time(_ instant: ContinuousClock.Instant) -> Double { (instant - start).rounded }

    private var document: Document {
        Document(
            seed: settings.seed, seconds: (end - start).rounded,
            failoverSecondsMax: ChaosSettings.failoverMax.rounded, admitted: counts.admitted, denied: counts.denied,
            unanswered: counts.unanswered, longestStall: longestStall.rounded,
            violations: violations.listed.map { Finding(time: time($0.time), text: $0.text) },
            moreViolations: violations.more, rounds: rounds.map(entry), gaps: gaps.map(entry),
            tenures: ChaosSettings.namespaces.flatMap { (tenures[$0] ?? []).map(entry) })
    }

    private func entry(_ round: Round) -> RoundEntry {
        RoundEntry(
            number: round.round.number, start: time(round.start), mended: time(round.mended),
            recovery: round.recovery.rounded,
            faults: round.marks.map {
                FaultEntry(
                    fault: "\($0.fault)", cluster: $0.cluster, start: time($0.start), end: time($0.end),
                    outcome: $0.outcome)
            })
    }

    private func entry(_ gap: Gap) -> GapEntry {
        GapEntry(
            namespace: gap.namespace, from: gap.from, to: gap.to, start: time(gap.start), seconds: gap.length.rounded,
            fault: gap.round?.label, isBound: gap.isBound, isTooLong: gap.isTooLong)
    }

    private func entry(_ tenure: Ledger.Tenure) -> TenureEntry {
        TenureEntry(
            namespace: tenure.namespace, cluster: tenure.cluster, term: tenure.term, admissions: tenure.count,
            first: time(tenure.first.received), last: time(tenure.last.sent))
    }
}

extension Duration {
    /// Seconds, to the millisecond.
    fileprivate var rounded: Double { (self / .milliseconds(1)).rounded() / 1000 }
}

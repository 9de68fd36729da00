package import Platform
private import Synchronization

/// How many admissions ended how, and how long they took. One for all event loops; any thread may call it.
///
/// Each admission costs three additions without order between them: a scrape in between may see one without the other.
package final class AdmissionCounters: Sendable {
    /// Why a body got no decision.
    private static let malformedReasons = ["not_json", "not_admission_review", "incomplete"]
    /// Upper bounds in nanoseconds: a small review takes a few microseconds, one of 8 MiB some milliseconds.
    private static let bounds: [Int64] = [
        1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
        10_000_000, 25_000_000, 100_000_000,
    ]

    private typealias Counter = Atomic<UInt64>
    /// By outcome and reason: `outcome * 16 + reason`.
    private let decisions = InlineArray<80, Counter> { _ in Counter(0) }
    /// In the order of ``malformedReasons``.
    private let malformed = InlineArray<3, Counter> { _ in Counter(0) }
    /// In the order of ``bounds``, and one for all that took longer.
    private let buckets = InlineArray<16, Counter> { _ in Counter(0) }
    private let nanoseconds = Counter(0)

    package init() {
        precondition(Self.bounds.count + 1 == buckets.count)
        precondition(Decision.Reason.allCases.count <= 16 && Decision.Outcome.allCases.count * 16 == decisions.count)
    }

    func count(_ decision: Decision, nanoseconds: Int64) {
        decisions[Self.slot(decision.outcome, decision.reason)].add(1, ordering: .relaxed)
        count(nanoseconds: nanoseconds)
    }

    func count(_ error: ScanError, nanoseconds: Int64) {
        let reason =
            switch error.kind {
            case .unexpectedByte, .unexpectedEnd, .invalidUTF8, .controlByte, .tooDeep: 0
            case .loneSurrogate, .wrongType, .ambiguousKey, .notAdmissionReview, .tooLarge: 1
            case .missingUID, .missingUsername: 2
            }
        malformed[reason].add(1, ordering: .relaxed)
        count(nanoseconds: nanoseconds)
    }

    private func count(nanoseconds duration: Int64) {
        var bucket = 0
        while bucket < Self.bounds.count, Self.bounds[bucket] < duration { bucket += 1 }
        buckets[bucket].add(1, ordering: .relaxed)
        nanoseconds.add(UInt64(max(0, duration)), ordering: .relaxed)
    }

    private static func slot(_ outcome: Decision.Outcome, _ reason: Decision.Reason) -> Int {
        Int(outcome.rawValue) * 16 + Int(reason.rawValue)
    }

    /// `leasehold_admissions_total` and `leasehold_admission_duration_seconds`, as of now.
    package func families() -> [MetricFamily] {
        var admissions: [MetricFamily.Sample] = []
        func sample(_ decision: String, _ reason: String, _ counter: borrowing Counter) {
            admissions.append(
                MetricFamily.Sample(
                    Double(counter.load(ordering: .relaxed)), labels: [("decision", decision), ("reason", reason)]))
        }
        for outcome in Decision.Outcome.allCases {
            for reason in Decision.Reason.allCases where reason.outcomes.contains(outcome) {
                sample(outcome.label, reason.label, decisions[Self.slot(outcome, reason)])
            }
        }
        for (index, reason) in Self.malformedReasons.enumerated() { sample("malformed", reason, malformed[index]) }

        var durations: [MetricFamily.Sample] = []
        var total = 0.0
        for index in buckets.indices {
            total += Double(buckets[index].load(ordering: .relaxed))
            let bound = index < Self.bounds.count ? "\(Double(Self.bounds[index]) / 1e9)" : "+Inf"
            durations.append(MetricFamily.Sample(total, labels: [("le", bound)], suffix: "_bucket"))
        }
        durations.append(
            MetricFamily.Sample(Double(nanoseconds.load(ordering: .relaxed)) / 1e9, suffix: "_sum"))
        durations.append(MetricFamily.Sample(total, suffix: "_count"))
        return [
            MetricFamily(
                "leasehold_admissions_total", .counter, help: "AdmissionReviews by what was decided and why.",
                admissions),
            MetricFamily(
                "leasehold_admission_duration_seconds", .histogram,
                help: "Time from the complete body of an AdmissionReview to the decision.", durations),
        ]
    }
}

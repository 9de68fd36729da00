import Election
import Support

/// What a rolling update cost: counted for tests, and measured for people.
struct RollingReport: CustomStringConvertible {
    typealias Instant = ContinuousClock.Instant

    let what: String
    let answers: [ServiceLoad.Answer]
    let writes: [ServiceLoad.Write]
    private let handovers: [Handover]
    private let refusals: Int

    /// One controller's end in its parts, all from the signal on.
    private struct Handover {
        let stored: Duration
        let takenOver: Duration
        let claimed: Duration
        /// Of the last admission before the gap and of the first after it.
        let gap: (begin: Duration, end: Duration)
    }

    /// - Parameters:
    ///   - start: when the first old replica was told to end, or earlier.
    ///   - ends: when each was.
    init(_ what: String, _ fleet: RollingFleet, _ load: ServiceLoad, since start: Instant, ends: [Instant]) {
        self.what = what
        answers = load.answers(since: start)
        writes = load.writes(since: start)
        refusals = fleet.refusals(since: start)
        let events = fleet.events(since: start)
        let admitted = answers.filter { $0.verdict == .admitted }.map(\.received)
        handovers = zip(ends, ends.dropFirst() + [.now]).compactMap { signal, next in
            let events = events.filter { $0.at >= signal && $0.at < next }
            guard let left = events.first(where: { $0.1.state == .handover }),
                let taken = events.first(where: { $0.at > left.at && $0.1.state == .live }),
                let claimed = events.first(where: { $0.at > taken.at && $0.1.isLease }),
                let gap = Self.longestGap(in: admitted.filter { $0 >= signal && $0 < next })
            else { return nil }
            return Handover(
                stored: left.at - signal, takenOver: taken.at - signal, claimed: claimed.at - signal,
                gap: (gap.0 - signal, gap.1 - signal))
        }
    }

    private static func longestGap(in times: [Instant]) -> (Instant, Instant)? {
        zip(times, times.dropFirst()).max { $0.1 - $0.0 < $1.1 - $1.0 }
    }

    var longestGap: Duration {
        Self.longestGap(in: answers.filter { $0.verdict == .admitted }.map(\.received)).map { $0.1 - $0.0 } ?? .zero
    }

    func count(_ isMeant: (ServiceLoad.Verdict) -> Bool) -> Int { answers.count { isMeant($0.verdict) } }

    /// In Markdown, for documentation to quote.
    var description: String {
        var text = """
            \(what): \(answers.count) questions; \(verdicts)
            writes with client-go's patience: \(writes.count), of which failed \(writes.count { $0.verdict != .admitted }), \
            longest \(seconds(writes.map { $0.ended - $0.begun }.max() ?? .zero))
            longest time without an admission: \(seconds(longestGap)); writes that the store refused as too soon: \(refusals)

            """
        guard !handovers.isEmpty else { return text }
        text += """
            | after SIGTERM, seconds | `handover` stored | taken over | lease claimed | last admission | next admission | gap |
            |---|---|---|---|---|---|---|

            """
        for one in handovers {
            let row = [
                one.stored, one.takenOver, one.claimed, one.gap.begin, one.gap.end, one.gap.end - one.gap.begin,
            ]
            text += "| | " + row.map(seconds).joined(separator: " | ") + " |\n"
        }
        return text
    }

    private var verdicts: String {
        Dictionary(grouping: answers, by: \.verdict).map { "\($0) \($1.count)" }.sorted().joined(separator: ", ")
    }

    private func seconds(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let hundredths = seconds * 100 + attoseconds / 10_000_000_000_000_000
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }
}

extension RollingFleet.Event {
    /// Of the member record.
    fileprivate var state: MemberRecord.State? {
        if case .member(_, let state) = self { state } else { nil }
    }
}

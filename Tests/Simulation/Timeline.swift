/// One namespace's story in a part of a run, arranged for drawing: a lane for each cluster and one for the store.
///
/// ``text()`` and ``svg(title:)`` draw it. Times are true time, in nanoseconds from the start of the run.
package struct Timeline {
    struct Span: Hashable {
        var from: Int64
        var to: Int64

        func intersection(_ other: Span) -> Span? {
            let both = Span(from: max(from, other.from), to: min(to, other.to))
            return both.from < both.to ? both : nil
        }

        func contains(_ time: Int64) -> Bool { from <= time && time <= to }
    }

    struct Lane {
        let name: String
        var processes: [Process]
        /// When any of its processes admits.
        var admits: [Span] = []
    }

    /// A replica of the controller, or a webhook in a process of its own.
    struct Process {
        let name: String
        var admits: [Span] = []
        var conditions: [Condition] = []
    }

    struct Condition {
        enum Kind: Hashable, CaseIterable {
            case running, standingBy, stopped, heldUp, suspended, cutOff

            var isLife: Bool { self == .running || self == .standingBy }
        }

        let kind: Kind
        var span: Span
        /// The incarnation, or what is lost.
        let detail: String
        /// Why the process ended, when that is how this came to its end.
        var ending: String?
    }

    /// A store request with all that became of it.
    struct Request {
        let number: Int
        let lane: Int
        let who: String
        let operation: String
        let namespace: String?
        let sent: Int64
        /// More than one: it was duplicated.
        var arrivals: [(time: Int64, outcome: String)] = []
        var answered: (time: Int64, answer: String)?
        /// It landed, and changed who holds the namespace.
        var changedHolder = false

        func isClaim(of namespace: String) -> Bool { self.namespace == namespace && !operation.hasPrefix("read") }
    }

    /// What landed in the store.
    struct Write {
        let time: Int64
        let lane: Int?
        let text: String
        /// Whether it matters to the story: no mere renewal, unless silence comes before it or after it.
        var isStory: Bool
        var request: Int?
    }

    struct Mark {
        let time: Int64
        /// nil: the store, an administrator or the checker.
        let lane: Int?
        let text: String
        let isNote: Bool
    }

    struct Overlap: Hashable {
        var span: Span
        var lanes: [Int]
    }

    package let namespace: String
    let span: Span
    let lanes: [Lane]
    let requests: [Request]
    let writes: [Write]
    let marks: [Mark]
    /// Within the span: when agents of more than one cluster admit.
    let overlaps: [Overlap]
    let violations: [(time: Int64, text: String)]
    let historyEnd: Int64

    /// - Parameters:
    ///   - from: nil: where the story of the first violation, or else of the last take-over, begins.
    ///   - to: nil: shortly after it.
    ///   - leaseDuration: of the namespace, roughly: how far back a story reaches.
    package init(
        of history: History, namespace: String, from: Int64? = nil, to: Int64? = nil,
        leaseDuration: Int64 = 15_000_000_000
    ) {
        var collector = TimelineCollector(history, namespace)
        for entry in history.entries { collector.take(entry) }
        collector.finish()
        let overlaps = Timeline.overlaps(collector.lanes)
        let story = Timeline.story(collector, overlaps.first?.span, leaseDuration)
        let begin = max(0, from ?? min(story.from, to ?? .max))
        let span = Span(from: begin, to: max(to ?? story.to, begin + 1_000_000))
        self.namespace = namespace
        self.span = span
        lanes = collector.lanes
        requests = collector.requests
        writes = collector.writes
        marks = collector.marks.filter { span.contains($0.time) }
        violations = collector.violations.filter { span.contains($0.time) }
        historyEnd = collector.end
        self.overlaps = overlaps.compactMap { overlap in
            overlap.span.intersection(span).map { Overlap(span: $0, lanes: overlap.lanes) }
        }
    }

    /// The first namespace in which two clusters admit at once; nil: there is none.
    package static func namespaceWithOverlap(in history: History) -> String? {
        history.namespaces.first { namespace in
            var collector = TimelineCollector(history, namespace)
            for entry in history.entries { collector.take(entry) }
            collector.finish()
            return !overlaps(collector.lanes).isEmpty
        }
    }

    // MARK: The part that tells the story

    private static func story(_ run: TimelineCollector, _ overlap: Span?, _ leaseDuration: Int64) -> Span {
        let trouble = [run.violations.first?.time, overlap?.from].compactMap { $0 }.min()
        let second: Int64 = 1_000_000_000
        guard let end = trouble ?? run.takeovers.last else {
            return Span(from: max(0, run.end - 2 * leaseDuration), to: run.end)
        }
        // Back to the claim that both sides' rights come from, but no further than a few lease durations.
        let takeover = run.takeovers.last { $0 <= end } ?? end
        let requests = run.requests.filter { request in
            let landed = request.changedHolder && request.arrivals.contains { $0.time == takeover }
            let isAnswered = request.answered.map { (0...second / 10).contains(end - $0.time) } ?? false
            return landed || isAnswered && request.isClaim(of: run.namespace)
        }
        let begin = requests.map(\.sent).min() ?? takeover
        let from = max(min(end - leaseDuration * 3 / 2, begin - second), end - 4 * leaseDuration)
        let overlapEnd = overlap.map { min($0.to, end + leaseDuration / 2) } ?? end
        return Span(from: from, to: max(end + 3 * second / 2, overlapEnd + second / 2))
    }

    static func merged(_ spans: [Span]) -> [Span] {
        var merged: [Span] = []
        for span in spans.sorted(by: { ($0.from, $0.to) < ($1.from, $1.to) }) {
            if let last = merged.last, last.to >= span.from {
                merged[merged.count - 1].to = max(last.to, span.to)
            } else {
                merged.append(span)
            }
        }
        return merged
    }

    private static func overlaps(_ lanes: [Lane]) -> [Overlap] {
        var found: [Overlap] = []
        for one in lanes.indices {
            for other in lanes.indices where other > one {
                for span in lanes[one].admits {
                    let shared = lanes[other].admits.compactMap { $0.intersection(span) }
                    found += shared.map { Overlap(span: $0, lanes: [one, other]) }
                }
            }
        }
        var merged: [Overlap] = []
        for overlap in found.sorted(by: { ($0.span.from, $0.span.to) < ($1.span.from, $1.span.to) }) {
            if let last = merged.last, last.span.to >= overlap.span.from {
                merged[merged.count - 1].span.to = max(last.span.to, overlap.span.to)
                merged[merged.count - 1].lanes += overlap.lanes.filter { !last.lanes.contains($0) }
            } else {
                merged.append(overlap)
            }
        }
        return merged
    }
}

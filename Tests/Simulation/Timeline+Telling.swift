// What is worth telling, and in which words; for both forms of a timeline.
extension Timeline {
    /// A request is lost, or its answer is; a run that ends before cannot tell.
    enum Loss {
        case nothing, request, answer
    }

    func loss(of request: Request) -> Loss {
        let patience: Int64 = 3_000_000_000
        if request.arrivals.isEmpty {
            return request.answered != nil || request.sent + patience < historyEnd ? .request : .nothing
        }
        if let answered = request.answered {
            return answered.answer.hasPrefix("unclear: time-out") ? .answer : .nothing
        }
        return request.arrivals[0].time + patience < historyEnd ? .answer : .nothing
    }

    /// The longest leg of a request's way, in nanoseconds.
    func delay(of request: Request) -> Int64 {
        let last = request.arrivals.map(\.time).max() ?? request.sent
        let back = loss(of: request) == .nothing ? (request.answered?.time ?? last) - last : 0
        return max(last - request.sent, back)
    }

    /// Whether a person needs it to follow the story.
    func isStory(_ request: Request) -> Bool {
        let isList = request.operation.hasPrefix("list")
        let isRoutine = ["read", "write", "heartbeat"].contains { request.operation.hasPrefix($0) }
        if request.changedHolder || !isList && !isRoutine || beginsWindow(request) { return true }
        let isSlow = delay(of: request) >= 1_000_000_000
        // A late list or member record tells old news, a lost one tells none, and is seldom missed.
        if isList || request.operation.hasPrefix("read") && request.namespace == nil {
            return isSlow && loss(of: request) == .nothing
        }
        return isSlow || loss(of: request) != .nothing || isRefused(request)
    }

    func isRefused(_ request: Request) -> Bool {
        let answer = request.answered?.answer ?? ""
        return ["conflict", "failed", "unclear"].contains { answer.hasPrefix($0) }
    }

    /// Whether a cluster begins to admit just after this write's answer.
    private func beginsWindow(_ request: Request) -> Bool {
        guard request.isClaim(of: namespace), let answered = request.answered else {
            return false
        }
        return lanes[request.lane].admits.contains { (0...100_000_000).contains($0.from - answered.time) }
    }

    /// Fast lists and the like: nothing that a person would miss.
    func isNoise(_ request: Request) -> Bool {
        request.operation.hasPrefix("list") && !isStory(request) && delay(of: request) < 100_000_000
    }

    /// `r0` for `c0/r0` in the lane of `c0`.
    static func short(_ who: String, in cluster: String) -> String {
        who.hasPrefix(cluster + "/") ? String(who.dropFirst(cluster.count + 1)) : who
    }

    /// Seconds with three digits after the point.
    static func seconds(_ time: Int64) -> String {
        let milliseconds = abs(time) / 1_000_000
        let rest = String(milliseconds % 1000)
        return "\(time < 0 ? "-" : "")\(milliseconds / 1000)."
            + String(repeating: "0", count: 3 - rest.count) + rest
    }

    /// `from 1.000 s to 2.500 s`, or `at 1.000 s` for a moment.
    static func words(_ span: Span) -> String {
        span.to - span.from < 1_000_000
            ? "at \(seconds(span.from)) s" : "from \(seconds(span.from)) s to \(seconds(span.to)) s"
    }

    func name(_ condition: Condition, length: String = "") -> String {
        switch condition.kind {
        case .running: "runs"
        case .standingBy: "stands by"
        case .stopped: "is stopped" + length
        case .heldUp: "is held up" + length
        case .suspended: "is suspended" + length
        case .cutOff:
            switch condition.detail {
            case "nothing": "is cut off\(length), nothing is lost"
            case "both": "is cut off\(length), requests and answers are lost"
            default: "is cut off\(length), \(condition.detail) are lost"
            }
        }
    }

    /// `c0`, `c0 and c1`, `c0, c1 and c2`
    func names(_ lanes: [Int]) -> String {
        let names = lanes.sorted().map { self.lanes[$0].name }
        guard let last = names.last, names.count > 1 else { return names.first ?? "" }
        return names.dropLast().joined(separator: ", ") + " and " + last
    }

    /// What is wrong, in sentences; or that nothing is.
    var verdict: [String] {
        var sentences = overlaps.map { overlap in
            let whose = overlap.lanes.sorted().flatMap { lane in
                lanes[lane].processes.flatMap { process in
                    process.admits.filter { $0.intersection(overlap.span) != nil }.map {
                        "\(process.name) \(Self.words($0))"
                    }
                }
            }
            let when = Self.words(overlap.span)
            return
                "\(when.prefix(1).uppercased())\(when.dropFirst()) \(names(overlap.lanes)) admit writes in \(namespace) at the same time: "
                + whose.joined(separator: ", ") + "."
        }
        sentences += violations.map { "Broken at \(Self.seconds($0.time)) s: \($0.text)." }
        guard sentences.isEmpty else { return sentences }
        return [
            "From \(Self.seconds(span.from)) s to \(Self.seconds(span.to)) s no two clusters admit writes in "
                + "\(namespace) at the same time."
        ]
    }
}

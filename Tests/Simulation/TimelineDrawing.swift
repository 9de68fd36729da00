/// Draws one timeline, from top to bottom.
struct TimelineDrawing {
    let timeline: Timeline
    var y = 0
    /// What lies behind everything, what crosses lanes, the lanes with what is drawn over them, and all texts in front.
    var back: [String] = []
    var lines: [String] = []
    var front: [String] = []
    var texts: [String] = []
    var bands: [Band] = []
    var store = Band(top: 0, bottom: 0)

    struct Band {
        var top: Int
        var bottom: Int
    }

    static let width = 1200
    static let left = 76
    static let right = 1184
    static let rowHeight = 20
    static let labelRowsMax = 12
    static let labelHeight = 16
    /// What a character of the 12-pixel fixed-width font takes, in hundredths of a pixel, rounded up.
    static let characterWidth = 735
    static let colors = ["#1f6feb", "#bf5700", "#1a7f37", "#8250df", "#0e7490", "#9a6700"]

    init(_ timeline: Timeline) { self.timeline = timeline }

    func color(_ lane: Int) -> String { Self.colors[lane % Self.colors.count] }

    mutating func draw(title: String) -> String {
        y = 26
        texts.append(text(12, y, title, "font-weight=\"bold\" font-size=\"14\""))
        y += 10
        drawTrouble()
        let top = y
        // The store in the middle, so that requests cross as few lanes as possible.
        let above = (timeline.lanes.count + 1) / 2
        bands = timeline.lanes.map { _ in Band(top: 0, bottom: 0) }
        for lane in 0..<above { drawLane(lane, isAbove: true, isNext: lane == above - 1) }
        drawStore()
        for lane in above..<timeline.lanes.count { drawLane(lane, isAbove: false, isNext: lane == above) }
        for request in timeline.requests where !timeline.isNoise(request) && isShown(request) { draw(request) }
        drawOverlaps(from: top, to: y)
        drawAxis(from: top)
        drawLegend()
        for sentence in timeline.verdict {
            for line in Timeline.wrap(sentence, (Self.right - 12) * 100 / Self.characterWidth) {
                y += Self.labelHeight
                texts.append(
                    text(
                        12, y, line, timeline.overlaps.isEmpty && timeline.violations.isEmpty ? "" : "fill=\"#b00020\"")
                )
            }
        }
        y += 14
        return document()
    }

    func document() -> String {
        let head = """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(Self.width)" height="\(y)" \
            viewBox="0 0 \(Self.width) \(y)" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" \
            font-size="12" fill="#1f2328">
            <defs>
            <clipPath id="plot"><rect x="\(Self.left)" y="0" width="\(Self.right - Self.left)" height="\(y)"/></clipPath>
            \(TimelineStyle.patterns)
            </defs>
            <rect width="\(Self.width)" height="\(y)" fill="#ffffff"/>
            """
        let middle = ["<g clip-path=\"url(#plot)\">"] + lines + ["</g>"]
        // A white rim, so that texts stay legible over lines.
        let rim = "<g stroke=\"#ffffff\" stroke-width=\"3\" stroke-opacity=\"0.8\" paint-order=\"stroke\">"
        return ([head] + back + middle + front + [rim] + texts + ["</g>", "</svg>"]).joined(separator: "\n") + "\n"
    }

    // MARK: Lanes

    mutating func drawLane(_ lane: Int, isAbove: Bool, isNext: Bool) {
        if !isAbove { y += isNext ? 56 : 10 }
        let top = y
        let marks = timeline.marks.filter { $0.lane == lane && !$0.isNote }.map { ($0.time, $0.text, "#57606a") }
        let requests = timeline.requests.filter { $0.lane == lane && timeline.isStory($0) && isShown($0) }
        let sent = requests.map { (max($0.sent, timeline.span.from), label(of: $0), color(lane)) }
        drawLabels(isAbove ? marks : sent, towards: isAbove ? 1 : -1)
        for process in timeline.lanes[lane].processes where isShown(process) { draw(process, lane) }
        drawLabels(isAbove ? sent : marks, towards: isAbove ? -1 : 1)
        bands[lane] = Band(top: top, bottom: y)
        let name = timeline.lanes[lane].name
        texts.append(text(12, top + 15, name, "font-weight=\"bold\" fill=\"\(color(lane))\""))
        back.append(rect(0, top, Self.width, y - top, "fill=\"\(color(lane))\" fill-opacity=\"0.06\""))
        if isAbove { y += isNext ? 56 : 10 }
    }

    /// A webhook to which nothing happens, and which admits nothing, is left out.
    func isShown(_ process: Timeline.Process) -> Bool {
        process.admits.contains { $0.intersection(timeline.span) != nil }
            || process.conditions.contains {
                ($0.kind != .running || !$0.detail.isEmpty) && $0.span.intersection(timeline.span) != nil
            }
    }

    mutating func draw(_ process: Timeline.Process, _ lane: Int) {
        let name = Timeline.short(process.name, in: timeline.lanes[lane].name)
        texts.append(text(Self.left - 6, y + 14, name, "text-anchor=\"end\" font-size=\"11\""))
        for kind in Timeline.Condition.Kind.allCases {
            for condition in process.conditions where condition.kind == kind {
                guard let span = condition.span.intersection(timeline.span) else { continue }
                // Life fills the row, what holds the process up lies over it, and a dead link runs along the top.
                let (top, height) = kind == .cutOff ? (y + 1, 4) : (y + 1, Self.rowHeight - 2)
                front.append(bar(span, top, height, TimelineStyle.fill(kind)))
            }
        }
        for window in process.admits {
            guard let span = window.intersection(timeline.span) else { continue }
            front.append(bar(span, y + 7, Self.rowHeight - 11, "fill=\"\(color(lane))\""))
        }
        y += Self.rowHeight
    }

    func label(of request: Timeline.Request) -> String {
        let operation = request.operation.split(separator: " over ").first.map(String.init) ?? request.operation
        var label = "#\(request.number) \(operation)"
        let delay = timeline.delay(of: request)
        switch timeline.loss(of: request) {
        case .request: label += ", lost"
        case .answer: label += ", answer lost"
        case .nothing:
            if timeline.isRefused(request), let answered = request.answered { label += ": \(answered.answer)" }
        }
        if delay >= 1_000_000_000 { label += ", takes \(Timeline.seconds(delay)) s" }
        return label
    }

    /// Whether any part of its way lies in the picture.
    func isShown(_ request: Timeline.Request) -> Bool {
        let ends = [request.sent] + request.arrivals.map(\.time) + (request.answered.map { [$0.time] } ?? [])
        let last = timeline.loss(of: request) == .request ? request.sent : ends.max() ?? request.sent
        return request.sent <= timeline.span.to && last >= timeline.span.from
    }

    mutating func drawStore() {
        let top = y
        let marks = timeline.marks.filter { $0.lane == nil }.map { ($0.time, $0.text, "#57606a") }
        let writes = timeline.writes.filter { timeline.span.contains($0.time) }
        let labels = writes.filter(\.isStory).map { write in
            (write.time, write.text, write.lane.map { color($0) } ?? "#1f2328")
        }
        drawLabels((marks + labels).sorted { $0.0 < $1.0 }, towards: 1)
        for write in writes {
            let isLease = write.lane == nil
            let height = isLease ? 16 : 8
            let fill = write.lane.map { color($0) } ?? "#1f2328"
            front.append(
                "<rect x=\"\(tenths(x(write.time) - (isLease ? 10 : 5)))\" y=\"\(y + 18 - height)\" "
                    + "width=\"\(isLease ? 2 : 1)\" height=\"\(height)\" fill=\"\(fill)\"/>")
        }
        y += 20
        store = Band(top: top, bottom: y)
        texts.append(text(12, y - 5, "store", "font-weight=\"bold\""))
        back.append(rect(0, top, Self.width, y - top, "fill=\"#6e7781\" fill-opacity=\"0.14\""))
    }

    // MARK: Requests

    mutating func draw(_ request: Timeline.Request) {
        let band = bands[request.lane]
        let isAbove = band.top < store.top
        let (near, far) = isAbove ? (band.bottom, store.top) : (band.top, store.bottom)
        let isStory = timeline.isStory(request)
        let isSlow = timeline.delay(of: request) >= 100_000_000
        let loss = timeline.loss(of: request)
        let style =
            "stroke=\"\(color(request.lane))\" "
            + (isStory || isSlow ? "stroke-width=\"1.8\"" : "stroke-width=\"0.8\" stroke-opacity=\"0.35\"")
        let sent = x(request.sent)
        // Nobody knows where something was lost: a cross beside the store, where no lane hides it, and a little later.
        let (drift, reach) = (40, far > near ? 20 : -20)
        guard loss != .request, let first = request.arrivals.first else {
            if loss == .request { lose(sent, near, sent + drift, far - reach, style) }
            return
        }
        for arrival in request.arrivals { line(sent, near, x(arrival.time), far, style) }
        if loss == .answer {
            lose(x(first.time), far, x(first.time) + drift, far - 2 * reach, style)
        } else if let answered = request.answered, answered.time >= first.time {
            let last = request.arrivals.last { $0.time <= answered.time } ?? first
            line(x(last.time), far, x(answered.time), near, style + " stroke-dasharray=\"5 2\"")
        }
    }

    mutating func lose(_ x1: Int, _ y1: Int, _ x2: Int, _ y2: Int, _ style: String) {
        line(x1, y1, x2, y2, style)
        let cross = "stroke=\"#b00020\" stroke-width=\"2\" class=\"lost\""
        line(x2 - 45, y2 - 4, x2 + 45, y2 + 4, cross)
        line(x2 - 45, y2 + 4, x2 + 45, y2 - 4, cross)
    }
}

// Trouble, axis, legend, labels, and the elements that all of a drawing is made of.
extension TimelineDrawing {
    // MARK: Trouble

    mutating func drawTrouble() {
        let overlaps = timeline.overlaps.map { overlap in
            let length = overlap.span.to - overlap.span.from
            let words = length < 1_000_000 ? "for a moment" : "for \(Timeline.seconds(length)) s"
            return (overlap.span.from, "\(timeline.names(overlap.lanes)) admit at once \(words)", "#b00020")
        }
        // One that is an overlap is labelled as such.
        let others = timeline.violations.filter { violation in
            !timeline.overlaps.contains { $0.span.from == violation.time }
        }
        drawLabels(
            (overlaps + others.map { ($0.time, "promise broken", "#b00020") }).sorted { $0.0 < $1.0 }, towards: 1)
    }

    mutating func drawOverlaps(from top: Int, to bottom: Int) {
        for overlap in timeline.overlaps {
            let style = "fill=\"#d1242f\" fill-opacity=\"0.22\" stroke=\"#b00020\" class=\"overlap\""
            front.append(bar(overlap.span, top, bottom - top, style))
        }
        for violation in timeline.violations {
            let path = "M\(tenths(x(violation.time))) \(top)V\(bottom)"
            front.append("<path d=\"\(path)\" stroke=\"#b00020\" stroke-width=\"1.5\" stroke-dasharray=\"6 3\"/>")
        }
    }

    // MARK: Axis and legend

    mutating func drawAxis(from top: Int) {
        let length = timeline.span.to - timeline.span.from
        let steps: [Int64] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000, 600_000]
        let step = 1_000_000 * (steps.first { length / ($0 * 1_000_000) <= 20 } ?? 3_600_000)
        var time = (timeline.span.from + step - 1) / step * step
        while time <= timeline.span.to {
            back.append(
                "<path d=\"M\(tenths(x(time))) \(top)V\(y + 4)\" stroke=\"#d0d7de\" stroke-width=\"1\" fill=\"none\"/>")
            let label = step >= 1_000_000_000 ? "\(time / 1_000_000_000)" : Timeline.seconds(time)
            texts.append(text(x(time) / 10, y + 17, label, "text-anchor=\"middle\" fill=\"#57606a\""))
            time += step
        }
        texts.append(text(12, y + 17, "seconds", "fill=\"#57606a\""))
        y += 30
    }

    mutating func drawLegend() {
        var x = 12
        for (swatch, label) in TimelineStyle.legend {
            let width = 28 + label.count * Self.characterWidth / 100 + 22
            if x + width > Self.right {
                x = 12
                y += Self.labelHeight + 4
            }
            front.append("<g transform=\"translate(\(x) \(y))\">\(swatch)</g>")
            texts.append(text(x + 28, y + 11, label, "fill=\"#57606a\""))
            x += width
        }
        y += Self.labelHeight + 8
    }

    // MARK: Labels

    /// Places each label in a free row; a thin line ties it to its moment.
    ///
    /// - Parameter towards: 1: what the labels belong to lies below them; -1: above.
    mutating func drawLabels(_ labels: [(time: Int64, text: String, color: String)], towards: Int) {
        var rows: [[ClosedRange<Int>]] = []
        let top = y
        var placed: [(x: Int, start: Int, row: Int, text: String, color: String)] = []
        var leftOut = 0
        for label in labels {
            let text = label.text.count > 56 ? label.text.prefix(55) + "…" : label.text
            let width = text.count * Self.characterWidth / 100 + 8
            let start = max(Self.left, min(x(label.time) / 10 + 4, Self.right - width))
            let range = start - 6...start + width
            let free = rows.firstIndex { row in !row.contains { $0.overlaps(range) } }
            guard free != nil || rows.count < Self.labelRowsMax else {
                leftOut += 1
                continue
            }
            if free == nil { rows.append([]) }
            let row = free ?? rows.count - 1
            rows[row].append(range)
            placed.append((x(label.time), start, row, text, label.color))
        }
        y += rows.count * Self.labelHeight
        for (x, start, row, label, color) in placed {
            // The first row lies next to what the labels belong to.
            let from = towards > 0 ? y - (row + 1) * Self.labelHeight : top + row * Self.labelHeight
            let tie = towards > 0 ? "M\(tenths(x)) \(from + 2)V\(y)" : "M\(tenths(x)) \(top)V\(from + 14)"
            back.append("<path d=\"\(tie)\" stroke=\"\(color)\" stroke-opacity=\"0.6\" fill=\"none\"/>")
            texts.append(text(start, from + 12, label, "fill=\"\(color)\""))
        }
        guard leftOut > 0 else { return }
        y += Self.labelHeight
        texts.append(text(Self.left, y - 4, "and \(leftOut) more, for which there is no room", "fill=\"#57606a\""))
    }

    // MARK: Elements

    /// In tenths of a pixel.
    func x(_ time: Int64) -> Int {
        let width = Int64(Self.right - Self.left) * 10
        let offset = (time - timeline.span.from) / 1000 * width / max(1, (timeline.span.to - timeline.span.from) / 1000)
        return Self.left * 10 + Int(offset)
    }

    func tenths(_ value: Int) -> String { "\(value < 0 ? "-" : "")\(abs(value) / 10).\(abs(value) % 10)" }

    func bar(_ span: Timeline.Span, _ top: Int, _ height: Int, _ style: String) -> String {
        let (from, to) = (x(span.from), x(span.to))
        return
            "<rect x=\"\(tenths(from))\" y=\"\(top)\" width=\"\(tenths(max(15, to - from)))\" height=\"\(height)\" \(style)/>"
    }

    func rect(_ x: Int, _ y: Int, _ width: Int, _ height: Int, _ style: String) -> String {
        "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(height)\" \(style)/>"
    }

    mutating func line(_ x1: Int, _ y1: Int, _ x2: Int, _ y2: Int, _ style: String) {
        lines.append("<path d=\"M\(tenths(x1)) \(y1)L\(tenths(x2)) \(y2)\" fill=\"none\" \(style)/>")
    }

    func text(_ x: Int, _ y: Int, _ content: String, _ style: String) -> String {
        "<text x=\"\(x)\" y=\"\(y)\"\(style.isEmpty ? "" : " " + style)>\(TimelineStyle.escape(content))</text>"
    }
}

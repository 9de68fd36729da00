/// The report as a picture: who admitted when, what was broken meanwhile, and how long nobody admitted.
extension ChaosReport {
    var svg: String {
        var drawing = Drawing(width: 1280)
        drawing.text(
            "Chaos with seed \(settings.seed): \((end - start).short), \(failovers) failovers, "
                + "\(violations.listed.count + violations.more) violations", x: 20, size: 18)
        drawing.advance(30)
        drawLegend(&drawing)
        // About five minutes a row of strips, so that a lease can be told from a grant.
        let rows = max(1, Int(((end - start) / .seconds(300)).rounded()))
        for row in 0..<rows {
            let length = (end - start) / rows
            drawStrips(&drawing, from: start + length * row, to: start + length * (row + 1))
        }
        drawDistribution(&drawing)
        return drawing.svg
    }

    private func drawLegend(_ drawing: inout Drawing) {
        var x = 20.0
        for (index, cluster) in ChaosSettings.clusters.enumerated() {
            drawing.box(x: x, width: 14, height: 14, style: "c\(index)")
            drawing.text("\(cluster) admits", x: x + 20, dy: 12)
            x += 130
        }
        drawing.box(x: x, width: 14, height: 14, style: "fault")
        drawing.text("something of this cluster is broken", x: x + 20, dy: 12)
        x += 270
        drawing.box(x: x, width: 14, height: 14, style: "bad")
        drawing.text("too long without admission, or a violation", x: x + 20, dy: 12)
        drawing.advance(34)
    }

    // MARK: - Strips

    private struct Window {
        let begin: ContinuousClock.Instant
        let end: ContinuousClock.Instant
        let left = 90.0
        let width = 1160.0

        func x(_ instant: ContinuousClock.Instant) -> Double {
            left + width * min(1, max(0, (instant - begin) / (end - begin)))
        }

        func shows(_ from: ContinuousClock.Instant, _ to: ContinuousClock.Instant) -> Bool { from < end && to >= begin }
    }

    private func drawStrips(
        _ drawing: inout Drawing, from begin: ContinuousClock.Instant, to end: ContinuousClock.Instant
    ) {
        let window = Window(begin: begin, end: end)
        for (cluster, name) in (ChaosSettings.clusters.map { ($0, $0) } + [(nil, "store")]) as [(String?, String)] {
            drawing.text(name, x: 20, dy: 9, size: 11)
            drawing.box(x: window.left, width: window.width, height: 10, style: "lane")
            for mark in rounds.flatMap(\.marks) where mark.cluster == cluster && window.shows(mark.start, mark.end) {
                drawing.box(
                    x: window.x(mark.start), width: max(1.5, window.x(mark.end) - window.x(mark.start)), height: 10,
                    style: "fault", title: "\(mark.fault) \(mark.outcome)")
            }
            drawing.advance(13)
        }
        drawing.advance(5)
        for namespace in ChaosSettings.namespaces { drawStrip(&drawing, of: namespace, window) }
        let tickLength = Duration.seconds(20)
        var tick = start + tickLength * Int(((begin - start) / tickLength).rounded(.up))
        while tick <= end {
            drawing.text("\(Int((tick - start) / .seconds(1))) s", x: window.x(tick), dy: 12, size: 11)
            tick += tickLength
        }
        drawing.advance(32)
    }

    private func drawStrip(_ drawing: inout Drawing, of namespace: String, _ window: Window) {
        drawing.text(namespace, x: 20, dy: 14, size: 12)
        drawing.box(x: window.left, width: window.width, height: 18, style: "lane")
        for tenure in tenures[namespace] ?? [] {
            let style = "c\(ChaosSettings.clusters.firstIndex(of: tenure.cluster) ?? 0)"
            for stretch in tenure.stretches where window.shows(stretch.start, stretch.end) {
                drawing.box(
                    x: window.x(stretch.start), width: max(0.7, window.x(stretch.end) - window.x(stretch.start)),
                    height: 18, style: style, title: "\(tenure.cluster), term \(tenure.term)")
            }
        }
        for gap in gaps where gap.namespace == namespace && gap.isTooLong && window.shows(gap.start, gap.end) {
            drawing.box(
                x: window.x(gap.start), width: max(1, window.x(gap.end) - window.x(gap.start)), height: 18, style: "bad"
            )
        }
        for violation in violations.listed where window.shows(violation.time, violation.time) {
            drawing.box(x: window.x(violation.time), width: 2, height: 20, style: "bad", title: violation.text)
        }
        drawing.advance(21)
    }

    // MARK: - The distribution

    /// A row of dots for each kind of fault, and the bound as a line.
    private func drawDistribution(_ drawing: inout Drawing) {
        drawing.text("Seconds without admission until another cluster led, by what was broken", x: 20, dy: 14, size: 14)
        drawing.advance(28)
        let byLabel = Dictionary(grouping: moves, by: { $0.round?.label ?? "start" })
        let longest = max(moves.map(\.length).max() ?? .zero, ChaosSettings.failoverMax) + .seconds(1)
        let (left, width) = (230.0, 1020.0)
        func x(_ length: Duration) -> Double { left + width * (length / longest) }
        let top = drawing.height
        for label in byLabel.keys.sorted() {
            drawing.text(label, x: 20, dy: 12, size: 12)
            drawing.box(x: left, dy: 8, width: width, height: 0.5, style: "axis")
            for gap in byLabel[label] ?? [] {
                drawing.dot(
                    x: x(gap.length), dy: 8, style: gap.isTooLong ? "bad" : "dot",
                    title: "\(gap.namespace), \(gap.from) to \(gap.to), \(gap.length.seconds) s")
            }
            drawing.advance(18)
        }
        drawing.box(
            x: x(ChaosSettings.failoverMax), dy: top - drawing.height, width: 1, height: drawing.height - top,
            style: "bad")
        var tick = Duration.zero
        while tick <= longest {
            drawing.text("\(Int(tick / .seconds(1)))", x: x(tick), dy: 12, size: 11)
            tick += .seconds(1)
        }
        drawing.advance(30)
    }
}

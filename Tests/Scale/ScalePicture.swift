/// Cost against namespaces: small charts, as SVG without scripts, for light and for dark backgrounds.
struct ScalePicture {
    private struct Line {
        let label: String
        /// Of the style sheet.
        let style: String
        let values: [Double]
    }

    private struct Chart {
        let title: String
        let lines: [Line]
        /// A horizontal line that is not to be passed.
        var bound: Double?
        var digits = 0
    }

    private static let (chartWidth, chartHeight) = (420.0, 190.0)
    /// Of the area of the lines, within a chart.
    private static let (left, right, top, bottom) = (52.0, 14.0, 44.0, 26.0)
    private static let columns = 2

    private let namespaces: [Int]
    private let charts: [Chart]

    init(_ sizes: [ScaleFigures]) {
        namespaces = sizes.map(\.namespaces)
        func pair(_ value: (ScaleFigures.Rest) -> Double) -> [Line] {
            [
                Line(label: "cluster that leads all", style: "c0", values: sizes.map { value($0.rest[0]) }),
                Line(label: "cluster that leads none", style: "c1", values: sizes.map { value($0.rest[1]) }),
            ]
        }
        func mebibytes(_ bytes: Int) -> Double { Double(bytes) / 1_048_576 }
        charts = [
            Chart(
                title: "Store requests per renew interval", lines: pair(\.storeRequestsPerInterval), bound: 2, digits: 1
            ),
            Chart(
                title: "Kubernetes writes a second beside the heartbeat",
                lines: pair { Double($0.kubernetesOtherWrites) / $0.seconds }, bound: 5, digits: 1),
            Chart(title: "Controller: processor time, ms a second", lines: pair(\.controllerCPU)),
            Chart(title: "Webhook: processor time, ms a second", lines: pair(\.webhookCPU), digits: 1),
            Chart(
                title: "Controller: resident memory, MiB", lines: pair { mebibytes($0.controller.residentBytes) },
                bound: mebibytes(ScaleReport.controllerBytesMax)),
            Chart(
                title: "Webhook: resident memory, MiB", lines: pair { mebibytes($0.webhook.residentBytes) },
                bound: mebibytes(ScaleReport.webhookBytesMax)),
            Chart(
                title: "Grant, KB",
                lines: [
                    Line(
                        label: "when the table has changed", style: "c0",
                        values: sizes.map { Double($0.grantTableBytes) / 1000 }),
                    Line(
                        label: "else", style: "c2", values: sizes.map { Double($0.grantTimeBytes) / 1000 }),
                ]),
            Chart(
                title: "Taken over, seconds after the kill",
                lines: [
                    Line(label: "all", style: "c0", values: sizes.map(\.takeover.seconds)),
                    Line(label: "of that, claiming", style: "c1", values: sizes.map(\.takeover.claimingSeconds)),
                    Line(
                        label: "the store alone", style: "c2", values: sizes.map(\.takeover.claimingSecondsLeast)),
                ]),
        ]
    }

    /// The colours of Okabe and Ito, which also those tell apart who see some colours alike.
    private static let style = """
        text { font-family: sans-serif; font-size: 11px; fill: #222; } .title { font-size: 13px; font-weight: bold; }
        .page { fill: #fff; } .grid { stroke: #ddd; } .bound { stroke: #d00; stroke-dasharray: 6 4; }
        polyline { fill: none; stroke-width: 2; } polyline.c0 { stroke: #0072b2; } polyline.c1 { stroke: #e69f00; }
        polyline.c2 { stroke: #009e73; } .dot { stroke: none; } .dot.c0, text.c0 { fill: #0072b2; }
        .dot.c1, text.c1 { fill: #b87a00; } .dot.c2, text.c2 { fill: #00805d; } text.limit { fill: #d00; }
        @media (prefers-color-scheme: dark) {
          text { fill: #ddd; } .page { fill: #181818; } .grid { stroke: #3a3a3a; } .bound { stroke: #ff5050; }
          polyline.c0 { stroke: #56b4e9; } .dot.c0, text.c0 { fill: #56b4e9; } .dot.c1, text.c1 { fill: #e69f00; }
          .dot.c2, text.c2 { fill: #00c896; } text.limit { fill: #ff5050; }
        }
        """

    var svg: String {
        let width = Self.chartWidth * Double(Self.columns)
        let height = Self.chartHeight * Double((charts.count + Self.columns - 1) / Self.columns) + 24
        var parts: [String] = []
        for (at, chart) in charts.enumerated() {
            let x = Double(at % Self.columns) * Self.chartWidth
            parts.append("<g transform=\"translate(\(x) \(Double(at / Self.columns) * Self.chartHeight))\">")
            parts += draw(chart) + ["</g>"]
        }
        parts.append(Self.text("Across: namespaces. Dashed: what is promised at most.", Self.left, height - 8))
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)">
            <style>\(Self.style)</style>
            <rect width="\(width)" height="\(height)" class="page"/>
            \(parts.joined(separator: "\n"))
            </svg>

            """
    }

    private func draw(_ chart: Chart) -> [String] {
        let most = max(chart.lines.flatMap(\.values).max() ?? 0, chart.bound ?? 0, 0.1) * 1.12
        let (width, height) = (
            Self.chartWidth - Self.left - Self.right, Self.chartHeight - Self.top - Self.bottom
        )
        // Evenly, as sizes that grow by factors are best seen.
        func x(_ at: Int) -> Double { Self.left + width * (Double(at) + 0.5) / Double(namespaces.count) }
        func y(_ value: Double) -> Double { Self.top + height * (1 - value / most) }
        var parts = [Self.text(chart.title, Self.left, 16, style: "title")]
        var labelX = Self.left
        for line in chart.lines {
            parts.append(Self.text(line.label, labelX, 32, style: line.style))
            labelX += 14 + 5.6 * Double(line.label.count)
        }
        for step in 0...2 {
            let value = most / 1.12 * Double(step) / 2
            parts.append(Self.rule(from: Self.left, to: Self.left + width, y: y(value), style: "grid"))
            parts.append(
                Self.text(ScaleReport.decimal(value, most < 10 ? 1 : 0), Self.left - 6, y(value) + 4, anchor: "end"))
        }
        if let bound = chart.bound {
            parts.append(Self.rule(from: Self.left, to: Self.left + width, y: y(bound), style: "bound"))
        }
        for (at, number) in namespaces.enumerated() {
            parts.append(Self.text("\(number)", x(at), Self.chartHeight - 10, anchor: "middle"))
        }
        for line in chart.lines {
            let points = line.values.enumerated().map { "\(Self.number(x($0))),\(Self.number(y($1)))" }
            parts.append("<polyline class=\"\(line.style)\" points=\"\(points.joined(separator: " "))\"/>")
            for (at, value) in line.values.enumerated() {
                parts.append(
                    "<circle class=\"dot \(line.style)\" cx=\"\(Self.number(x(at)))\" cy=\"\(Self.number(y(value)))\" r=\"3.5\">"
                        + "<title>\(line.label): \(ScaleReport.decimal(value, 2)) at \(namespaces[at])</title></circle>"
                )
            }
        }
        return parts
    }

    private static func rule(from left: Double, to right: Double, y: Double, style: String) -> String {
        "<line class=\"\(style)\" x1=\"\(number(left))\" x2=\"\(number(right))\" y1=\"\(number(y))\" y2=\"\(number(y))\"/>"
    }

    /// Texts here have nothing that XML wants escaped.
    private static func text(
        _ text: String, _ x: Double, _ y: Double, style: String = "", anchor: String = "start"
    ) -> String {
        "<text class=\"\(style)\" x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\">\(text)</text>"
    }

    private static func number(_ value: Double) -> String { ScaleReport.decimal(value, 1) }
}

private import FoundationEssentials

/// What a soak found: who uses more at the end.
package struct SoakReport: Sendable {
    let chaos: ChaosReport
    let tolerance: Usage.Tolerance

    init(_ chaos: ChaosReport, _ tolerance: Usage.Tolerance) {
        self.chaos = chaos
        self.tolerance = tolerance
    }

    /// Processes that lived from begin to end.
    var judged: [Usage] { chaos.usage.filter(\.isWhole) }

    func isGrowing(_ usage: Usage) -> Bool { usage.growth(tolerance).contains(where: \.isGrowing) }

    /// What keeps it from being good; empty: nothing.
    package var findings: [String] {
        var findings: [String] = []
        for usage in judged {
            for growth in usage.growth(tolerance) where growth.isGrowing {
                findings.append("\(usage.process) grows: from \(growth.text)")
            }
        }
        findings += chaos.violations.listed.map { "at \($0.time.ofRun): \($0.text)" }
        if chaos.violations.more > 0 { findings.append("and \(chaos.violations.more) more violations") }
        // Two clusters with four processes each, and two with one.
        if judged.count < 10 {
            findings.append("only \(judged.count) processes were seen from begin to end, of 10 that were to be")
        }
        if chaos.isIdle || chaos.reloads == 0 {
            findings.append("nothing was tried")
        }
        return findings
    }

    package var isFlat: Bool { findings.isEmpty }

    var title: String {
        "Soak with seed \(chaos.settings.seed): \((chaos.end - chaos.start).short), \(chaos.rounds.count) faults, "
            + "\(chaos.failovers) failovers, \(chaos.reloads) new certificates, \(chaos.counts.all) answers"
    }

    // MARK: - For people

    package var text: String {
        var cells = [["PROCESS", "MiB", "DESCRIPTORS", "THREADS", "CONNECTIONS", "REQUESTS", ""]]
        for usage in chaos.usage where !usage.samples.isEmpty {
            let counts = ["leasehold_server_connections_accepted_total", "leasehold_server_requests_total"].map {
                usage.counters[$0].map { "\(Int($0))" } ?? "-"
            }
            let verdict = !usage.isWhole ? "restarted" : isGrowing(usage) ? "GROWS" : "flat"
            cells.append([usage.process] + usage.growth(tolerance).map(\.change) + counts + [verdict])
        }
        let widths = cells[0].indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        let table = cells.map { row in
            row.enumerated().map { column, cell in
                cell + String(repeating: " ", count: widths[column] - cell.count)
            }.joined(separator: "  ")
        }
        return
            ([
                title + ".", "",
                "Lower quartiles of the second and of the last quarter; memory is what no file is behind. Flat is at most "
                    + "\(tolerance.memory) MiB, \(Int(tolerance.descriptors)) descriptors and \(Int(tolerance.threads)) "
                    + "threads more. Connections and requests are those of a process's servers since its start.", "",
            ] + table + [""] + (isFlat ? ["Flat, and no violation."] : findings.map { "FOUND: \($0)" }))
            .joined(separator: "\n")
    }

    // MARK: - Files

    /// Writes it as JSON and as a picture.
    ///
    /// - Parameter path: without `.json` and `.svg`.
    package func write(to path: String) throws {
        for (suffix, content) in [("json", try json()), ("svg", svg)] {
            try Data(content.utf8).write(to: URL(filePath: "\(path).\(suffix)"))
        }
    }

    private struct Document: Encodable {
        struct Process: Encodable {
            let name: String
            let verdict: String
            /// By quantity: the lower quartiles of the second and of the last quarter.
            let lowerQuartiles: [String: [Double]]
            let counters: [String: Double]
            /// One value a sample.
            let seconds: [Double]
            let start: [Int]
            let anonymousKiB: [Int]
            let residentKiB: [Int]
            let descriptors: [Int]
            let threads: [Int]
        }

        let seconds: Double
        let seed: UInt64
        let faults: Int
        let failovers: Int
        let newCertificates: Int
        let admitted: Int
        let denied: Int
        let unanswered: Int
        let tolerance: [String: Double]
        let findings: [String]
        let processes: [Process]
    }

    private func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let quantities = Usage.Quantity.allCases
        let document = Document(
            seconds: ((chaos.end - chaos.start) / .seconds(1)).rounded(), seed: chaos.settings.seed,
            faults: chaos.rounds.count, failovers: chaos.failovers, newCertificates: chaos.reloads,
            admitted: chaos.counts.admitted, denied: chaos.counts.denied, unanswered: chaos.counts.unanswered,
            tolerance: Dictionary(uniqueKeysWithValues: quantities.map { ($0.rawValue, tolerance.of($0)) }),
            findings: findings,
            processes: chaos.usage.map { usage in
                Document.Process(
                    name: usage.process,
                    verdict: !usage.isWhole ? "restarted" : isGrowing(usage) ? "grows" : "flat",
                    lowerQuartiles: Dictionary(
                        uniqueKeysWithValues: usage.growth(tolerance).map {
                            ($0.quantity.rawValue, [$0.early, $0.late].map { ($0 * 100).rounded() / 100 })
                        }),
                    counters: usage.counters, seconds: usage.samples.map { ($0.time * 10).rounded() / 10 },
                    start: usage.samples.map(\.start), anonymousKiB: usage.samples.map { $0.anonymousBytes / 1024 },
                    residentKiB: usage.samples.map { $0.residentBytes / 1024 },
                    descriptors: usage.samples.map(\.descriptors), threads: usage.samples.map(\.threads))
            })
        // A line for each process.
        let text = String(decoding: try encoder.encode(document), as: UTF8.self)
        return text.replacing("{\"anonymousKiB\"", with: "\n{\"anonymousKiB\"") + "\n"
    }

    // MARK: - The picture

    /// A row for each process, with a curve for each quantity, from zero on.
    private var svg: String {
        var drawing = Drawing(width: 1280)
        drawing.text(title, x: 20, size: 17)
        drawing.advance(24)
        drawing.text(
            "Grey: the process was ended and started again on purpose. Red: more at the end than may be. "
                + "Numbers: the lower quartile of the last quarter.", x: 20, size: 12)
        drawing.advance(26)
        let (left, width, gap) = (190.0, 300.0, 70.0)
        for (column, name) in ["memory, MiB", "descriptors", "threads"].enumerated() {
            drawing.text(name, x: left + Double(column) * (width + gap), size: 13)
        }
        drawing.advance(22)
        let end = max(1, chaos.usage.compactMap { $0.samples.last?.time }.max() ?? 1)
        // One scale for all, so that what is large looks large.
        let top = Usage.Quantity.allCases.map { quantity in
            max(1, chaos.usage.flatMap { $0.samples.map { quantity.value($0) } }.max() ?? 1)
        }
        let height = 46.0
        for usage in chaos.usage where !usage.samples.isEmpty {
            drawing.text(usage.process, x: 20, dy: height - 4)
            for (column, growth) in usage.growth(tolerance).enumerated() {
                let x = left + Double(column) * (width + gap)
                drawing.box(x: x, width: width, height: height, style: "lane")
                for run in Dictionary(grouping: usage.samples, by: \.start).values {
                    let style = !usage.isWhole ? "rest" : growth.isGrowing ? "bad" : ""
                    drawing.line(
                        run.map {
                            (x + width * $0.time / end, height - height * growth.quantity.value($0) / top[column])
                        }, style: style)
                }
                drawing.text(Usage.short(growth.late), x: x + width + 6, dy: height - 4, size: 12)
            }
            drawing.advance(height + 8)
        }
        for column in 0..<3 {
            let x = left + Double(column) * (width + gap)
            drawing.text("0 to \(Usage.short(top[column]))", x: x, size: 11)
            drawing.text("\(Int(end / 60)) min", x: x + width - 40, size: 11)
        }
        drawing.advance(26)
        return drawing.svg
    }
}

extension Usage {
    /// With one digit if it needs one.
    static func short(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }
}

extension Usage.Growth {
    fileprivate var change: String { "\(Usage.short(early)) -> \(Usage.short(late))" }
    fileprivate var text: String {
        "\(Usage.short(early)) to \(Usage.short(late)) \(quantity.rawValue)"
    }
}

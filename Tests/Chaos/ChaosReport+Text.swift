/// The report as people read it on a terminal.
extension ChaosReport {
    package var text: String {
        var lines = [
            "Chaos with seed \(settings.seed): \((end - start).short), \(rounds.count) rounds, "
                + "\(rounds.reduce(0) { $0 + $1.marks.count }) faults, \(ChaosSettings.clusters.count) clusters, "
                + "\(ChaosSettings.namespaces.count) namespaces.",
            "\(counts.all) answers: \(counts.admitted) admitted, \(counts.denied) denied, \(counts.unanswered) none. "
                + "\(failovers) failovers.",
            "This program itself stood still for at most \(longestStall.short).", "",
            "Without admission in a namespace, from the last question that the old leader admitted to the first answer of "
                + "the new one, in seconds; at most \(ChaosSettings.failoverMax.short) is allowed when one fault takes a "
                + "leader away:", "",
        ]
        lines += table
        lines.append("")
        if let slowest = rounds.max(by: { $0.recovery < $1.recovery }) {
            lines.append(
                "After all faults had ended, everything was well again within \(slowest.recovery.short) at the latest "
                    + "(round \(slowest.round.number)).")
        }
        lines += verdict
        return lines.joined(separator: "\n")
    }

    private var verdict: [String] {
        var lines: [String] = []
        for gap in tooLong {
            lines.append(
                "TOO LONG: \(gap.namespace) from \(gap.from) to \(gap.to), \(gap.length.short), from \(gap.start.ofRun) on"
                    + " (round \(gap.round?.round.number ?? 0), \(gap.round?.label ?? "")).")
        }
        lines += violations.listed.map { "VIOLATION at \($0.time.ofRun): \($0.text)" }
        if violations.more > 0 { lines.append("And \(violations.more) more violations.") }
        return lines.isEmpty ? ["No violation."] : lines
    }

    // MARK: - The table

    private struct Row {
        let label: String
        let gaps: [Gap]

        func cells(_ meaning: String, isBound: Bool) -> [String] {
            let lengths = gaps.map(\.length).sorted()
            return [
                label, meaning, "\(Set(gaps.map { $0.round?.round.number ?? 0 }).count)", "\(lengths.count)",
                lengths[0].seconds, lengths[lengths.count / 2].seconds,
                lengths[lengths.count - 1].seconds, isBound ? ChaosSettings.failoverMax.seconds : "-",
            ]
        }
    }

    /// A row for each kind of fault that anything came of.
    private var table: [String] {
        var cells = [["FAULT", "THEN LEADS", "TIMES", "GAPS", "MIN", "MEDIAN", "MAX", "BOUND"]]
        for (isFailover, meaning) in [(true, "another cluster"), (false, "the same cluster")] {
            let byLabel = Dictionary(
                grouping: gaps.filter { $0.isFailover == isFailover }, by: { $0.round?.label ?? "start" })
            cells += byLabel.keys.sorted().map { label in
                let row = Row(label: label, gaps: byLabel[label] ?? [])
                return row.cells(meaning, isBound: row.gaps.allSatisfy(\.isBound))
            }
        }
        if cells.count == 1 { return ["None was seen."] }
        let widths = cells[0].indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        return cells.map { row in
            row.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return column < 2 ? cell + space : space + cell
            }.joined(separator: "  ")
        }
    }
}

extension Duration {
    /// Such as `7.41`.
    var seconds: String {
        let hundredths = Int64((self / .milliseconds(10)).rounded())
        return "\(hundredths / 100)." + "\(100 + hundredths % 100)".dropFirst()
    }
}

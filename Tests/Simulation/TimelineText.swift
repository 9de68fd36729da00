// A timeline as plain text: a row for each thing that happens, a column for each cluster and one for the store.
extension Timeline {
    private enum Column: Hashable {
        case lane(Int)
        case store, all
    }

    private struct Row {
        let time: Int64
        let column: Column
        let text: String
        /// Orders what happens at one moment: causes before effects.
        var rank = 2
    }

    private static let widthMax = 160
    private static let timeWidth = 10

    /// At most 160 columns wide. `┃` stands beside a cluster while it admits, `XX` while another one does, too.
    package func text() -> String {
        let storeWidth = 46
        let laneWidth = max(12, min(52, (Self.widthMax - Self.timeWidth - storeWidth) / max(lanes.count, 1)))
        var lines = [heading(laneWidth)]
        let rows = rows().enumerated().sorted {
            ($0.element.time, $0.element.rank, $0.offset) < ($1.element.time, $1.element.rank, $1.offset)
        }
        for (_, row) in rows {
            guard row.column != .all else {
                lines.append(pad(Self.seconds(row.time), Self.timeWidth) + "*** \(row.text)")
                continue
            }
            let width = row.column == .store ? storeWidth : laneWidth - 3
            for (number, part) in wrap(row.text, width).enumerated() {
                lines.append(line(row, part, isFirst: number == 0, laneWidth))
            }
        }
        let trimmed = lines.map { line in String(line.reversed().drop { $0 == " " }.reversed()) }
        let verdict = verdict.flatMap { wrap($0, Self.widthMax) }
        return (trimmed + [""] + verdict).joined(separator: "\n") + "\n"
    }

    private func heading(_ laneWidth: Int) -> String {
        pad("s", Self.timeWidth) + lanes.map { pad("   \($0.name)", laneWidth) }.joined() + "store"
    }

    private func line(_ row: Row, _ part: String, isFirst: Bool, _ laneWidth: Int) -> String {
        var line = pad(isFirst ? Self.seconds(row.time) : "", Self.timeWidth)
        let admitting = lanes.map { lane in lane.admits.contains { $0.from <= row.time && row.time < $0.to } }
        let areMany = admitting.count { $0 } > 1
        for lane in lanes.indices {
            let bar = admitting[lane] ? (areMany ? "XX " : "┃  ") : "   "
            line += pad(bar + (row.column == .lane(lane) ? part : ""), laneWidth)
        }
        return line + (row.column == .store ? part : "")
    }

    // MARK: Rows

    private func rows() -> [Row] {
        var rows: [Row] = []
        for lane in lanes.indices { rows += begin(of: lane) }
        for lane in lanes.indices { rows += conditionRows(lane) }
        rows += marks.map {
            Row(time: $0.time, column: $0.lane.map { .lane($0) } ?? .store, text: $0.text, rank: $0.isNote ? 4 : 1)
        }
        rows += requests.filter(isStory).flatMap(requestRows)
        let told = Set(requests.filter(isStory).map(\.number))
        rows += writes.filter { write in
            write.isStory && !(write.request.map { told.contains(requests[$0].number) } ?? false)
        }.map { Row(time: $0.time, column: .store, text: $0.text) }
        for lane in lanes.indices { rows += windowRows(lane) }
        for overlap in overlaps {
            rows.append(
                Row(
                    time: overlap.span.from, column: .all, text: "\(names(overlap.lanes)) admit at the same time",
                    rank: 7))
        }
        rows += violations.map { Row(time: $0.time, column: .all, text: "broken: \($0.text)", rank: 8) }
        return rows.filter { span.contains($0.time) }
    }

    /// How things stand when the timeline begins.
    private func begin(of lane: Int) -> [Row] {
        var parts: [String] = []
        for process in lanes[lane].processes {
            let name = Self.short(process.name, in: lanes[lane].name)
            for condition in process.conditions
            where condition.span.from < span.from && condition.span.to > span.from && condition.kind != .running {
                parts.append("\(name) \(self.name(condition))")
            }
            if let admits = process.admits.first(where: { $0.from < span.from && $0.to > span.from }) {
                parts.append("\(name) admits\(admits.to > span.to ? "" : " until \(Self.seconds(admits.to))")")
            }
        }
        return parts.isEmpty
            ? [] : [Row(time: span.from, column: .lane(lane), text: parts.joined(separator: ", "), rank: 0)]
    }

    private func conditionRows(_ lane: Int) -> [Row] {
        var rows: [Row] = []
        for process in lanes[lane].processes {
            let name = Self.short(process.name, in: lanes[lane].name)
            for condition in process.conditions {
                let length = condition.span.to - condition.span.from
                if condition.kind.isLife {
                    let begins = condition.kind == .running ? "starts" : self.name(condition)
                    let text = "\(name) \(begins)\(condition.detail.isEmpty ? "" : " as \(condition.detail)")"
                    // A webhook runs from the start, and whoever takes over has said so.
                    if condition.kind == .standingBy || !condition.detail.isEmpty {
                        rows.append(Row(time: condition.span.from, column: .lane(lane), text: text, rank: 3))
                    }
                    if let ending = condition.ending {
                        rows.append(
                            Row(time: condition.span.to, column: .lane(lane), text: "\(name) ends: \(ending)", rank: 5))
                    }
                } else if length >= 100_000_000 {
                    let text = "\(name) \(self.name(condition, length: " for \(Self.seconds(length)) s"))"
                    rows.append(Row(time: condition.span.from, column: .lane(lane), text: text))
                    let goesOn = condition.kind == .cutOff ? "reaches the store again" : "goes on"
                    rows.append(Row(time: condition.span.to, column: .lane(lane), text: "\(name) \(goesOn)"))
                }
            }
        }
        return rows
    }

    private func windowRows(_ lane: Int) -> [Row] {
        lanes[lane].admits.flatMap { window in
            let first = lanes[lane].processes.first { process in process.admits.contains { $0.from == window.from } }
            let who = first.map { Self.short($0.name, in: lanes[lane].name) } ?? lanes[lane].name
            return [
                Row(time: window.from, column: .lane(lane), text: "ADMITS (\(who) first)", rank: 6),
                Row(time: window.to, column: .lane(lane), text: "admits no more", rank: 6),
            ]
        }
    }

    private func requestRows(_ request: Request) -> [Row] {
        let name = "#\(request.number)"
        let who = Self.short(request.who, in: lanes[request.lane].name)
        let loss = loss(of: request)
        let isFast = delay(of: request) < 100_000_000 && loss == .nothing
        var rows: [Row] = []
        if !isFast {
            let end = loss == .request ? ", which is lost ✕" : ""
            rows.append(
                Row(
                    time: request.sent, column: .lane(request.lane), text: "\(who) → \(name) \(request.operation)\(end)"
                ))
        }
        for (copy, arrival) in request.arrivals.enumerated() {
            let late = arrival.time - request.sent
            var text = "\(name) \(request.operation) of \(request.who): \(arrival.outcome)"
            if copy > 0 { text = "\(name) arrives again: \(arrival.outcome)" }
            if late >= 100_000_000 { text += ", \(Self.seconds(late)) s after it was sent" }
            if loss == .answer && copy == 0 { text += ", the answer is lost ✕" }
            rows.append(Row(time: arrival.time, column: .store, text: text))
        }
        if !isFast, loss == .nothing, let answered = request.answered {
            rows.append(
                Row(time: answered.time, column: .lane(request.lane), text: "\(who) ← \(name) \(answered.answer)"))
        }
        return rows
    }

    // MARK: Layout

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private func wrap(_ text: String, _ width: Int) -> [String] { Self.wrap(text, width) }

    /// Breaks between words, and inside those that are longer than a line.
    static func wrap(_ text: String, _ width: Int) -> [String] {
        var lines = [""]
        for word in text.split(separator: " ", omittingEmptySubsequences: true) {
            var word = word
            let space = lines[lines.count - 1].isEmpty ? "" : " "
            if lines[lines.count - 1].count + space.count + word.count <= width {
                lines[lines.count - 1] += space + word
                continue
            }
            if !space.isEmpty { lines.append("") }
            while word.count > width {
                lines[lines.count - 1] = String(word.prefix(width))
                word = word.dropFirst(width)
                lines.append("")
            }
            lines[lines.count - 1] = String(word)
        }
        return lines
    }
}

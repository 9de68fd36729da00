import Testing

@testable import Controller
@testable import Election

extension Reading {
    /// A reading of a test's own clocks.
    fileprivate static func after(_ seconds: Double) -> Reading {
        let nanoseconds = 1_000_000_000_000 + Int64(seconds * 1e9)
        return Reading(boottime: nanoseconds, realtime: nanoseconds, monotonicRaw: nanoseconds)
    }
}

@Suite struct ElectionLogTests {
    private let lines = Lines()
    private var log: ElectionLog
    private let empty = LeadershipTable(cluster: "east")

    init() {
        log = ElectionLog(lines.log, cluster: "east")
    }

    private func table(_ states: [(String, LeadershipTable.Entry.State)]) -> LeadershipTable {
        LeadershipTable(
            cluster: "east", index: NamespaceIndex(states.map(\.0)), anchor: .after(0),
            entries: ContiguousArray(states.map { .init(state: $0.1, holder: 0, limit: $0.1 == .own ? .max : 0) }),
            holders: ["west"])
    }

    private mutating func fail(_ reason: String, isUnclear: Bool = false, at now: Reading) {
        log.note(
            .requestFailed(
                RequestFailure(operation: "write", name: "members/east", reason: reason, isUnclear: isUnclear)), at: now
        )
    }

    /// What the lines say, without time and level.
    private var said: [String] {
        lines.all.map { $0.split(separator: " ", maxSplits: 2)[2].trimming() }
    }

    @Test mutating func `one namespace's change is one line`() {
        log.note(.led(namespace: "team-a", term: 7), at: .after(0))
        log.note(.holderChanged(namespace: "team-b", holder: "west", term: 3), at: .after(0))
        log.note(.holderChanged(namespace: "team-c", holder: nil, term: 4), at: .after(0))
        #expect(said == ["Leads team-a term=7", "west leads team-b term=3", "Nobody leads team-c term=4"])
        log.advance(table([("team-a", .own)]), silent: nil, at: .after(5))
        log.advance(table([("team-a", .own)]), silent: nil, at: .after(6))
        #expect(said.dropFirst(3) == ["Leads 1 namespace, others lead 0"])
    }

    @Test mutating func `ten thousand changes are a few lines and sums that add up`() {
        for second in 0..<10 {
            for number in 0..<1000 {
                log.note(.led(namespace: "team-\(second)-\(number)", term: 1), at: .after(Double(second)))
            }
            log.advance(empty, silent: nil, at: .after(Double(second) + 1))
        }
        #expect(lines.all.count <= 40)
        #expect(said.first == "Leads team-0-0 term=1")
        #expect(said.contains("Leads 980 more namespaces"))
        #expect(lines.count(of: "Leads 1,000 more namespaces") == 9)

        // After a quiet second, single lines again.
        log.advance(empty, silent: nil, at: .after(11))
        log.note(.led(namespace: "late", term: 1), at: .after(12))
        #expect(said.last == "Leads late term=1")
    }

    @Test mutating func `a sum says who took how many`() {
        for number in 0..<30 {
            let holder = number % 10 == 0 ? "north" : "west"
            log.note(.holderChanged(namespace: "team-\(number)", holder: holder, term: 1), at: .after(0))
        }
        log.advance(empty, silent: nil, at: .after(1))
        #expect(said.last == "10 more namespaces changed hands: 9 to west, 1 to north")
    }

    @Test mutating func `the same failure is one line and a count a minute`() {
        for second in 0..<150 {
            fail("no answer within 3 s", isUnclear: true, at: .after(Double(second)))
            log.advance(empty, silent: nil, at: .after(Double(second)))
        }
        let text =
            "Could not write members/east in the store, and may have taken effect: no answer within 3 s"
        #expect(
            said == [
                text, "\(text) (60 more of these in the last 60 s)", "\(text) (60 more of these in the last 60 s)",
            ])
        // What has not been told is told at the end.
        log.end(at: .after(150))
        #expect(said.last == "\(text) (29 more of these in the last 30 s)")
    }

    @Test mutating func `another kind of failure is not hidden by the first`() {
        fail("no answer within 3 s", isUnclear: true, at: .after(0))
        fail("permission denied", at: .after(1))
        #expect(said.count == 2)
        #expect(said.last == "Could not write members/east in the store: permission denied")
    }

    @Test mutating func `a store that fails now and then does not fill the log`() {
        for second in 0..<600 {
            fail("connection reset", at: .after(Double(second)))
            log.note(.requestsSucceedAgain, at: .after(Double(second)))
            log.advance(empty, silent: nil, at: .after(Double(second)))
        }
        #expect(lines.all.count <= 25)
        #expect(lines.contains("The store answers again"))
    }

    @Test mutating func `a standby says so at once, and then ever more rarely`() {
        let note = Note.standingBy(incarnation: "i-2", takeOverAfter: .seconds(9))
        log.note(note, at: .after(0))
        #expect(
            said == [
                "Stands by for the active run of cluster east's controller, incarnation i-2; takes over when that has "
                    + "been silent for 9 s"
            ])
        for second in 1...60 { log.advance(empty, silent: nil, at: .after(Double(second))) }
        #expect(lines.all.count == 5)  // After 0, 4, 12, 28 and 60 s.
        #expect(said.last?.hasSuffix("waited=\"60 s\"") == true)
        for hour in 0..<3600 { log.advance(empty, silent: nil, at: .after(Double(60 + hour))) }
        #expect(lines.all.count < 25)

        // It has taken over: no longer waits.
        log.note(.tookOver(previous: "i-2", uidChanged: false), at: .after(4000))
        let count = lines.all.count
        log.advance(empty, silent: nil, at: .after(5000))
        #expect(lines.all.count == count)
    }

    @Test mutating func `namespaces without a leader are named while they wait`() {
        let waiting = table([
            ("team-a", .own), ("team-b", .free), ("team-c", .unknown), ("team-d", .unreadable), ("team-e", .lapsed),
            ("team-f", .other), ("team-g", .unmanaged),
        ])
        for second in 0...4 { log.advance(waiting, silent: nil, at: .after(Double(second))) }
        #expect(
            said == [
                "Leads 1 namespace, others lead 1, nobody leads 4 namespaces (team-b: its lease is free; team-c: its "
                    + "lease has not been read yet; team-d: its record cannot be read; and 1 more) waited=\"4 s\""
            ])
        let settled = table([("team-a", .own), ("team-f", .other)])
        for second in 5...60 { log.advance(settled, silent: nil, at: .after(Double(second))) }
        #expect(said.dropFirst() == ["Leads 1 namespace, others lead 1"])
    }

    @Test mutating func `a silent leader's lease is counted down`() {
        let table = table([("team-a", .other)])
        log.advance(table, silent: nil, at: .after(0))
        for second in 1...5 {
            let rest = Duration.seconds(13 - second)
            log.advance(
                table, silent: .init(namespace: "team-a", holder: "west", rest: rest), at: .after(Double(second)))
        }
        #expect(
            said == [
                "Leads 0 namespaces, others lead 1",
                "west is silent: waits for its lease of team-a to run out, at most 8 s more; Leads 0 namespaces, others "
                    + "lead 1 waited=\"4 s\"",
            ])
    }

    @Test mutating func `a foreign object is named once, and not more than a hundred are`() {
        log.foreignObjects(["members/-x", "members/-y"])
        log.foreignObjects(["members/-x"])
        #expect(lines.all.count == 2)
        log.foreignObjects((0..<1000).map { "members/-\($0)" })
        #expect(lines.all.count == 100)
    }
}

extension Substring {
    fileprivate func trimming() -> String {
        var text = self
        while text.last?.isWhitespace == true { text.removeLast() }
        while text.first?.isWhitespace == true { text.removeFirst() }
        return String(text)
    }
}

import Support
import Testing

@testable import Simulation

@Suite struct TimelineTests {
    @Test func `a text marks the overlap in every column and says who admits`() throws {
        let text = Timeline(of: .overlap, namespace: "n0").text()
        #expect(text.contains("*** c0 and c1 admit at the same time"))
        let marked = text.split(separator: "\n").filter { $0.contains("XX") }
        #expect(!marked.isEmpty)
        #expect(marked.allSatisfy { $0.matches(of: /XX/).count == 2 })
        #expect(
            text.contains(
                "From 20.500 s to 22.000 s c0 and c1 admit writes in n0 at the same time: "
                    + "c0/r0 from 1.000 s to 22.000 s, c1/r0 from 20.500 s to 40.000 s."))
        #expect(text.contains("Broken at 20.500 s: both admit & <that> is \"bad\"."))
    }

    @Test func `a text without an overlap says so`() {
        var history = History.twoClusters
        history.add(1, "c0/r0", .admits(namespace: "n0", until: seconds(5)))
        history.add(6, "c1/r0", .admits(namespace: "n0", until: seconds(9)))
        let text = Timeline(of: history, namespace: "n0", from: 0, to: seconds(10)).text()
        #expect(!text.contains("XX"))
        #expect(text.contains("From 0.000 s to 10.000 s no two clusters admit writes in n0 at the same time."))
    }

    @Test func `the bar stands beside a cluster exactly while it admits`() throws {
        var history = History.twoClusters
        history.add(1, "c0/r0", .admits(namespace: "n0", until: seconds(5)))
        for second in 0...6 { history.add(Double(second) + 0.5, "c1/r0", .fault("mark \(second)")) }
        let text = Timeline(of: history, namespace: "n0", from: 0, to: seconds(10)).text()
        for second in 0...6 {
            let line = try #require(text.split(separator: "\n").first { $0.contains("mark \(second)") })
            #expect(line.contains("┃") == (1...4).contains(second))
        }
    }

    @Test func `a stop ends the admissions of its process`() {
        var history = History.twoClusters
        history.add(1, "c0/r0", .admits(namespace: "n0", until: seconds(50)))
        history.add(3, "c0/r0", .stopped(until: seconds(9)))
        history.add(3, "c0/r0", .admits(namespace: "n0", until: .min))
        history.add(4, "c1/r0", .admits(namespace: "n0", until: seconds(5)))
        #expect(Timeline.namespaceWithOverlap(in: history) == nil)
    }

    @Test func `admitting for a moment between two stops is an overlap, and taking turns is none`() {
        var history = History.twoClusters
        history.add(1, "c0/r0", .admits(namespace: "n0", until: seconds(5)))
        history.add(5, "c1/r0", .admits(namespace: "n0", until: seconds(9)))
        #expect(Timeline.namespaceWithOverlap(in: history) == nil)
        history.add(6, "c0/r0", .admits(namespace: "n0", until: seconds(8)))
        history.add(6, "c0/r0", .admits(namespace: "n0", until: .min))
        #expect(Timeline.namespaceWithOverlap(in: history) == "n0")
        #expect(Timeline(of: history, namespace: "n0").text().contains("XX"))
    }

    @Test func `a process that ends admits no more`() {
        var history = History.twoClusters
        history.add(0, "c0/r0", .started(incarnation: "first"))
        history.add(1, "c0/r0", .admits(namespace: "n0", until: seconds(50)))
        history.add(3, "c0/r0", .ended("killed"))
        history.add(4, "c1/r0", .admits(namespace: "n0", until: seconds(5)))
        #expect(Timeline.namespaceWithOverlap(in: history) == nil)
        let text = Timeline(of: history, namespace: "n0", from: 0, to: seconds(5)).text()
        #expect(text.contains("r0 ends: killed"))
    }

    @Test func `the namespace with the overlap is found`() {
        var history = History.overlap
        history.add(60, "c0/r0", .admits(namespace: "n1", until: seconds(70)))
        #expect(Timeline.namespaceWithOverlap(in: history) == "n0")
    }

    @Test func `the part shown begins with the claim that was sent long before, and ends after the overlap`() {
        let text = Timeline(of: .overlap, namespace: "n0", leaseDuration: seconds(4)).text()
        // The claim of 20.4 s was sent at 8 s, and the last renewal before that is 19.4 s ago.
        #expect(text.contains("8.000"))
        #expect(!text.contains("r0 starts as first"))
        let late = Timeline(of: .overlap, namespace: "n0", from: seconds(20), to: seconds(21)).text()
        #expect(!late.contains("8.000 "))
        #expect(late.contains("12.400 s after it was sent"))
    }

    @Test func `without trouble the last take-over is shown`() {
        var history = History.twoClusters
        history.add(100, "store", .leaseWritten(namespace: "n0", holder: "c0", term: 1))
        history.add(200, "store", .leaseWritten(namespace: "n0", holder: "c1", term: 2))
        history.add(400, "store", .memberWritten(state: "live", sequence: 7), cluster: 1)
        let text = Timeline(of: history, namespace: "n0").text()
        #expect(text.contains("n0: c1, term 2"))
        #expect(!text.contains("n0: c0, term 1"))
    }

    @Test func `what nobody would miss is left out`() {
        var history = History.twoClusters
        history.request(1, "c0/r0", "list members", sent: 1, arrives: 1.01, answered: 1.02)
        history.request(2, "c0/r0", "read members/c1", sent: 1, arrives: 1.01, answered: 1.02)
        history.request(3, "c0/r0", "heartbeat #4 live", sent: 1, arrives: 1.01, answered: 1.02)
        history.request(4, "c0/r0", "claim leases/n1", namespace: "n1", sent: 1, arrives: nil, answered: nil)
        history.add(1, "c0/r0", .note("holderChanged(namespace: \"n0\")"))
        history.add(1, "c0/r0", .note("led(namespace: \"n1\", term: 3)"))
        for number in 0..<3 {
            history.add(Double(3 * number), "store", .memberWritten(state: "live", sequence: 1), cluster: 0)
        }
        let text = Timeline(of: history, namespace: "n0", from: 0, to: seconds(10)).text()
        #expect(text.split(separator: "\n").count == 2, "heading and verdict only: \(text)")
    }

    @Test func `heartbeats around a silence are told`() {
        var history = History.twoClusters
        for (number, time) in [0.0, 3, 6, 30, 33].enumerated() {
            history.add(time, "store", .memberWritten(state: "live", sequence: UInt64(number)), cluster: 0)
        }
        let text = Timeline(of: history, namespace: "n0", from: 0, to: seconds(40)).text()
        #expect(text.matches(of: /c0 live #[0-9]/).map { String($0.output) } == ["c0 live #2", "c0 live #3"])
    }

    @Test func `lost requests and answers are crossed in both forms`() {
        var history = History.twoClusters
        history.request(1, "c0/r0", "heartbeat #1 live", sent: 1, arrives: nil, answered: 4, "unclear: time-out")
        history.request(2, "c0/r0", "heartbeat #2 live", sent: 5, arrives: 5.1, answered: 8, "unclear: time-out")
        history.request(3, "c0/r0", "heartbeat #3 live", sent: 9, arrives: 9.1, answered: 9.2, "written v1")
        let timeline = Timeline(of: history, namespace: "n0", from: 0, to: seconds(10))
        let text = timeline.text()
        #expect(text.contains("r0 → #1 heartbeat #1 live, which is lost ✕"))
        #expect(text.contains("the answer is lost ✕"))
        #expect(text.matches(of: /✕/).count == 2)
        // A cross is two strokes.
        #expect(timeline.svg(title: "").matches(of: /class="lost"/).count == 4)
    }

    @Test func `a request that arrives long after is told when it is sent and when it lands`() {
        let text = Timeline(of: .overlap, namespace: "n0").text()
        #expect(text.contains("r0 → #9 claim leases/n0 term 2 over v1"))
        #expect(text.contains("12.400 s after it was sent"))
        #expect(text.contains("r0 ← #9 written v2"))
    }

    @Test(arguments: 1...5) func `no line of a text is wider than 160 columns`(clusters: Int) {
        for seed in 0..<20 {
            let history = History.random(seed: UInt64(seed), clusters: clusters)
            let text = Timeline(of: history, namespace: "n0", from: 0, to: seconds(60)).text()
            #expect(text.split(separator: "\n").allSatisfy { $0.count <= 160 })
        }
    }

    // MARK: SVG

    @Test func `an SVG is well-formed, whatever the history holds`() throws {
        for seed in 0..<40 {
            let history = History.random(seed: UInt64(seed), clusters: 1 + seed % 5)
            try checkWellFormed(Timeline(of: history, namespace: "n0").svg(title: "a < b & \"c\" \u{1}"))
        }
    }

    @Test func `texts in an SVG are escaped`() throws {
        let svg = Timeline(of: .overlap, namespace: "n0").svg(title: "<&>")
        try checkWellFormed(svg)
        #expect(svg.contains(">&lt;&amp;&gt;</text>"))
        #expect(svg.contains("both admit &amp; &lt;that&gt; is &quot;bad&quot;."))
    }

    @Test func `the same history gives the same bytes`() {
        for seed in UInt64(0)..<10 {
            func draw() -> String {
                let timeline = Timeline(of: .random(seed: seed, clusters: 3), namespace: "n0")
                return timeline.svg(title: "t") + timeline.text()
            }
            #expect(draw() == draw())
        }
    }

    @Test func `an SVG marks the overlap and names the clusters`() {
        let svg = Timeline(of: .overlap, namespace: "n0").svg(title: "")
        #expect(svg.matches(of: /class="overlap"/).count == 1)
        #expect(svg.contains("c0 and c1 admit at once for 1.500 s"))
        let calm = Timeline(of: .overlap, namespace: "n0", from: 0, to: seconds(20)).svg(title: "")
        #expect(!calm.contains("class=\"overlap\""))
    }

    @Test func `no text of an SVG covers another`() throws {
        for seed in 0..<20 {
            let history = History.random(seed: UInt64(seed), clusters: 3)
            let svg = Timeline(of: history, namespace: "n0", from: 0, to: seconds(60)).svg(title: "t")
            var rows: [Int: [Range<Double>]] = [:]
            for match in svg.matches(of: /<text x="(-?[0-9]+)" y="([0-9]+)"([^>]*)>([^<]*)</)
            where !match.output.3.contains("anchor") {
                let start = try #require(Double(match.output.1))
                // An escaped character is several in the file.
                let characters = match.output.4.replacing(/&[a-z]+;/, with: "x").count
                let range = start..<start + Double(characters) * 7.3
                let y = try #require(Int(match.output.2))
                #expect(range.upperBound <= 1200)
                #expect(!rows[y, default: []].contains { $0.overlaps(range) }, "\(match.output.0)")
                rows[y, default: []].append(range)
            }
            #expect(rows.count > 5)
        }
    }

    /// Every tag is closed in order, attributes are quoted, and no bare `&` or `<` is left.
    private func checkWellFormed(_ xml: String) throws {
        var open: [Substring] = []
        var rest = Substring(xml)
        while let start = rest.firstIndex(of: "<") {
            try checkEntities(rest[..<start])
            let end = try #require(rest[start...].firstIndex(of: ">"))
            let tag = rest[rest.index(after: start)..<end]
            #expect(!tag.contains("<"))
            rest = rest[rest.index(after: end)...]
            if tag.hasPrefix("/") {
                #expect(open.popLast() == tag.dropFirst())
            } else {
                let name = tag.prefix { $0.isLetter }
                let attributes = tag.dropFirst(name.count).drop { $0 == "/" }
                #expect(attributes.wholeMatch(of: /(\s+[A-Za-z:-]+="[^"]*")*\/?/) != nil, "\(tag)")
                if !tag.hasSuffix("/") { open.append(name) }
            }
        }
        #expect(open.isEmpty)
        #expect(rest.allSatisfy { $0.isWhitespace })
        #expect(xml.unicodeScalars.allSatisfy { $0.value >= 0x20 || $0 == "\n" })
    }

    private func checkEntities(_ text: Substring) throws {
        let bare = text.replacing(/&(amp|lt|gt|quot);/, with: "")
        #expect(!bare.contains("&") && !bare.contains("<") && !bare.contains(">"))
    }
}

private func seconds(_ seconds: Double) -> Int64 { Int64((seconds * 1000).rounded()) * 1_000_000 }

extension History {
    fileprivate static var twoClusters: History { clusters(2) }

    fileprivate static func clusters(_ count: Int) -> History {
        var history = History()
        history.namespaces = ["n0", "n1"]
        history.clusters = (0..<count).map { ("c\($0)", ["c\($0)/r0"], ["c\($0)/w0"]) }
        return history
    }

    /// c0 leads, is stopped, and a claim of c1 that was sent long before lands while c0 still admits.
    fileprivate static var overlap: History {
        var history = twoClusters
        history.add(0, "c0/r0", .started(incarnation: "first"))
        history.add(0, "c1/r0", .started(incarnation: "second"))
        history.add(0.9, "store", .leaseWritten(namespace: "n0", holder: "c0", term: 1))
        history.add(1, "c0/r0", .admits(namespace: "n0", until: seconds(22)))
        history.add(8, "c1/r0", .sent(number: 9, operation: "claim leases/n0 term 2 over v1", namespace: "n0"))
        history.add(20.4, "store", .leaseWritten(namespace: "n0", holder: "c1", term: 2))
        history.add(20.4, "store", .arrived(number: 9, outcome: "v2"))
        history.add(20.5, "c1/r0", .answered(number: 9, answer: "written v2"))
        history.add(20.5, "c1/r0", .admits(namespace: "n0", until: seconds(40)))
        history.add(20.5, "check", .violation("both admit & <that> is \"bad\""))
        return history
    }

    fileprivate mutating func add(_ time: Double, _ who: String, _ kind: Kind, cluster: Int? = nil) {
        let found = clusters.firstIndex { ($0.replicas + $0.webhooks).contains(who) }
        entries.append(Entry(time: seconds(time), cluster: cluster ?? found, who: who, kind: kind))
    }

    fileprivate mutating func request(
        _ number: Int, _ who: String, _ operation: String, namespace: String? = nil, sent: Double, arrives: Double?,
        answered: Double?, _ answer: String = "v1"
    ) {
        add(sent, who, .sent(number: number, operation: operation, namespace: namespace))
        if let arrives { add(arrives, "store", .arrived(number: number, outcome: "v1")) }
        if let answered { add(answered, who, .answered(number: number, answer: answer)) }
    }

    /// Anything, in order of time.
    fileprivate static func random(seed: UInt64, clusters: Int) -> History {
        var random = SeededRandom(seed: seed)
        var history = History.clusters(clusters)
        var time = 0.0
        for number in 0..<150 {
            time += Double(random.below(1000)) / 1000
            let cluster = random.below(clusters)
            let replica = "c\(cluster)/r0"
            let who = random.chance(50) ? replica : random.pick(["c\(cluster)/w0", "c\(cluster)/w9"])
            let until = seconds(time + Double(random.below(20)))
            switch random.below(14) {
            case 0: history.add(time, replica, .started(incarnation: "i\(number)"))
            case 1: history.add(time, who, .ended("why <\(number)>"), cluster: cluster)
            case 2: history.add(time, who, .stopped(until: until), cluster: cluster)
            case 3: history.add(time, replica, .heldUp(until: until))
            case 4: history.add(time, replica, .suspended(until: until))
            case 5:
                history.add(time, replica, .cutOff(until: until, random.pick([.requests, .answers, .both, .nothing])))
            case 6: history.add(time, who, .fault("some fault & \(number)"), cluster: cluster)
            case 7: history.add(time, "administrator", .fault("deletes leases/n\(random.below(2))"))
            case 8:
                let holder = random.chance(20) ? "" : "c\(cluster)"
                history.add(time, "store", .leaseWritten(namespace: "n0", holder: holder, term: UInt64(number)))
            case 9: history.add(time, "store", .memberWritten(state: "live", sequence: 1), cluster: cluster)
            case 10:
                history.add(
                    time, who, .admits(namespace: "n0", until: random.pick([until, .min, .max])), cluster: cluster)
            case 11:
                history.add(
                    time, replica, .note(random.pick(["standingBy(x)", "tookOver(y)", "lapsed(namespace: \"n0\")"])))
            case 12 where random.chance(10): history.add(time, "check", .violation("bad"))
            default:
                history.request(
                    number, replica,
                    random.pick([
                        "list leases", "read leases/n0", "claim leases/n0 " + String(repeating: "x", count: 200),
                    ]),
                    namespace: random.pick([nil, "n0"]), sent: time,
                    arrives: random.chance(70) ? time + Double(random.below(20)) : nil,
                    answered: random.chance(70) ? time + Double(random.below(20)) : nil,
                    random.pick(["v1", "unclear: time-out", "conflict"]))
            }
        }
        return history
    }
}

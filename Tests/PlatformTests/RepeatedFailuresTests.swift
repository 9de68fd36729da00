import Election
import Testing

@testable import Platform

struct RepeatedFailuresTests {
    /// What was written.
    private final class Lines: Sendable {
        private let lines = Locked<[String]>([])

        var log: Log { Log { [lines] line in lines.withLock { $0.append(line) } } }
        var all: [String] { lines.withLock { $0 } }

        func contains(_ text: String) -> Bool { all.contains { $0.contains(text) } }
        func count(of text: String) -> Int { all.count { $0.contains(text) } }
    }

    private let lines = Lines()
    private var failures: RepeatedFailures

    init() { failures = RepeatedFailures(lines.log) }

    private func at(_ seconds: Int64) -> Reading {
        Reading(
            boottime: seconds * 1_000_000_000, realtime: seconds * 1_000_000_000, monotonicRaw: seconds * 1_000_000_000)
    }

    @Test mutating func `a failure is told at once, and its repetitions once a minute, with the latest text`() {
        failures.failed("uid", "no answer", at: at(0))
        for second in Int64(1)...5 {
            failures.failed("uid", "no answer (try \(second))", at: at(second))
            failures.advance(at: at(second))
        }
        #expect(lines.all.count == 1)
        #expect(lines.contains("no answer"))
        failures.advance(at: at(59))
        #expect(lines.all.count == 1)
        failures.advance(at: at(60))
        #expect(lines.all.count == 2)
        #expect(lines.contains("no answer (try 5) (5 more of these in the last 60 s)"), "\(lines.all)")
        failures.failed("uid", "no answer", at: at(61))
        #expect(lines.all.count == 2, "it is still the same trouble")
    }

    @Test mutating func `a failure that came once is told anew after a minute`() {
        failures.failed("uid", "no answer", at: at(0))
        failures.advance(at: at(60))
        #expect(lines.all.count == 1, "there is nothing to count")
        failures.failed("uid", "no answer", at: at(61))
        #expect(lines.all.count == 2)
    }

    @Test mutating func `failures of different keys do not hide each other`() {
        failures.failed("create forbidden", "no right", at: at(0))
        failures.failed("store", "no bucket", at: at(0))
        #expect(lines.contains("no right") && lines.contains("no bucket"))
    }

    @Test mutating func `what has succeeded is no longer counted, and told at once when it fails again`() {
        failures.failed("store 404", "no bucket", at: at(0))
        failures.failed("store 404", "no bucket", at: at(1))
        failures.failed("stored", "something else", at: at(1))
        failures.succeeded("store ")
        failures.advance(at: at(60))
        #expect(lines.count(of: "no bucket") == 1)
        failures.failed("store 404", "no bucket", at: at(61))
        #expect(lines.count(of: "no bucket") == 2)
        failures.failed("stored", "something else", at: at(2))
        #expect(lines.count(of: "something else") == 1, "another key")
    }

    @Test mutating func `what is held back is told at the end`() {
        failures.failed("store", "no bucket", at: at(0))
        failures.failed("store", "no bucket", at: at(1))
        failures.failed("uid", "no answer", at: at(1))
        failures.end(at: at(2))
        #expect(lines.contains("no bucket (1 more of these in the last 2 s)"), "\(lines.all)")
        #expect(lines.all.count == 3)
    }

    @Test mutating func `a clock that is set forward brings no count early`() {
        failures.failed("store", "no bucket", at: at(0))
        failures.failed("store", "no bucket", at: at(1))
        var later = at(2)
        later.realtime += 3_600_000_000_000
        failures.advance(at: later)
        #expect(lines.all.count == 1)
    }

    @Test mutating func `what is told in another way is first once a minute`() {
        let first = failures.isFirst("not found", at: at(0))
        let second = failures.isFirst("not found", at: at(30))
        failures.advance(at: at(60))
        let third = failures.isFirst("not found", at: at(61))
        #expect([first, second, third] == [true, false, true])
        #expect(lines.all.isEmpty)
    }

    @Test mutating func `however many failures are told apart, what is remembered is bounded`() {
        for number in 0..<1000 { failures.failed("key \(number)", "failure \(number)", at: at(0)) }
        #expect(lines.all.count == 1000)
        for number in 0..<1000 { failures.failed("key \(number)", "failure \(number)", at: at(1)) }
        #expect(lines.all.count == 2000 - RepeatedFailures.keysMax)
    }

    @Test mutating func `an owner with a lock gets the lines that the others see written`() {
        var other = RepeatedFailures(Log { _ in Issue.record("it is not to write by itself") })
        #expect(other.take("store", "no bucket", at: at(0)) == "no bucket")
        #expect(other.take("store", "no bucket", at: at(1)) == nil)
        #expect(other.due(at: at(59)).isEmpty)
        #expect(other.due(at: at(60)) == ["no bucket (1 more of these in the last 60 s)"])
        #expect(!other.isEmpty)
        #expect(other.due(at: at(120)).isEmpty)
        #expect(other.isEmpty)
    }
}

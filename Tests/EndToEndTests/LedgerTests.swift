import Election
import Testing

@testable import Chaos

/// That the judge of the chaos sees what it is there for, and nothing else.
struct LedgerTests {
    private let ledger = Ledger()
    private let start = ContinuousClock.now

    /// At milliseconds since the start.
    private func admit(_ door: String, _ term: UInt64, sent: Int, received: Int) {
        ledger.add(
            Ledger.Admission(
                namespace: "n1", cluster: String(door.prefix { $0 != "-" }), door: door, term: term,
                sent: start + .milliseconds(sent), received: start + .milliseconds(received)))
    }

    private func claim(_ holder: String, _ term: UInt64) {
        let record = LeaseRecord(
            holderIdentity: holder, uid: holder.isEmpty ? "" : "uid", incarnation: "i", claim: "c",
            leaseDurationSeconds: 7, term: term, acquireTime: "", leaderTransitions: 0, write: "w")
        ledger.addWrite(of: "leases/n1", record.encoded(), by: holder)
    }

    private var violations: [String] { ledger.violations.listed.map(\.text) }

    @Test func `one leader after the other is as it should be, also back and forth`() {
        claim("east", 1)
        claim("west", 2)
        claim("east", 3)
        admit("east-1", 1, sent: -50, received: -40)
        admit("west-1", 2, sent: -30, received: -20)
        admit("west-2", 2, sent: -30, received: -20)
        admit("east-1", 3, sent: -10, received: -5)
        #expect(violations.isEmpty)
        #expect(ledger.tenures(of: "n1").map(\.cluster) == ["east", "west", "east"])
    }

    @Test func `answers that may have been in the right order are no violation, in whatever order they come`() {
        claim("east", 1)
        claim("west", 2)
        admit("west-1", 2, sent: -30, received: -10)
        admit("east-1", 1, sent: -20, received: -15)
        #expect(violations.isEmpty)
    }

    @Test(arguments: [true, false])
    func `an admission that was asked for after a successor's was answered is a violation`(isLate: Bool) {
        claim("east", 1)
        claim("west", 2)
        if isLate { admit("west-1", 2, sent: -30, received: -20) }
        admit("east-1", 1, sent: -19, received: -15)
        if !isLate { admit("west-1", 2, sent: -30, received: -20) }
        #expect(violations.count == 1)
        #expect(violations[0].contains("east-1 admitted in n1 with term 1"))
    }

    @Test func `a webhook never goes back to a smaller term, but two of a cluster may differ`() {
        claim("east", 1)
        claim("east", 2)
        admit("east-1", 2, sent: -30, received: -25)
        admit("east-2", 1, sent: -20, received: -15)
        #expect(violations.isEmpty)
        admit("east-1", 1, sent: -20, received: -15)
        #expect(violations.count == 1)
    }

    @Test func `an admission needs a claim in the store`() {
        claim("east", 1)
        admit("west-1", 1, sent: -20, received: -15)
        #expect(violations.contains { $0.contains("no lease of its own") })
    }

    @Test(arguments: ["west", ""])
    func `no question that was put after another's claim or a free record had landed may be admitted`(next: String) {
        claim("east", 1)
        claim(next, next.isEmpty ? 1 : 2)
        // The landing was seen now, long before this question.
        admit("east-1", 1, sent: 60_000, received: 60_010)
        #expect(violations.count == 1)
        #expect(violations[0].contains("though the store had"))
    }

    @Test func `terms in the store grow with every claim`() {
        claim("east", 5)
        claim("", 5)
        #expect(violations.isEmpty)
        claim("west", 5)
        claim("west", 4)
        #expect(violations.count == 2)
    }

    @Test func `what is missing is told until it was seen after the moment that counts`() {
        func missing() -> [String] {
            ledger.missing(since: start, namespaces: ["n1"], clusters: [], doors: ["east-1"])
        }
        claim("east", 1)
        admit("east-1", 1, sent: -20, received: 20)
        #expect(missing() == ["nobody admits in n1", "east-1 does not answer"])
        ledger.addDenial(at: "east-1", sent: start + .milliseconds(5))
        #expect(missing() == ["nobody admits in n1"])
        admit("east-1", 1, sent: 10, received: 20)
        #expect(missing().isEmpty)
    }
}

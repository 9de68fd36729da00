import Election
import Testing

struct LeadershipTableTests {
    private let anchor = Reading(boottime: 100, realtime: 200, monotonicRaw: 300)

    private func table(_ state: LeadershipTable.Entry.State, limit: Int64 = 1000) -> LeadershipTable {
        LeadershipTable(
            cluster: "east", index: NamespaceIndex(["m", "n"]), anchor: anchor,
            entries: [
                .init(), .init(state: state, holder: 1, term: 7, limit: state == .own ? limit : 0, acquired: 5),
            ], holders: ["east", "west"])
    }

    @Test(
        arguments: [
            (.unmanaged, .unmanaged), (.notElected, .vacant(slot: 1, reason: .notElected)),
            (.unknown, .vacant(slot: 1, reason: .unknown)), (.free, .vacant(slot: 1, reason: .free)),
            (.own, .leads(term: 7)), (.lapsed, .vacant(slot: 1, reason: .lapsed)), (.other, .follows(slot: 1)),
            (.unreadable, .vacant(slot: 1, reason: .unreadable)),
        ] as [(LeadershipTable.Entry.State, LeadershipTable.Standing)])
    func `the standing of each state`(state: LeadershipTable.Entry.State, standing: LeadershipTable.Standing) {
        #expect(table(state).standing(of: "n", at: anchor) == standing)
        #expect(table(state).standing(slot: 1, at: anchor) == standing)
    }

    @Test func `where no active controller can be reached, nothing of the table counts`() {
        var table = table(.own)
        table.silentSince = 5
        for name in ["n", "o"] {
            #expect(table.standing(of: name, at: anchor) == .vacant(slot: nil, reason: .silent))
        }
        #expect(table.standing(slot: 1, at: anchor) == .vacant(slot: nil, reason: .silent))
    }

    @Test func `a namespace that is not in the table is not in the election`() {
        for name in ["", "o", "nn", "N"] {
            #expect(table(.own).standing(of: name, at: anchor) == .vacant(slot: nil, reason: .notElected))
        }
    }

    @Test(arguments: [\Reading.boottime, \.realtime, \.monotonicRaw] as [WritableKeyPath<Reading, Int64> & Sendable])
    func `a claim ends when the largest of the differences reaches the limit`(
        clock: WritableKeyPath<Reading, Int64> & Sendable
    ) {
        var now = anchor
        now[keyPath: clock] += 999
        #expect(table(.own).standing(of: "n", at: now) == .leads(term: 7))
        now[keyPath: clock] += 1
        #expect(table(.own).standing(of: "n", at: now) == .vacant(slot: 1, reason: .lapsed))
    }

    @Test(arguments: [0, -1, Int64.min]) func `a claim without any time left never leads`(limit: Int64) {
        #expect(table(.own, limit: limit).standing(of: "n", at: anchor) == .vacant(slot: 1, reason: .lapsed))
    }

    @Test func `the tenure names the holder, the term and when it began`() {
        #expect(table(.other).tenure(1).holder == "west")
        #expect(table(.other).tenure(1).term == 7 && table(.other).tenure(1).acquired == 5)
        #expect(table(.other).tenure(0).holder == nil)
    }

    @Test func `an empty table elects nothing`() {
        #expect(
            LeadershipTable(cluster: "east").standing(of: "n", at: anchor) == .vacant(slot: nil, reason: .notElected))
    }
}

import Election
import Support
import Testing

/// What is taken for a record, and what is not.
struct RecordTests {
    private let lease = LeaseRecord(
        holderIdentity: "east", uid: "u", incarnation: "i", claim: "c", leaseDurationSeconds: 15, term: 7,
        acquireTime: "2026-01-02T03:04:05.000000Z", leaderTransitions: 3, preferredHolder: "west", wantedBy: "north",
        write: "w")
    private let member = MemberRecord(
        cluster: "east", uid: "u", incarnation: "i", sequence: 5, state: .handover, quietSeconds: 15,
        leaseSequence: 9, renewTime: "2026-01-02T03:04:05.000000Z", renewIntervalSeconds: 2.5)

    private static let leaseFields: [(name: String, value: String)] = [
        ("holderIdentity", "\"east\""), ("uid", "\"u\""), ("incarnation", "\"i\""), ("claim", "\"c\""),
        ("leaseDurationSeconds", "15"), ("term", "7"), ("acquireTime", "\"t\""), ("leaderTransitions", "3"),
        ("write", "\"w\""),
    ]
    private static let memberFields: [(name: String, value: String)] = [
        ("cluster", "\"east\""), ("uid", "\"u\""), ("incarnation", "\"i\""), ("sequence", "5"),
        ("state", "\"live\""), ("quietSeconds", "15"), ("leaseSequence", "9"), ("renewTime", "\"t\""),
        ("renewIntervalSeconds", "3"),
    ]

    private func json(_ fields: [(name: String, value: String)], _ name: String = "", _ value: String? = nil) -> [UInt8]
    {
        let members = fields.compactMap { field in
            let text = field.name == name ? value : field.value
            return text.map { "\"\(field.name)\": \($0)" }
        }
        return Array("{\(members.joined(separator: ", "))}".utf8)
    }

    private func reason(_ parse: () throws(RecordError) -> some Any) -> String? {
        do {
            _ = try parse()
            return nil
        } catch { return error.description }
    }

    private func leaseReason(_ body: [UInt8]) -> String? {
        reason { () throws(RecordError) in try LeaseRecord(parsing: body) }
    }

    private func memberReason(_ body: [UInt8]) -> String? {
        reason { () throws(RecordError) in try MemberRecord(parsing: body, ofCluster: "east") }
    }

    @Test func `what is written is read back`() throws {
        #expect(try LeaseRecord(parsing: lease.encoded()) == lease)
        #expect(try MemberRecord(parsing: member.encoded(), ofCluster: "east") == member)
        var free = lease
        (free.holderIdentity, free.uid, free.preferredHolder, free.wantedBy) = ("", "", nil, nil)
        #expect(try LeaseRecord(parsing: free.encoded()) == free)
        #expect(free.isFree && !lease.isFree)
    }

    @Test func `equal records have equal bytes, a person can read them, and they end with a line feed`() {
        #expect(lease.encoded() == lease.encoded())
        let text = String(decoding: lease.encoded(), as: UTF8.self)
        #expect(text.hasSuffix("}\n") && text.contains("\n  \"holderIdentity\" : \"east\""))
    }

    @Test(arguments: leaseFields.map(\.name)) func `a lease record needs every field, of its type`(name: String) {
        #expect(leaseReason(json(Self.leaseFields)) == nil)
        #expect(leaseReason(json(Self.leaseFields, name))?.contains("\"\(name)\" is missing") == true)
        for value in ["null", "[]", "{}", "true"] {
            #expect(leaseReason(json(Self.leaseFields, name, value))?.contains("\"\(name)\"") == true)
        }
        let wrong = Self.leaseFields.first { $0.name == name }?.value.hasPrefix("\"") == true ? "1" : "\"1\""
        #expect(leaseReason(json(Self.leaseFields, name, wrong))?.contains("\"\(name)\"") == true)
    }

    @Test(arguments: memberFields.map(\.name)) func `a member record needs every field, of its type`(name: String) {
        #expect(memberReason(json(Self.memberFields)) == nil)
        #expect(memberReason(json(Self.memberFields, name))?.contains("\"\(name)\" is missing") == true)
        for value in ["null", "[]", "{}", "true"] {
            #expect(memberReason(json(Self.memberFields, name, value))?.contains("\"\(name)\"") == true)
        }
    }

    @Test(arguments: [
        "", " ", "{", "{}", "[]", "null", "true", "1", "\"text\"", "<html></html>", "{\"a\": 1}", "{\"a\": 1",
        "\u{FEFF}", "{} {}", "apiVersion: v1",
    ])
    func `foreign content is no record`(text: String) {
        #expect(leaseReason(Array(text.utf8)) != nil)
        #expect(memberReason(Array(text.utf8)) != nil)
    }

    @Test func `bytes that are no text are no record`() {
        var random = SeededRandom(seed: 2)
        for length in 0..<200 {
            let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            #expect(leaseReason(bytes) != nil && memberReason(bytes) != nil)
        }
    }

    @Test func `a record cut off anywhere is no record`() {
        let body = Array(lease.encoded().dropLast(2))
        for length in 0..<body.count { #expect(leaseReason(Array(body.prefix(length))) != nil) }
    }

    @Test func `what a store has but cannot read is not taken for an object of somebody else`() {
        #expect(leaseReason([]) == "it is empty, or the store cannot read it")
    }

    @Test func `an object far larger than any record is not even parsed`() {
        let padding = [UInt8](repeating: 0x20, count: 64 * 1024)
        #expect(leaseReason(json(Self.leaseFields) + padding)?.contains("bytes") == true)
        #expect(leaseReason(json(Self.leaseFields) + padding.prefix(1000)) == nil)
    }

    @Test func `fields of a later version are ignored`() {
        #expect(leaseReason(json(Self.leaseFields + [("later", "{\"a\": [1]}")])) == nil)
        #expect(memberReason(json(Self.memberFields + [("later", "null")])) == nil)
    }

    @Test(arguments: [
        ("holderIdentity", "\"East\""), ("holderIdentity", "\"../x\""), ("holderIdentity", "\"~notice\""),
        ("holderIdentity", "\"\""), ("uid", "\"\""), ("term", "-1"), ("term", "1.5"), ("term", "1e30"),
        ("term", "18446744073709551615"), ("leaseDurationSeconds", "1.5"), ("leaseDurationSeconds", "1e30"),
    ])
    func `a lease record with an impossible value is unreadable`(name: String, value: String) {
        #expect(leaseReason(json(Self.leaseFields, name, value)) != nil)
    }

    @Test(arguments: [
        ("cluster", "\"west\""), ("uid", "\"\""), ("incarnation", "\"\""), ("state", "\"gone\""), ("sequence", "-1"),
        ("sequence", "18446744073709551615"), ("leaseSequence", "18446744073709551615"),
    ])
    func `a member record with an impossible value is unreadable`(name: String, value: String) {
        #expect(memberReason(json(Self.memberFields, name, value)) != nil)
    }

    @Test(arguments: [("-5", 1), ("0", 1), ("1", 1), ("86400", 86_400), ("86401", 86_400), ("9000000000", 86_400)])
    func `durations are clamped when read`(text: String, seconds: Int) throws {
        #expect(
            try LeaseRecord(parsing: json(Self.leaseFields, "leaseDurationSeconds", text)).leaseDurationSeconds
                == seconds)
        let quiet = try MemberRecord(parsing: json(Self.memberFields, "quietSeconds", text), ofCluster: "east")
        #expect(quiet.quietSeconds == (seconds == 1 ? max(0, Int(text) ?? 0) : seconds))
    }

    @Test func `preferred and wanted agree only on the same cluster`() {
        #expect(lease.agreedHolder == nil)
        var agreed = lease
        agreed.wantedBy = "west"
        #expect(agreed.agreedHolder == "west")
        agreed.preferredHolder = nil
        agreed.wantedBy = nil
        #expect(agreed.agreedHolder == nil)
    }

    @Test(arguments: [
        ("a", true), ("a-b.c9", true), ("0", true), (String(repeating: "a", count: 253), true), ("", false),
        (String(repeating: "a", count: 254), false), ("A", false), ("-a", false), ("a-", false), (".", false),
        ("..", false), ("a/b", false), ("a b", false), ("~notice", false), ("ä", false), ("a\0", false), ("a_b", false),
    ])
    func `names are those of Kubernetes`(name: String, isValid: Bool) {
        #expect(RecordName.isValid(name) == isValid)
    }

    @Test func `a name is a folder and a name in it`() {
        #expect(RecordName(.leases, "n") == .lease("n") && RecordName(.members, "n") == .member("n"))
        #expect("\(RecordName.lease("n")) \(RecordName.notice)" == "leases/n members/~notice")
        #expect(RecordName.lease("n").folder == .leases && RecordName.notice.name == "~notice")
    }
}

import Election
import Storage
import Testing

@testable import Commands

struct StatusTests {
    private func report(
        _ store: MemoryStore, cluster: String? = nil, namespaces: [String] = [], at now: Int64 = noon
    ) async throws -> StatusReport {
        let snapshot = ElectionSnapshot(
            members: try await store.list(.members), leases: try await store.list(.leases), readAt: now)
        return StatusReport(document: StatusDocument(snapshot, cluster: cluster, namespaces: namespaces))
    }

    private func election() async throws -> MemoryStore {
        let store = MemoryStore()
        try await store.put(.made("east"))
        try await store.put(.made("west", state: .handover, renewed: noon - 90_000_000))
        try await store.put(.made(holder: "east", term: 1_700_000_000), of: "team-a")
        try await store.put(.made(holder: "west", preferred: "east"), of: "team-b")
        try await store.put(.made(holder: ""), of: "team-c")
        try await store.put(.leases, "team-d", Array("{\"holderIdentity\": 7}".utf8))
        try await store.put(.members, "~notice", Array("{}".utf8))
        return store
    }

    @Test func `shows leaders, free and unreadable records, and members, in fitted columns`() async throws {
        let text = try await report(try await election(), cluster: "east").text
        #expect(
            text == """
                NAMESPACE  LEADER        TERM        SINCE                 WINDOW LEFT  PREFERRED  OURS
                team-a     east          1700000000  2026-01-31 11:59:00Z  ~12s         -          yes
                team-b     west          7           2026-01-31 11:59:00Z  handover     east       no
                team-c     (free)        7           -                     -            -          no
                team-d     (unreadable)  -           -                     -            -          no

                CLUSTER  STATE     RENEWED     INCARNATION
                east     live      ~2s ago     run-east
                west     handover  ~1m30s ago  run-west

                leases/team-d is no lease record: the field "holderIdentity" has a wrong type. Nobody can lead it until \
                the object is repaired or deleted.

                """)
    }

    @Test func `leaves out the columns that nobody asked for`() async throws {
        let store = MemoryStore()
        try await store.put(.made("east"))
        try await store.put(.made(holder: "east"), of: "team-a")
        let header = try await report(store).text.split(separator: "\n")[0]
        #expect(header == "NAMESPACE  LEADER  TERM  SINCE                 WINDOW LEFT")
    }

    @Test func `says so when there is nothing`() async throws {
        #expect(
            try await report(MemoryStore()).text == """
                No lease records: no cluster has competed for a namespace yet.

                No members: no cluster has taken part yet.

                """)
    }

    @Test func `calls a window over when its leader has not renewed for so long`() async throws {
        let store = MemoryStore()
        try await store.put(.made("east", renewed: noon))
        try await store.put(.made(holder: "east"), of: "team-a")
        // 15 s less 1 %.
        #expect(try await report(store, at: noon + 14_849_999).document.areLed(["team-a"]))
        let late = try await report(store, at: noon + 14_850_000)
        #expect(!late.document.areLed(["team-a"]))
        #expect(late.text.contains("  over"))
        #expect(late.text.contains(/east +silent/))
    }

    @Test func `does not take a lease of an earlier run of its holder for led`() async throws {
        let store = MemoryStore()
        try await store.put(.made("east", incarnation: "run-2"))
        try await store.put(.made(holder: "east"), of: "team-a")
        let report = try await report(store)
        #expect(!report.document.areLed(["team-a"]))
        #expect(report.text.contains("restarted"))
    }

    @Test func `lets no escape sequence of a record through to the terminal`() async throws {
        let store = MemoryStore()
        try await store.put(.made(holder: "", preferred: "\u{1B}[2Jx"), of: "team-a")
        #expect(try await report(store).text.contains("?[2Jx"))
        #expect(try await !report(store).text.contains("\u{1B}"))
    }

    @Test func `writes JSON with the same facts`() async throws {
        let document = try await report(
            try await election(), cluster: "east", namespaces: ["team-a", "team-b", "team-d", "team-x"]
        ).document
        let json = try DocumentText.json(document, pretty: false)
        #expect(
            json == #"{"leases":["#
                + #"{"acquireTime":"2026-01-31T11:59:00.000000Z","isLed":true,"isOurs":true,"leader":"east","#
                + #""leaseDurationSeconds":15,"namespace":"team-a","state":"held","term":1700000000,"#
                + #""transitions":3,"window":"open","windowLeftSeconds":12.85},"#
                + #"{"acquireTime":"2026-01-31T11:59:00.000000Z","isLed":false,"isOurs":false,"leader":"west","#
                + #""leaseDurationSeconds":15,"namespace":"team-b","preferredHolder":"east","state":"held","term":7,"#
                + #""transitions":3,"window":"handover"},"#
                + #"{"isLed":false,"isOurs":false,"namespace":"team-d","problem":"the field \"holderIdentity\" has a "#
                + #"wrong type","state":"unreadable"},"#
                + #"{"isLed":false,"namespace":"team-x","state":"absent"}],"#
                + #""members":[{"cluster":"east","incarnation":"run-east","renewTime":"2026-01-31T11:59:58.000000Z","#
                + #""renewedSecondsAgo":2,"state":"live","uid":"uid-east"},"#
                + #"{"cluster":"west","incarnation":"run-west","renewTime":"2026-01-31T11:58:30.000000Z","#
                + #""renewedSecondsAgo":90,"state":"handover","uid":"uid-west"}],"#
                + #""readTime":"2026-01-31T12:00:00.000000Z","source":"store"}"# + "\n")
    }

    @Test func `ends with code 3 when a namespace that was named has no leader`() async throws {
        let store = try await election()
        let console = TestConsole()
        var options = StatusCommand.Options()
        #expect(try await StatusCommand.run(options, store: store, console: console.console()) == 0)
        options.namespaces = ["team-c"]
        #expect(try await StatusCommand.run(options, store: store, console: console.console()) == 3)
        options.namespaces = ["team-nowhere"]
        #expect(try await StatusCommand.run(options, store: store, console: console.console()) == 3)
        #expect(console.out.contains("team-nowhere  (no record)"))
    }

    @Test func `no record reaches the terminal as more than text`() async throws {
        let store = MemoryStore()
        try await store.put(.leases, "team-a", LeaseRecord.made(holder: "\u{1B}[2J\nevil").encoded())
        try await store.put(.members, "east", MemberRecord.made("\u{1B}[2J\nevil").encoded())
        let console = TestConsole()
        _ = try await StatusCommand.run(StatusCommand.Options(), store: store, console: console.console())
        #expect(console.out.contains(#"holderIdentity "?[2J?evil" is not"#))
        #expect(console.out.contains(#"it says cluster "?[2J?evil""#))
        #expect(!console.out.contains("\u{1B}") && !console.out.contains("\nevil"))
    }

    @Test func `ends with one line when the store cannot be read`() async throws {
        let store = ScriptedStore { _, _, _ in throw StoreError.failed("the disk is gone.") }
        await #expect(throws: CommandFailure("the store cannot be read: the disk is gone.")) {
            try await StatusCommand.run(StatusCommand.Options(), store: store, console: TestConsole().console())
        }
    }

    @Test func `redraws in place and cuts what the terminal cannot show`() {
        #expect(
            StatusCommand.redraw("a\nb\n", size: nil) == "\u{1B}[Ha\u{1B}[K\nb\u{1B}[K\n\u{1B}[J")
        #expect(
            StatusCommand.redraw("a\nb\nc\nd\n", size: (80, 4))
                == "\u{1B}[Ha\u{1B}[K\nb\u{1B}[K\n... and 2 more lines; a taller window shows them\u{1B}[K\n\u{1B}[J")
        #expect(!StatusCommand.redraw("a\nb\nc\n", size: (80, 4)).contains("more lines"))
        #expect(StatusCommand.redraw("abc\nd\n", size: (2, 9)) == "\u{1B}[Hab\u{1B}[K\nc\u{1B}[K\nd\u{1B}[K\n\u{1B}[J")
        #expect(StatusCommand.redraw("abc\nd\n", size: (2, 3)).hasPrefix("\u{1B}[Hab\u{1B}[K\n... and 2 more lines"))
    }
}

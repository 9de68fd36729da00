import Election
import Platform
import Storage
import Testing

@testable import Commands

struct DrainTests {
    /// east leads team-a and team-b; west is live, and so is north if wanted. At each list the live ones have renewed, and have
    /// done what they are asked for.
    ///
    /// - Parameter late: a namespace that east takes once it has lost another.
    private func election(
        live: [String] = ["west"], competing: [String]? = nil, late: String? = nil
    ) async throws -> ScriptedStore {
        let isTaken = Locked(late == nil)
        let store = ScriptedStore { call, before, base in
            switch call {
            case .list(.members):
                for cluster in live {
                    var record = MemberRecord.made(cluster)
                    (record.sequence, record.renewIntervalSeconds) = (UInt64(before) + 2, 0.01)
                    try await base.put(record)
                }
            case .list(.leases):
                for object in try await base.list(.leases) {
                    guard var record = try? LeaseRecord(parsing: object.body), let wish = record.preferredHolder,
                        wish != record.holderIdentity, (competing ?? live).contains(wish)
                    else { continue }
                    (record.holderIdentity, record.uid, record.term) = (wish, "uid-\(wish)", record.term + 1)
                    try await base.put(record, of: object.name.name)
                    let takes = isTaken.withLock { taken in
                        defer { taken = true }
                        return !taken
                    }
                    if takes, let late { try await base.put(.made(holder: "east"), of: late) }
                }
            default: break
            }
        }
        try await store.base.put(.made("east"))
        for cluster in live { try await store.base.put(.made(cluster)) }
        for namespace in ["team-a", "team-b"] { try await store.base.put(.made(holder: "east"), of: namespace) }
        return store
    }

    private func drain(
        _ store: any LeaseStore, to target: String? = nil, dryRun: Bool = false
    ) async throws -> (code: Int32, console: TestConsole) {
        let console = TestConsole()
        var options = DrainCommand.Options()
        (options.target, options.dryRun, options.timeout) = (target, dryRun, .milliseconds(100))
        let code = try await DrainCommand.run(
            options, cluster: "east", store: store, console: console.console(), pollInterval: .milliseconds(1))
        return (code, console)
    }

    @Test func `hands over what the cluster leads, clears the wishes for it, and lists what moved`() async throws {
        let store = try await election()
        try await store.base.put(.made(holder: "west", preferred: "east"), of: "team-c")
        try await store.base.put(.made(holder: ""), of: "team-free")
        let (code, console) = try await drain(store)
        #expect(code == 0)
        #expect(console.out == "team-a\nteam-b\n")
        #expect(console.err.contains("east leads 2 namespaces and is preferred for 1 more; live: west (leads 1)\n"))
        #expect(console.err.hasSuffix("east leads nothing and is preferred for nothing now\n"))
        #expect(try await store.base.lease("team-a")?.preferredHolder == "west")
        #expect(try await store.base.lease("team-c")?.preferredHolder == nil)
        #expect(try await store.base.lease("team-free") == .made(holder: ""))
    }

    @Test func `spreads so that each leads about as many, but for what prefers one of them`() async throws {
        let store = try await election(live: ["north", "west"])
        try await store.base.put(.made(holder: "west"), of: "team-w")
        try await store.base.put(.made(holder: "east", preferred: "west"), of: "team-x")
        let snapshot = try await ElectionSnapshot(reading: store.base)
        let plan = DrainPlan(of: "east", to: ["west", "north"], snapshot)
        // team-x, which prefers west, is handed to it already: the script acts at each list.
        #expect(
            plan.moves == [
                .init(namespace: "team-a", targets: ["north", "west"]),
                .init(namespace: "team-b", targets: ["north", "west"]),
                .init(namespace: "team-x", targets: ["west", "north"]),
            ])
        #expect(plan.explanation.contains { $0.hasSuffix("north gets 2, west gets 1") })
    }

    @Test func `changes nothing when it is only asked what it would do`() async throws {
        let store = try await election()
        let (code, console) = try await drain(store, dryRun: true)
        #expect(code == 0)
        #expect(
            console.out == """
                NAMESPACE  TO    ELSE
                team-a     west  -
                team-b     west  -

                """)
        #expect(try await store.base.lease("team-a") == .made(holder: "east"))
        #expect(try await store.base.read(.notice) == nil)
    }

    @Test func `refuses without another live cluster, and says how each is`() async throws {
        let store = try await election(live: [])
        try await store.base.put(.made("north", state: .stopped))
        var silent = MemberRecord.made("west")
        silent.renewIntervalSeconds = 0.01
        try await store.base.put(silent)
        let error = await #expect(throws: CommandFailure.self) { try await drain(store) }
        #expect(
            error?.description
                == "there is no other cluster to hand over to: north says stopped, west is silent. Start one "
                + "that competes for the same namespaces first")
        #expect(try await store.base.lease("team-a") == .made(holder: "east"))
    }

    @Test func `refuses a cluster that nobody knows`() async throws {
        let error = await #expect(throws: CommandFailure.self) {
            _ = try await DrainPlan(
                of: "south", to: nil, store: try await election(), pollInterval: .milliseconds(1), report: { _ in })
        }
        #expect(error?.description.contains("There are: east, west") == true)
    }

    @Test func `ends with code 3 when a cluster does not take what it is handed`() async throws {
        let store = try await election(competing: [])
        let (code, console) = try await drain(store)
        #expect(code == 3)
        #expect(console.out.isEmpty)
        #expect(console.err.contains("] team-a: not done in time: west has not said that it wants team-a."))
        #expect(console.err.hasSuffix("east is not drained: run it again, or see leasehold status\n"))
    }

    @Test func `hands over what the cluster takes meanwhile, too`() async throws {
        let store = try await election(late: "team-new")
        let (code, console) = try await drain(store)
        #expect(code == 0)
        #expect(console.out == "team-a\nteam-b\nteam-new\n")
    }
}

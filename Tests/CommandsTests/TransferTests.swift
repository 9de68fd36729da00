import Election
import Platform
import Storage
import Testing

@testable import Commands

struct TransferTests {
    private static let lease = ObjectName(.leases, "team-a")!

    /// east leads team-a, west is live.
    private func prepare(_ store: some LeaseStore, _ record: LeaseRecord = .made(holder: "east")) async throws {
        try await store.put(.made("east"))
        try await store.put(.made("west"))
        try await store.put(record, of: "team-a")
    }

    private func transfer(
        _ store: any LeaseStore, to target: String = "west", timeout: Duration = .seconds(60)
    ) async -> (result: Result<String, any Error>, progress: [String]) {
        let lines = Locked<[String]>([])
        let transfer = Transfer(namespace: "team-a", store: store, pollInterval: .milliseconds(1)) { line in
            lines.withLock { $0.append(line) }
        }
        do {
            return (.success(try await transfer.run(to: target, timeout: timeout)), lines.withLock { $0 })
        } catch {
            return (.failure(error), lines.withLock { $0 })
        }
    }

    private func failure(_ store: any LeaseStore, to target: String = "west", timeout: Duration = .seconds(60)) async
        -> String?
    {
        switch await transfer(store, to: target, timeout: timeout).result {
        case .success: nil
        case .failure(let error): "\(error)"
        }
    }

    @Test func `asks, follows each step and ends when the target leads`() async throws {
        // Reads of the record: to see who leads, to change it, then one a step.
        let store = ScriptedStore { call, before, base in
            guard call == .read(Self.lease), var record = try await base.lease("team-a") else { return }
            switch before {
            case 3: record.wantedBy = "west"
            case 5: (record.holderIdentity, record.uid) = ("", "")
            case 7: (record.holderIdentity, record.uid, record.term) = ("west", "uid-west", 8)
            default: return
            }
            try await base.put(record, of: "team-a")
        }
        try await prepare(store.base)
        let (result, progress) = await transfer(store)
        #expect(try result.get().wholeMatch(of: /west leads team-a after \d+\.\d s \(term 8\)/) != nil)
        #expect(
            progress == [
                "asked: west is to lead team-a, which east leads now (term 7)",
                "waiting for west to say that it wants it",
                "west wants it; waiting for east to give it back",
                "it is free; waiting for west to claim it",
            ])
    }

    @Test func `changes the preference only, writes something fresh and rewrites the notice`() async throws {
        let store = MemoryStore()
        var before = LeaseRecord.made(holder: "east", preferred: "north", wanted: "north")
        try await prepare(store, before)
        try await store.put(.members, "~notice", Array("old".utf8))
        let notice = try await store.read(.notice)
        _ = await transfer(store, timeout: .zero)
        let after = try #require(try await store.lease("team-a"))
        #expect(after.write != before.write)
        before.preferredHolder = "west"
        before.write = after.write
        #expect(after == before)
        let noticeAfter = try #require(try await store.read(.notice))
        #expect(noticeAfter.version != notice?.version)
        #expect(noticeAfter.body != notice?.body)
    }

    @Test func `never writes the same notice twice`() async throws {
        let store = MemoryStore()
        try await prepare(store)
        _ = await transfer(store, timeout: .zero)
        let first = try await store.read(.notice)?.body
        _ = await transfer(store, timeout: .zero)
        #expect(try await store.read(.notice)?.body != first)
    }

    @Test func `tries again after a conflict and keeps what the other one wrote`() async throws {
        let store = ScriptedStore { call, before, base in
            guard call == .write(Self.lease), before == 0 else { return }
            // A new term, between this command's read and its write.
            try await base.put(.made(holder: "east", term: 9), of: "team-a")
        }
        try await prepare(store.base)
        _ = await transfer(store, timeout: .zero)
        let after = try #require(try await store.base.lease("team-a"))
        #expect(after.term == 9)
        #expect(after.preferredHolder == "west")
    }

    @Test func `goes on when a write landed though its answer was lost`() async throws {
        let store = ScriptedStore { call, before, base in
            guard call == .write(Self.lease), before == 0 else { return }
            try await base.put(.made(holder: "east", preferred: "west"), of: "team-a")
            throw StoreError.unclear("time-out")
        }
        try await prepare(store.base)
        let (_, progress) = await transfer(store, timeout: .zero)
        #expect(progress.first == "asked: west is to lead team-a, which east leads now (term 7)")
        #expect(try await store.base.read(.notice) != nil)
    }

    @Test func `takes a conflict on the notice for the notice that it wanted`() async throws {
        let store = ScriptedStore { call, _, base in
            guard call == .write(.notice) else { return }
            try await base.put(.members, "~notice", Array("another".utf8))
        }
        try await prepare(store.base)
        let (_, progress) = await transfer(store, timeout: .zero)
        #expect(progress.count == 2)
    }

    @Test func `is done at once when the target leads already`() async throws {
        let store = ScriptedStore { call, _, _ in
            if case .write = call { Issue.record("wrote \(call)") }
        }
        try await prepare(store.base, .made(holder: "west", preferred: "west"))
        #expect(try await transfer(store).result.get() == "west leads team-a already (term 7)")
    }

    @Test func `replaces another cluster's preference although the target leads now`() async throws {
        let store = MemoryStore()
        try await prepare(store, .made(holder: "west", preferred: "east"))
        _ = try await transfer(store).result.get()
        #expect(try await store.lease("team-a")?.preferredHolder == "west")
    }

    @Test(arguments: [
        (MemberRecord?.none, "it has no member record"), (.made("west", state: .stopped), "says stopped"),
        (.made("west", state: .handover), "says handover"),
    ])
    func `refuses a target that takes no part, and writes nothing`(member: MemberRecord?, reason: String) async throws {
        let store = MemoryStore()
        try await store.put(.made("east"))
        try await store.put(.made(holder: "east"), of: "team-a")
        if let member { try await store.put(member) }
        let message = await failure(store)
        #expect(message?.hasPrefix("west takes no part in the election (") == true)
        #expect(message?.contains(reason) == true)
        #expect(message?.hasSuffix("Live now: east") == true)
        #expect(try await store.lease("team-a") == .made(holder: "east"))
        #expect(try await store.read(.notice) == nil)
    }

    @Test func `refuses a namespace without a record, and leaves an unreadable one alone`() async throws {
        let store = MemoryStore()
        try await prepare(store)
        store.delete(Self.lease)
        #expect(await failure(store)?.hasPrefix("there is no lease record of team-a") == true)
        try await store.put(.leases, "team-a", Array("not JSON".utf8))
        #expect(await failure(store)?.hasPrefix("leases/team-a is no lease record, and is left alone") == true)
        #expect(try await store.read(Self.lease)?.body == Array("not JSON".utf8))
    }

    @Test(arguments: [
        (LeaseRecord.made(holder: "east"), "west has not said that it wants team-a"),
        (.made(holder: "east", wanted: "west"), "east has not given it back"),
        (.made(holder: ""), "west has not claimed it, though it is free"),
    ])
    func `says what is missing when the time is up`(record: LeaseRecord, missing: String) async throws {
        let store = MemoryStore()
        try await prepare(store, record)
        let message = await failure(store, timeout: .zero)
        #expect(message?.hasPrefix("not done after 0.0 s: \(missing)") == true)
    }

    @Test func `says that the target has left meanwhile`() async throws {
        let store = ScriptedStore { call, before, base in
            if call == .read(Self.lease), before == 2 { try await base.put(.made("west", state: .stopped)) }
        }
        try await prepare(store.base)
        #expect(await failure(store, timeout: .zero)?.contains("west has left the election meanwhile") == true)
    }

    @Test func `stops waiting when somebody else takes the wish back`() async throws {
        let store = ScriptedStore { call, before, base in
            guard call == .read(Self.lease), before == 3 else { return }
            try await base.put(.made(holder: "east"), of: "team-a")
        }
        try await prepare(store.base)
        #expect(await failure(store)?.contains("changed the preferred holder of team-a to nobody") == true)
    }

    @Test func `waits on while the store does not answer`() async throws {
        let store = ScriptedStore { call, before, base in
            guard call == .read(Self.lease), before > 1 else { return }
            if before < 5 { throw StoreError.unclear("time-out") }
            try await base.put(.made(holder: "west", term: 8, preferred: "west"), of: "team-a")
        }
        try await prepare(store.base)
        #expect(try await transfer(store).result.get().hasPrefix("west leads team-a after "))
    }

    @Test func `no record reaches the terminal as more than text`() async throws {
        let store = MemoryStore()
        try await prepare(store, .made(holder: "east", preferred: "\u{1B}[2J\nevil"))
        var options = TransferCommand.Options()
        options.clear = true
        let console = TestConsole()
        _ = try await TransferCommand.run(options, namespace: "team-a", store: store, console: console.console())
        #expect(console.out == "team-a no longer prefers ?[2J?evil\n")
    }

    @Test func `clears the preference only`() async throws {
        let store = MemoryStore()
        let before = LeaseRecord.made(holder: "east", preferred: "west", wanted: "west")
        try await prepare(store, before)
        var options = TransferCommand.Options()
        options.clear = true
        let console = TestConsole()
        #expect(
            try await TransferCommand.run(options, namespace: "team-a", store: store, console: console.console()) == 0)
        #expect(console.out == "team-a no longer prefers west\n")
        let after = try #require(try await store.lease("team-a"))
        #expect(after.preferredHolder == nil)
        #expect(after.wantedBy == "west")
        #expect(after.holderIdentity == "east")
        #expect(try await store.read(.notice) != nil)
        #expect(
            try await TransferCommand.run(options, namespace: "team-a", store: store, console: console.console()) == 0)
        #expect(console.out.hasSuffix("team-a has no preferred holder\n"))
    }
}

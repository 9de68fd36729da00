import Election
import Platform
import Storage
import Testing

@testable import Commands

struct TransferBatchTests {
    /// east leads these; whoever is asked and competes takes what it is asked to, at each list.
    private func election(
        _ namespaces: [String] = ["team-a", "team-b", "team-c"], competing: [String] = ["west"],
        fault: @escaping @Sendable (ScriptedStore.Call, Int) throws -> Void = { _, _ in }
    ) async throws -> ScriptedStore {
        let store = ScriptedStore { call, before, base in
            try fault(call, before)
            guard call == .list(.leases) else { return }
            for object in try await base.list(.leases) {
                guard var record = try? LeaseRecord(parsing: object.body), let wish = record.preferredHolder,
                    wish != record.holderIdentity, competing.contains(wish)
                else { continue }
                (record.holderIdentity, record.uid, record.term) = (wish, "uid-\(wish)", record.term + 1)
                try await base.put(record, of: object.name.name)
            }
        }
        for cluster in ["east", "west", "north"] { try await store.base.put(.made(cluster)) }
        for namespace in namespaces { try await store.base.put(.made(holder: "east"), of: namespace) }
        return store
    }

    private func transfer(
        _ store: any LeaseStore, _ namespaces: [String] = [], all: Bool = false, to target: String? = "west",
        isTerminal: Bool = false
    ) async throws -> (code: Int32, console: TestConsole) {
        let console = TestConsole()
        var options = TransferCommand.Options()
        (options.target, options.clear, options.all) = (target, target == nil, all)
        options.timeout = .milliseconds(100)
        let code = try await TransferCommand.runMany(
            options, namespaces: namespaces, store: store, console: console.console(errorIsTerminal: isTerminal))
        return (code, console)
    }

    @Test func `hands several over at once, with a line for each, and tells the sum`() async throws {
        let store = try await election()
        let (code, console) = try await transfer(store, ["team-a", "team-b"])
        #expect(code == 0)
        #expect(console.out == "west leads 2 of 2 namespaces\n")
        #expect(console.err == "[1/2] west leads team-a (term 8)\n[2/2] west leads team-b (term 8)\n")
        #expect(try await store.base.lease("team-c") == .made(holder: "east"))
    }

    @Test func `draws one line anew on a terminal`() async throws {
        let (_, console) = try await transfer(try await election(), ["team-a", "team-b"], isTerminal: true)
        #expect(console.err == "\r1 of 2 handed over\u{1B}[K\r2 of 2 handed over\u{1B}[K\n")
    }

    @Test func `all means what somebody leads`() async throws {
        let store = try await election()
        try await store.base.put(.made(holder: ""), of: "team-free")
        try await store.base.put(.made(holder: "west"), of: "team-w")
        let (code, console) = try await transfer(store, all: true)
        #expect(code == 0)
        #expect(console.out == "west leads 4 of 4 namespaces\n")
        #expect(console.err.contains("free, so left alone: team-free\n"))
        #expect(console.err.contains("] west leads team-w already (term 7)\n"))
        #expect(try await store.base.lease("team-free") == .made(holder: ""))
    }

    @Test func `what cannot be asked for is named, and costs code 3 but not the others`() async throws {
        let store = try await election()
        try await store.base.put(.leases, "team-x", Array("{}".utf8))
        let (code, console) = try await transfer(store, ["team-a", "team-x", "team-nowhere"])
        #expect(code == 3)
        #expect(console.out == "west leads 1 of 3 namespaces\n")
        #expect(console.err.contains("] team-x: leases/team-x is no lease record, and is left alone"))
        #expect(console.err.contains("] team-nowhere: there is no lease record of team-nowhere"))
    }

    @Test func `what is not done in time is named with what it waits for`() async throws {
        let (code, console) = try await transfer(try await election(competing: []), ["team-a", "team-b"])
        #expect(code == 3)
        #expect(console.out == "west leads 0 of 2 namespaces\n")
        #expect(console.err.contains("[2/2] team-b: not done in time: west has not said that it wants team-b."))
    }

    @Test func `rewrites the notice once for all`() async throws {
        let notices = Locked(0)
        let store = try await election { call, _ in
            if call == .write(.notice) { notices.withLock { $0 += 1 } }
        }
        _ = try await transfer(store, ["team-a", "team-b", "team-c"])
        #expect(notices.withLock { $0 } == 1)
    }

    @Test func `asks the next cluster when one does not say that it wants it`() async throws {
        let store = try await election(competing: ["north"])
        let events = Locked<[TransferBatch.Event]>([])
        let batch = TransferBatch(
            store: store, timeout: .seconds(60), pollInterval: .milliseconds(1), answerTimeout: .zero
        ) { event in events.withLock { $0.append(event) } }
        let result = try await batch.run([.init(namespace: "team-a", targets: ["west", "north"])])
        #expect(result.done == ["team-a"])
        #expect(
            events.withLock { $0 } == [
                .note("west does not say that it wants team-a; asks north"),
                .done(namespace: "team-a", target: "north", term: 8, waited: true),
            ])
    }

    @Test func `does not take a wish that somebody else changed for its own`() async throws {
        let base = try await election(competing: [])
        let store = ScriptedStore { call, before, own in
            guard call == .list(.leases), before == 1 else { return }
            try await own.put(.made(holder: "east", preferred: "north"), of: "team-a")
        }
        for folder in [ObjectName.Folder.members, .leases] {
            for object in try await base.base.list(folder) {
                try await store.base.put(folder, object.name.name, object.body)
            }
        }
        let (code, console) = try await transfer(store, ["team-a", "team-b"])
        #expect(code == 3)
        #expect(console.err.contains("team-a: somebody else changed the preferred holder of team-a to north"))
    }

    @Test func `a store that takes nothing at all ends it with one line`() async throws {
        let store = try await election { call, _ in
            if case .write = call { throw StoreError.failed("no right to write") }
        }
        await #expect(throws: CommandFailure("the store cannot be used: no right to write")) {
            try await transfer(store, ["team-a", "team-b"])
        }
    }

    @Test func `waits on while the store cannot be listed`() async throws {
        let store = try await election { call, before in
            // The first list is this command's own look; the second of the wait fails.
            if call == .list(.leases), before == 1 { throw StoreError.unclear("time-out") }
        }
        let console = TestConsole()
        var options = TransferCommand.Options()
        options.target = "west"
        // Bounds only what fails, on a machine with much else to do.
        options.timeout = .seconds(300)
        #expect(
            try await TransferCommand.runMany(
                options, namespaces: ["team-a", "team-b"], store: store, console: console.console()) == 0)
    }

    @Test func `clears many wishes, and leaves the leaders alone`() async throws {
        let store = try await election(competing: [])
        try await store.base.put(.made(holder: "east", preferred: "west"), of: "team-a")
        try await store.base.put(.made(holder: "west", preferred: "west"), of: "team-b")
        let (code, console) = try await transfer(store, all: true, to: nil)
        #expect(code == 0)
        #expect(console.out == "2 of 2 namespaces prefer no cluster now\n")
        #expect(try await store.base.lease("team-a")?.preferredHolder == nil)
        #expect(try await store.base.lease("team-b")?.holderIdentity == "west")
    }

    @Test func `refuses a cluster that takes no part before it asks for anything`() async throws {
        let store = try await election()
        await #expect(throws: CommandFailure.self) { try await transfer(store, ["team-a", "team-b"], to: "south") }
        #expect(try await store.base.lease("team-a") == .made(holder: "east"))
    }
}

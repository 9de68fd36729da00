import Platform
import Storage
import Testing

@testable import Controller
@testable import Election

/// Before the first write of a lease record arrives, its holder claims it anew.
private final class RacedStore: LeaseStore {
    private let memory: MemoryStore
    private let isRaced = Locked(false)

    init(memory: MemoryStore) { self.memory = memory }

    func read(_ name: ObjectName) async throws(StoreError) -> StoredObject? { try await memory.read(name) }

    func write(_ name: ObjectName, _ body: [UInt8], replacing version: ObjectVersion?) async throws(StoreError)
        -> ObjectVersion
    {
        let isFirst = isRaced.withLock { isRaced in
            defer { isRaced = true }
            return !isRaced
        }
        if isFirst, let object = try await memory.read(name), var record = try? LeaseRecord(parsing: object.body) {
            record.term += 1
            _ = try await memory.write(name, record.encoded(), replacing: object.version)
        }
        return try await memory.write(name, body, replacing: version)
    }

    func list(_ folder: ObjectName.Folder) async throws(StoreError) -> [StoredObject] { try await memory.list(folder) }

    func notices() -> AsyncStream<Void>? { nil }
}

struct PreferredHolderTests {
    private let store = TrialStore()
    private let name = ObjectName(.leases, "team-a")!

    private func putRecord(preferred: String? = nil) async throws {
        let record = LeaseRecord(
            holderIdentity: "east", uid: "u1", incarnation: "i1", claim: "c1", leaseDurationSeconds: 15, term: 7,
            acquireTime: "2026-11-24T10:00:00Z", leaderTransitions: 3, preferredHolder: preferred, write: "w1")
        _ = try await store.memory.write(
            name, record.encoded(), replacing: try await store.memory.read(name)?.version)
    }

    private func record() async throws -> LeaseRecord {
        try LeaseRecord(parsing: try #require(try await store.memory.read(name)).body)
    }

    private func set(_ target: String?) async throws(PreferredHolder.Failure) -> PreferredHolder.Outcome {
        try await PreferredHolder.set(target, of: "team-a", in: store)
    }

    @Test func `a wish changes nothing else in the record, and every cluster is told to look`() async throws {
        try await putRecord()
        let before = try await record()
        let outcome = try await set("west")
        #expect(outcome.isNoticed)
        var after = try await record()
        #expect(outcome.record == after)
        #expect(after.preferredHolder == "west")
        #expect(after.write != before.write, "no two writes have the same bytes")
        (after.preferredHolder, after.write) = (before.preferredHolder, before.write)
        #expect(after == before)
        let notice = try #require(try await store.memory.read(.notice))
        _ = try await set(nil)
        #expect(try await record().preferredHolder == nil)
        #expect(try await store.memory.read(.notice)?.version != notice.version)
    }

    @Test func `a wish that stands already is not written again, but told again`() async throws {
        try await putRecord(preferred: "west")
        let version = try await store.memory.read(name)?.version
        #expect(try await set("west").isNoticed)
        #expect(try await store.memory.read(name)?.version == version)
        #expect(try await store.memory.read(.notice) != nil)
    }

    @Test func `a write whose answer was lost is found, not repeated`() async throws {
        try await putRecord()
        let lost = Locked(false)
        let name = name
        store.setFault { call in
            lost.withLock { isLost in
                guard call == .write(name), !isLost else { return nil }
                isLost = true
                return .answerIsLost
            }
        }
        let writes = Locked(0)
        store.setWitness { call, _ in if call == .write(name) { writes.withLock { $0 += 1 } } }
        #expect(try await set("west").record.preferredHolder == "west")
        #expect(writes.withLock { $0 } == 1)
    }

    @Test func `somebody else's write in between is kept, and the wish is tried again`() async throws {
        try await putRecord()
        let raced = RacedStore(memory: store.memory)
        let outcome = try await PreferredHolder.set("west", of: "team-a", in: raced)
        #expect(outcome.record.term == 8)
        #expect(outcome.record.preferredHolder == "west")
        #expect(try await record() == outcome.record)
    }

    @Test func `a record that others change without end is given up`() async throws {
        try await putRecord()
        let name = name
        store.setFault { $0 == .write(name) ? .unclear : nil }
        await #expect(throws: PreferredHolder.Failure.contested(namespace: "team-a")) { try await set("west") }
        #expect(try await record().preferredHolder == nil)
    }

    @Test func `without a record, with one that cannot be read, or without a store nothing is written`() async throws {
        await #expect(throws: PreferredHolder.Failure.noRecord(namespace: "team-a")) { try await set("west") }
        let nonsense = Array("nonsense".utf8)
        _ = try await store.memory.write(name, nonsense, replacing: nil)
        let error = await #expect(throws: PreferredHolder.Failure.self) { try await set("west") }
        #expect(error.map { "\($0)" }?.hasPrefix("leases/team-a is no lease record, and is left alone: ") == true)
        #expect(try await store.memory.read(name)?.body == nonsense)
        store.setFault { _ in .fails }
        await #expect(throws: PreferredHolder.Failure.store(.failed("the disk is on fire"))) { try await set("west") }
        #expect(try await store.memory.read(.notice) == nil)
    }

    @Test func `a wish that is written counts, even when nobody can be told`() async throws {
        try await putRecord()
        store.setFault { $0 == .write(.notice) ? .unclear : nil }
        let outcome = try await set("west")
        #expect(!outcome.isNoticed)
        #expect(try await record().preferredHolder == "west")
    }
}

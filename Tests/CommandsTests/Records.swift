import Election
import Platform
import Storage

@testable import Commands

/// Microseconds since 1970 of a moment that tests call now: 2026-01-31 12:00:00 UTC.
let noon: Int64 = 1_769_860_800_000_000

extension LeaseRecord {
    static func made(
        holder: String, term: UInt64 = 7, preferred: String? = nil, wanted: String? = nil, incarnation: String? = nil
    ) -> LeaseRecord {
        LeaseRecord(
            holderIdentity: holder, uid: holder.isEmpty ? "" : "uid-\(holder)",
            incarnation: incarnation ?? "run-\(holder)", claim: "claim-1", leaseDurationSeconds: 15, term: term,
            acquireTime: Timestamp.format(microseconds: noon - 60_000_000), leaderTransitions: 3,
            preferredHolder: preferred, wantedBy: wanted, write: "write-1")
    }
}

extension MemberRecord {
    static func made(
        _ cluster: String, state: State = .live, renewed: Int64 = noon - 2_000_000, incarnation: String? = nil
    ) -> MemberRecord {
        MemberRecord(
            cluster: cluster, uid: "uid-\(cluster)", incarnation: incarnation ?? "run-\(cluster)", sequence: 1,
            state: state, quietSeconds: 15, leaseSequence: 1, renewTime: Timestamp.format(microseconds: renewed),
            renewIntervalSeconds: 3)
    }
}

extension LeaseStore {
    /// Puts an object in place, whatever was there.
    func put(_ folder: ObjectName.Folder, _ name: String, _ body: [UInt8]) async throws {
        let name = ObjectName(folder, name)!
        _ = try await write(name, body, replacing: try await read(name)?.version)
    }

    func put(_ member: MemberRecord) async throws { try await put(.members, member.cluster, member.encoded()) }
    func put(_ lease: LeaseRecord, of namespace: String) async throws {
        try await put(.leases, namespace, lease.encoded())
    }

    func lease(_ namespace: String) async throws -> LeaseRecord? {
        try await read(ObjectName(.leases, namespace)!).map { try LeaseRecord(parsing: $0.body) }
    }
}

/// A store that lets a test act as the other clusters, each time this one is about to do something.
struct ScriptedStore: LeaseStore {
    enum Call: Equatable {
        case read(ObjectName)
        case write(ObjectName)
        case list(ObjectName.Folder)
    }

    let base = MemoryStore()
    private let calls = Locked<[Call]>([])
    /// Called before each call is carried out, with how often the same call was made before.
    /// An error from it is the call's answer.
    let script: @Sendable (Call, Int, MemoryStore) async throws -> Void

    init(_ script: @escaping @Sendable (Call, Int, MemoryStore) async throws -> Void) {
        self.script = script
    }

    private func act(_ call: Call) async throws(StoreError) {
        let before = calls.withLock { calls in
            calls.append(call)
            return calls.count { $0 == call } - 1
        }
        do {
            try await script(call, before, base)
        } catch let error as StoreError {
            throw error
        } catch {
            throw .failed("the test's script failed: \(error)")
        }
    }

    func read(_ name: ObjectName) async throws(StoreError) -> StoredObject? {
        try await act(.read(name))
        return try await base.read(name)
    }

    func write(_ name: ObjectName, _ body: [UInt8], replacing version: ObjectVersion?) async throws(StoreError)
        -> ObjectVersion
    {
        try await act(.write(name))
        return try await base.write(name, body, replacing: version)
    }

    func list(_ folder: ObjectName.Folder) async throws(StoreError) -> [StoredObject] {
        try await act(.list(folder))
        return try await base.list(folder)
    }

    func notices() -> AsyncStream<Void>? { nil }
}

private import Platform

/// A store in this process's memory, for tests and trials. Clients share it by sharing the object.
package final class MemoryStore: LeaseStore {
    private struct State {
        var objects: [ObjectName: StoredObject] = [:]
        /// Grows with each write and is never set back, so that a version never returns.
        var writes = 0
        var watchers: [Int: AsyncStream<Void>.Continuation] = [:]
        var watchersEver = 0
    }

    private let state = Locked(State())

    package init() {}

    package func read(_ name: ObjectName) async throws(StoreError) -> StoredObject? {
        state.withLock { $0.objects[name] }
    }

    package func write(_ name: ObjectName, _ body: [UInt8], replacing version: ObjectVersion?) async throws(StoreError)
        -> ObjectVersion
    {
        let (written, watchers) = try state.withLock {
            (state) throws(StoreError) -> (ObjectVersion, [AsyncStream<Void>.Continuation]) in
            guard state.objects[name]?.version == version else { throw .conflict }
            state.writes += 1
            let written = ObjectVersion(String(state.writes))
            state.objects[name] = StoredObject(name: name, version: written, body: body)
            return (written, name == .notice ? Array(state.watchers.values) : [])
        }
        // Outside the lock: a consumer may call the store at once.
        for watcher in watchers { watcher.yield() }
        return written
    }

    package func list(_ folder: ObjectName.Folder) async throws(StoreError) -> [StoredObject] {
        let objects = state.withLock { Array($0.objects.values) }
        return objects.filter { $0.name.folder == folder }.sorted { $0.name.name < $1.name.name }
    }

    package func notices() -> AsyncStream<Void>? {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let watcher = state.withLock { state in
            state.watchersEver += 1
            state.watchers[state.watchersEver] = continuation
            return state.watchersEver
        }
        continuation.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.watchers.removeValue(forKey: watcher) }
        }
        return stream
    }

    /// Deletes an object as an administrator would; the election never does.
    package func delete(_ name: ObjectName) {
        state.withLock { _ = $0.objects.removeValue(forKey: name) }
    }

    /// Opens what follows `memory:`, which is nothing.
    static func opener(_ rest: Substring) throws(StoreAddressError) -> StoreAddress.Opener {
        guard rest.isEmpty else { throw StoreAddressError("memory: takes nothing after the colon") }
        return { _, _, _ in MemoryStore() }
    }
}

import Storage

/// A store that breaks one clause of the contract, to see that checks notice it.
struct FaultyStore: LeaseStore {
    enum Fault: CaseIterable {
        case createsOverExisting
        case ignoresVersions
        case repeatsVersions
        /// Reads show the state before the latest write.
        case readsStale
        case listsStale
        case listsNothing
        case damagesBodies
        case fails
    }

    let fault: Fault
    private let store = MemoryStore()
    private let before = MemoryStore()

    init(_ fault: Fault) {
        self.fault = fault
    }

    func read(_ name: ObjectName) async throws(StoreError) -> StoredObject? {
        switch fault {
        case .readsStale: return try await stale(name)
        case .damagesBodies:
            guard let object = try await store.read(name) else { return nil }
            return StoredObject(name: name, version: object.version, body: object.body + [0])
        case .repeatsVersions:
            guard let object = try await store.read(name) else { return nil }
            return StoredObject(name: name, version: ObjectVersion("1"), body: object.body)
        case .fails: throw .failed("The disk is on fire.")
        default: return try await store.read(name)
        }
    }

    func write(_ name: ObjectName, _ body: [UInt8], replacing version: ObjectVersion?) async throws(StoreError)
        -> ObjectVersion
    {
        let current = try await store.read(name)
        var expected = version
        switch fault {
        case .createsOverExisting where version == nil: expected = current?.version
        case .ignoresVersions where version != nil: expected = current?.version
        case .repeatsVersions where version != nil: expected = current?.version
        default: break
        }
        let written = try await store.write(name, body, replacing: expected)
        if let current {
            // What the version stood for, for reads that come too late to see it.
            let text = Array(current.version.rawValue.utf8) + [0] + current.body
            _ = try await before.write(name, text, replacing: before.read(name)?.version)
        }
        return fault == .repeatsVersions ? ObjectVersion("1") : written
    }

    func list(_ folder: ObjectName.Folder) async throws(StoreError) -> [StoredObject] {
        switch fault {
        case .listsNothing: return []
        case .listsStale:
            var objects: [StoredObject] = []
            for object in try await store.list(folder) {
                if let object = try await stale(object.name) { objects.append(object) }
            }
            return objects
        default: return try await store.list(folder)
        }
    }

    func notices() -> AsyncStream<Void>? { nil }

    private func stale(_ name: ObjectName) async throws(StoreError) -> StoredObject? {
        guard let text = try await before.read(name)?.body, let end = text.firstIndex(of: 0) else { return nil }
        let version = ObjectVersion(String(decoding: text[..<end], as: UTF8.self))
        return StoredObject(name: name, version: version, body: Array(text[(end + 1)...]))
    }
}

import FoundationEssentials
import Storage
import Support
import Testing

/// A kind of store that ``LeaseStoreContract`` is run on. Adding a backend means one entry in ``all``.
struct Backend: Sendable, CustomTestStringConvertible {
    /// Several clients of one empty store, each with nothing in common with the others but the store.
    struct Opened: Sendable {
        let clients: [any LeaseStore]
        /// Deletes an object behind the clients' backs.
        let delete: @Sendable (ObjectName) throws -> Void
    }

    let testDescription: String
    /// Whether it gives notices.
    let hints: Bool
    let open: @Sendable (_ clients: Int) async throws -> Opened

    static let all = [memory, file, gcs]

    static let memory = Backend(testDescription: "MemoryStore", hints: true) { clients in
        let store = MemoryStore()
        return Opened(clients: Array(repeating: store, count: clients), delete: store.delete)
    }

    static let file = Backend(testDescription: "FileStore", hints: true) { clients in
        let directory = try TemporaryDirectory()
        return Opened(
            clients: try (0..<clients).map { _ in try FileStore(directory.path, timeout: .seconds(60)) },
            // The closure also keeps the directory until the test is over.
            delete: { try FileManager.default.removeItem(atPath: "\(directory.path)/\($0)") }
        )
    }

    static let gcs = Backend(testDescription: "GCSStore", hints: false) { clients in
        let emulator = try GCSEmulator(bucket: "bucket")
        let address = try StoreAddress("gs://bucket/some/prefix")
        let access = StoreAccess(environment: ["STORAGE_EMULATOR_HOST": emulator.url])
        var opened: [any LeaseStore] = []
        for _ in 0..<clients { opened.append(try await address.open(timeout: .seconds(60), access: access)) }
        return Opened(clients: opened, delete: { emulator.delete("some/prefix/\($0)", in: "bucket") })
    }
}

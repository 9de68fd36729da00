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

    static let all = [memory, file]

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
}

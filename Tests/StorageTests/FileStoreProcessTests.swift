import Glibc
import Storage
import Testing

/// Several processes on one directory. Each child process is the body of an exit test.
@Suite struct FileStoreProcessTests {
    private static let lease = ObjectName(.leases, "team-a")!

    @Test func `no increment is lost when processes race`() async throws {
        let directory = try TemporaryDirectory()
        let store = try FileStore(directory.path)
        _ = try await store.write(Self.lease, Array("0".utf8), replacing: nil)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    await #expect(processExitsWith: .success) { [path = directory.path as String] in
                        let store = try FileStore(path, timeout: .seconds(60))
                        for _ in 0..<100 { try await increment(Self.lease, in: store) }
                    }
                }
            }
        }
        #expect(try await store.read(Self.lease)?.body == Array("400".utf8))
    }
}

import FoundationEssentials
import Storage
import Support
import Testing

@Suite struct StoreAddressTests {
    @Test(arguments: ["file://", "file:", "file://localhost"])
    func `a file address opens a store in that directory`(prefix: String) async throws {
        let directory = try TemporaryDirectory()
        let address = try StoreAddress("\(prefix)\(directory.path)/a b")
        #expect(address.description == "\(prefix)\(directory.path)/a b")
        let store = try await address.open(timeout: .seconds(60))
        _ = try await store.write(ObjectName(.leases, "team-a")!, [1], replacing: nil)
        #expect(FileManager.default.fileExists(atPath: "\(directory.path)/a b/leases/team-a"))
    }

    @Test func `a relative path starts at the working directory`() async throws {
        let directory = try TemporaryDirectory()
        await #expect(processExitsWith: .success) { [path = directory.path as String] in
            try #require(FileManager.default.changeCurrentDirectoryPath(path))
            let store = try await StoreAddress("file:state/store").open(timeout: .seconds(60))
            _ = try await store.write(ObjectName(.leases, "team-a")!, [1], replacing: nil)
        }
        #expect(FileManager.default.fileExists(atPath: "\(directory.path)/state/store/leases/team-a"))
    }

    @Test func `a store that is not there is made only when asked to`() async throws {
        let directory = try TemporaryDirectory()
        let address = try StoreAddress("file:\(directory.path)/store")
        await #expect(throws: StoreError.self) { try await address.open(timeout: .seconds(60), creating: false) }
        #expect(!FileManager.default.fileExists(atPath: "\(directory.path)/store"))
        // Neither is a directory that holds something else, such as a mistyped one, turned into a store.
        try FileManager.default.createDirectory(atPath: "\(directory.path)/store", withIntermediateDirectories: false)
        await #expect(throws: StoreError.self) { try await address.open(timeout: .seconds(60), creating: false) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(directory.path)/store").isEmpty)
        _ = try await address.open(timeout: .seconds(60))
        _ = try await address.open(timeout: .seconds(60), creating: false)
    }

    @Test func `memory opens a store that nobody else has`() async throws {
        let address = try StoreAddress("memory:")
        let (one, other) = (try await address.open(timeout: .seconds(1)), try await address.open(timeout: .seconds(1)))
        _ = try await one.write(.notice, [1], replacing: nil)
        #expect(try await other.read(.notice) == nil)
    }

    struct Refusal: CustomTestStringConvertible {
        let address: String
        let because: String
        var testDescription: String { address }
    }

    @Test(arguments: [
        Refusal(
            address: "s3://bucket",
            because: """
                s3://bucket is no known store: use gs://BUCKET or gs://BUCKET/PREFIX, file:///DIRECTORY or file:DIRECTORY, \
                memory: (this process only)
                """),
        Refusal(address: "", because: "no known store"),
        Refusal(address: "file", because: "no known store"),
        Refusal(address: "/var/lib/leasehold", because: "no known store"),
        Refusal(address: "FILE:/a", because: "no known store"),
        Refusal(address: "file:", because: "names no directory"),
        Refusal(address: "file://", because: "names no directory"),
        Refusal(address: "file://state/store", because: "write file:state/store"),
        Refusal(address: "file:///a%20b", because: "without % escapes"),
        Refusal(address: "memory:x", because: "takes nothing after the colon"),
    ])
    func `an address that names no store is refused with what to write`(refusal: Refusal) throws {
        let error = try #require(throws: StoreAddressError.self) { try StoreAddress(refusal.address) }
        #expect(error.description.contains(refusal.because))
        #expect(!error.description.contains("\n"))
    }
}

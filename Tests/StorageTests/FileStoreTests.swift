import FoundationEssentials
import Glibc
import Support
import Testing

@testable import Storage

@Suite struct FileStoreTests {
    private let directory: TemporaryDirectory
    private let store: FileStore
    private let lease = ObjectName(.leases, "team-a")!

    init() throws {
        directory = try TemporaryDirectory()
        store = try FileStore(directory.path, timeout: .seconds(60))
    }

    // MARK: - What people see and edit

    @Test func `an object's file shows the body under a line of JSON with the write's id`() async throws {
        _ = try await store.write(lease, Array("{\"term\":1}\n".utf8), replacing: nil)
        let lines = try content("leases/team-a").split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 3)
        #expect(lines[0].wholeMatch(of: /\{"version":"[0-9a-f]{32}"\}/) != nil)
        #expect(lines[1...] == ["{\"term\":1}", ""])
    }

    @Test func `a file that was edited by hand has another version`() async throws {
        let version = try await store.write(lease, Array("{\"term\":1}".utf8), replacing: nil)
        let edited = try content("leases/team-a").replacing("{\"term\":1}", with: "{\"term\":2}")
        try put(edited, "leases/team-a")
        let read = try #require(try await store.read(lease))
        #expect(read.version != version)
        #expect(read.body == Array("{\"term\":2}".utf8))
        await #expect(throws: StoreError.conflict) { try await store.write(lease, [], replacing: version) }
        _ = try await store.write(lease, [], replacing: read.version)
    }

    @Test func `old bytes that are put back have another version`() async throws {
        let version = try await store.write(lease, [1], replacing: nil)
        try FileManager.default.copyItem(atPath: file("leases/team-a"), toPath: file("backup"))
        _ = try await store.write(lease, [2], replacing: version)
        try FileManager.default.removeItem(atPath: file("leases/team-a"))
        try FileManager.default.moveItem(atPath: file("backup"), toPath: file("leases/team-a"))
        let read = try #require(try await store.read(lease))
        #expect(read.body == [1])
        #expect(read.version != version)
        await #expect(throws: StoreError.conflict) { try await store.write(lease, [3], replacing: version) }
    }

    @Test(arguments: [
        "", "{\"term\":1}", "{\"version\":\"\"}\nx", "{\"version\":\"\(String(repeating: "g", count: 32))\"}\n",
    ])
    func `a file made by hand is an object with all its bytes as the body`(text: String) async throws {
        try put(text, "leases/team-a")
        let read = try #require(try await store.read(lease))
        #expect(read.body == Array(text.utf8))
        #expect(try await store.list(.leases) == [read])
        await #expect(throws: StoreError.conflict) { try await store.write(lease, [1], replacing: nil) }
        _ = try await store.write(lease, [1], replacing: read.version)
        #expect(try await store.read(lease)?.body == [1])
    }

    // MARK: - Foreign and broken files

    @Test func `what cannot be read is shown as such, is never replaced, and does not hide the others`() async throws {
        let good = try await store.write(lease, [1], replacing: nil)
        try FileManager.default.createDirectory(atPath: file("leases/directory"), withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(
            atPath: file("leases/link"), withDestinationPath: file("leases/team-a"))
        try #require(unsafe mkfifo(file("leases/pipe"), 0o600) == 0)
        try put(String(repeating: "x", count: StoreDirectory.bodyBytesMax + 100), "leases/huge")

        let listed = try await store.list(.leases)
        #expect(listed.map(\.name.name) == ["directory", "huge", "link", "pipe", "team-a"])
        #expect(listed.last == StoredObject(name: lease, version: good, body: [1]))
        for object in listed.dropLast() {
            #expect(object.body.isEmpty)
            #expect(try await store.read(object.name) == object, "its version stays")
            await #expect(throws: StoreError.conflict) { try await store.write(object.name, [2], replacing: nil) }
            let text = try await failure { try await store.write(object.name, [2], replacing: object.version) }
            #expect(text.contains("\(directory.path)/\(object.name) was not replaced"))
            #expect(try await store.read(object.name) == object)
        }
    }

    @Test func `files whose names no object has are left alone`() async throws {
        for name in ["README", "team-a~", ".team-a.swp", "a b"] { try put("x", "leases/\(name)") }
        try put("x", "notes")
        #expect(try await store.list(.leases).isEmpty)
        _ = try await store.write(lease, [1], replacing: nil)
        for name in ["leases/README", "leases/team-a~", "leases/.team-a.swp", "leases/a b", "notes"] {
            #expect(try content(name) == "x")
        }
    }

    // MARK: - What a killed process leaves

    @Test func `a half-written file is no object, and the next write takes it away`() async throws {
        let version = try await store.write(lease, [1], replacing: nil)
        try put("{\"version\":\"0123", "leases/.new")
        #expect(try await store.list(.leases) == [StoredObject(name: lease, version: version, body: [1])])
        _ = try await store.write(lease, [2], replacing: version)
        #expect(try entries("leases") == ["team-a"])
    }

    @Test func `whoever reads next completes a write that may not be on the disk`() async throws {
        let version = try await store.write(lease, [1], replacing: nil)
        for call in 0..<3 {
            try put("", "leases/.unsynced")
            switch call {
            case 0: #expect(try await store.read(lease)?.version == version)
            case 1: #expect(try await store.list(.leases).map(\.version) == [version])
            default: await #expect(throws: StoreError.conflict) { try await store.write(lease, [2], replacing: nil) }
            }
            #expect(try entries("leases") == ["team-a"])
        }
    }

    @Test func `nothing is left beside the objects after writes and refused writes`() async throws {
        let version = try await store.write(lease, [1], replacing: nil)
        await #expect(throws: StoreError.conflict) { try await store.write(lease, [2], replacing: nil) }
        _ = try await store.write(lease, [3], replacing: version)
        #expect(try entries("leases") == ["team-a"])
        #expect(try entries("members").isEmpty)
        #expect(try entries("") == ["leases", "members"])
    }

    // MARK: - The directory

    @Test func `a missing directory is made with its parents, for its owner only`() async throws {
        let path = file("state/leasehold/store")
        let store = try FileStore(path, timeout: .seconds(60))
        _ = try await store.write(lease, [1], replacing: nil)
        for made in ["state", "state/leasehold/store", "state/leasehold/store/leases"] {
            var status = stat()
            try #require(unsafe stat(file(made), &status) == 0)
            #expect(status.st_mode & 0o777 == 0o700)
        }
    }

    @Test func `a path that is a file is refused`() async throws {
        try put("x", "taken")
        let text = try await failure { try FileStore(file("taken")) }
        #expect(text.contains("\(directory.path)/taken cannot be opened: Not a directory. Name a directory"))
    }

    @Test func `a folder that is a link is refused`() async throws {
        try FileManager.default.createDirectory(atPath: file("other/elsewhere"), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: file("other/leases"), withDestinationPath: file("other/elsewhere"))
        let text = try await failure { try FileStore(file("other")) }
        #expect(text.contains("\(directory.path)/other/leases cannot be opened"))
    }

    @Test func `a heartbeat does not wait for all the lease calls that were made before`() async throws {
        let other = unsafe open(directory.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(other) }
        try #require(other >= 0 && flock(other, LOCK_EX) == 0)
        let versions = try await withThrowingTaskGroup(of: (ObjectName, ObjectVersion).self) { [store] group in
            let names = (0..<64).map { ObjectName(.leases, "team-\($0)")! } + [ObjectName(.members, "east")!]
            for (index, name) in names.enumerated() {
                group.addTask { (name, try await store.write(name, [1], replacing: nil)) }
                while store.callsUnderWay <= index { try await Task.sleep(for: .milliseconds(1)) }
            }
            flock(other, LOCK_UN)
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        // A version names the file's change time, which is coarse: as many as were written within some milliseconds.
        func time(_ version: ObjectVersion) -> [Int] {
            version.rawValue.split(separator: "-")[1].split(separator: ".").compactMap { Int($0) }
        }
        let heartbeat = time(try #require(versions[ObjectName(.members, "east")!]))
        #expect(versions.values.count { time($0).lexicographicallyPrecedes(heartbeat) } <= 2)
    }

    @Test func `a store that is removed while in use is an error and not an empty store`() async throws {
        _ = try await store.write(lease, [1], replacing: nil)
        try FileManager.default.removeItem(atPath: directory.path)
        let gone = try await failures()
        #expect(
            gone.allSatisfy {
                $0.contains("is not there any more")
                    && $0.contains("Put it back. To begin a new store, end all clusters that use this one first.")
            })

        let restarted = try FileStore(directory.path, timeout: .seconds(60))
        let exchanged = try await failures()
        #expect(exchanged.allSatisfy { $0.contains("is another directory than the one opened at the start") })
        #expect(try await restarted.list(.leases).isEmpty)
    }

    @Test func `a folder that is removed while in use is an error, and the other one goes on`() async throws {
        _ = try await store.write(lease, [1], replacing: nil)
        try FileManager.default.removeItem(atPath: file("leases"))
        #expect(try await failures().allSatisfy { $0.contains("\(directory.path)/leases is not there any more") })
        _ = try await store.write(.notice, [1], replacing: nil)
    }

    @Test func `a store on a network file system is refused and nothing is made in it`() async throws {
        let path = file("mount")
        let text = try await failure {
            try FileStore(path, timeout: .seconds(60)) { _ in FileSystemKind(magic: 0x6969) }
        }
        #expect(text.contains("\(path) is on NFS") && text.contains("Use a local disk"))
        #expect(try entries("mount").isEmpty)
    }

    @Test(
        arguments: [
            (0x6969, "NFS"), (0xFF53_4D42, "SMB/CIFS"), (0xFE53_4D42, "SMB/CIFS"), (0x6573_5546, "FUSE"),
            (0x0102_1997, "9p"), (0x00C3_6400, "Ceph"), (0x1234_5678, "type 0x12345678"), (0x4D44, "type 0x4d44"),
        ] as [(UInt32, String)])
    func `network and unknown file systems are refused by name`(magic: UInt32, name: String) {
        #expect(FileSystemKind(magic: magic) == .refused(name))
    }

    // MARK: - Time limits

    @Test func `a call that does not get the lock in time fails, and has no effect later`() async throws {
        let hasty = try FileStore(directory.path, timeout: .seconds(1))
        let other = unsafe open(directory.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        try #require(other >= 0 && flock(other, LOCK_EX) == 0)
        let read = try await failure { try await hasty.read(lease) }
        let written = try await failure { try await hasty.write(lease, [1], replacing: nil) }
        for text in [read, written] {
            #expect(text.contains("waiting for the lock on \(directory.path), which another process holds"))
        }
        close(other)
        #expect(try await store.read(lease) == nil)
        _ = try await store.write(lease, [2], replacing: nil)
        #expect(try await store.read(lease)?.body == [2])
    }

    @Test func `a body over the limit is refused`() async throws {
        let body = [UInt8](repeating: 0, count: StoreDirectory.bodyBytesMax + 1)
        #expect(try await failure { try await store.write(lease, body, replacing: nil) }.contains("1048577 bytes"))
        #expect(try await store.read(lease) == nil)
    }

    // MARK: - Help

    private func file(_ name: String) -> String { "\(directory.path)/\(name)" }

    private func content(_ name: String) throws -> String {
        try String(contentsOf: URL(filePath: file(name)), encoding: .utf8)
    }

    /// Writes in place, as a shell's `>` does.
    private func put(_ text: String, _ name: String) throws {
        try text.write(to: URL(filePath: file(name)), atomically: false, encoding: .utf8)
    }

    private func entries(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: file(folder)).sorted()
    }

    /// The texts with which each kind of call fails.
    private func failures() async throws -> [String] {
        [
            try await failure { try await store.read(lease) },
            try await failure { try await store.list(.leases) },
            try await failure { try await store.write(lease, [9], replacing: nil) },
        ]
    }
}

/// The text of the definite failure that `call` ends in.
func failure<Result>(
    sourceLocation: SourceLocation = #_sourceLocation, _ call: () async throws -> Result
) async throws -> String {
    let error = await #expect(throws: StoreError.self, sourceLocation: sourceLocation) { _ = try await call() }
    return try text(of: error, sourceLocation)
}

private func text(of error: StoreError?, _ sourceLocation: SourceLocation) throws -> String {
    guard case .failed(let text) = error else {
        Issue.record("\(error as Any) is not the definite failure", sourceLocation: sourceLocation)
        return ""
    }
    return text
}

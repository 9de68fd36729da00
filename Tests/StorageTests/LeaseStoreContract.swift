import Storage
import Testing

/// What every backend must do, and the election relies on.
@Suite struct LeaseStoreContract {
    private let lease = ObjectName(.leases, "team-a")!
    private let member = ObjectName(.members, "east")!

    @Test(arguments: Backend.all)
    func `an object that nobody wrote is absent`(backend: Backend) async throws {
        let opened = try await backend.open(1)
        let store = opened.clients[0]
        #expect(try await store.read(lease) == nil)
        #expect(try await store.list(.leases).isEmpty)
        #expect(try await store.list(.members).isEmpty)
    }

    @Test(arguments: Backend.all)
    func `what one client wrote, the others read, with the version that the write gave`(backend: Backend) async throws {
        let opened = try await backend.open(3)
        let version = try await opened.clients[0].write(lease, Array("{\"term\":1}".utf8), replacing: nil)
        for client in opened.clients {
            let expected = StoredObject(name: lease, version: version, body: Array("{\"term\":1}".utf8))
            #expect(try await client.read(lease) == expected)
            #expect(try await client.list(.leases) == [expected])
        }
    }

    @Test(arguments: Backend.all)
    func `an object that exists is not created again`(backend: Backend) async throws {
        let opened = try await backend.open(2)
        let (one, other) = (opened.clients[0], opened.clients[1])
        let version = try await one.write(lease, [1], replacing: nil)
        await #expect(throws: StoreError.conflict) { try await other.write(lease, [2], replacing: nil) }
        #expect(try await other.read(lease) == StoredObject(name: lease, version: version, body: [1]))
    }

    @Test(arguments: Backend.all)
    func `a write replaces only the version that it names`(backend: Backend) async throws {
        let opened = try await backend.open(2)
        let (one, other) = (opened.clients[0], opened.clients[1])
        let first = try await one.write(lease, [1], replacing: nil)
        let second = try await other.write(lease, [2], replacing: first)
        await #expect(throws: StoreError.conflict) { try await one.write(lease, [3], replacing: first) }
        #expect(try await one.read(lease) == StoredObject(name: lease, version: second, body: [2]))
    }

    @Test(arguments: Backend.all)
    func `an absent object is not replaced`(backend: Backend) async throws {
        let opened = try await backend.open(2)
        let (one, other) = (opened.clients[0], opened.clients[1])
        let version = try await one.write(member, [1], replacing: nil)
        await #expect(throws: StoreError.conflict) { try await other.write(lease, [2], replacing: version) }
        #expect(try await other.read(lease) == nil)
    }

    @Test(arguments: Backend.all)
    func `writing the same bytes again gives another version`(backend: Backend) async throws {
        let opened = try await backend.open(1)
        var versions: Set<ObjectVersion> = []
        var version: ObjectVersion?
        for _ in 0..<20 {
            let next = try await opened.clients[0].write(lease, [7], replacing: version)
            #expect(versions.insert(next).inserted)
            version = next
        }
    }

    @Test(arguments: Backend.all)
    func `a version does not come back when the object was deleted and made again`(backend: Backend) async throws {
        let opened = try await backend.open(2)
        let (one, other) = (opened.clients[0], opened.clients[1])
        var versions: Set<ObjectVersion> = []
        for _ in 0..<5 {
            let version = try await one.write(lease, [7], replacing: nil)
            #expect(versions.insert(version).inserted)
            try opened.delete(lease)
            #expect(try await other.read(lease) == nil)
            #expect(try await other.list(.leases).isEmpty)
            await #expect(throws: StoreError.conflict) { try await other.write(lease, [8], replacing: version) }
        }
    }

    @Test(arguments: Backend.all, [0, 1, 4095, 65536, 1 << 20])
    func `a body of any size comes back byte by byte`(backend: Backend, bytes: Int) async throws {
        let opened = try await backend.open(2)
        let (one, other) = (opened.clients[0], opened.clients[1])
        let body = (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
        let version = try await one.write(lease, body, replacing: nil)
        #expect(try await other.read(lease) == StoredObject(name: lease, version: version, body: body))
        #expect(try await other.list(.leases).map(\.body) == [body])
    }

    @Test(arguments: Backend.all)
    func `the folders are apart`(backend: Backend) async throws {
        let opened = try await backend.open(1)
        let store = opened.clients[0]
        let inMembers = ObjectName(.members, "same")!
        let inLeases = ObjectName(.leases, "same")!
        let version = try await store.write(inMembers, [1], replacing: nil)
        #expect(try await store.read(inLeases) == nil)
        _ = try await store.write(inLeases, [2], replacing: nil)
        #expect(try await store.list(.members) == [StoredObject(name: inMembers, version: version, body: [1])])
    }

    @Test(arguments: Backend.all)
    func `a list has every one of a thousand objects, in order`(backend: Backend) async throws {
        let opened = try await backend.open(2)
        var expected: [StoredObject] = []
        for number in 0..<1000 {
            let name = ObjectName(.leases, "team-\(number)")!
            let body = Array("\(number)".utf8)
            let version = try await opened.clients[0].write(name, body, replacing: nil)
            expected.append(StoredObject(name: name, version: version, body: body))
        }
        expected.sort { $0.name.name.utf8.lexicographicallyPrecedes($1.name.name.utf8) }
        #expect(try await opened.clients[1].list(.leases) == expected)
    }

    @Test(arguments: Backend.all)
    func `names of every allowed form are kept apart`(backend: Backend) async throws {
        let opened = try await backend.open(1)
        let store = opened.clients[0]
        let long = String(repeating: "n", count: 253)
        let names = ["0", "a", "a.b", "a-b", "ab", long, "~notice", "~probe"].map { ObjectName(.members, $0)! }
        for (number, name) in names.enumerated() {
            _ = try await store.write(name, [UInt8(number)], replacing: nil)
        }
        for (number, name) in names.enumerated() {
            #expect(try await store.read(name)?.body == [UInt8(number)])
        }
        let listed = try await store.list(.members).map(\.name)
        #expect(listed == names.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
    }

    @Test(.timeLimit(.minutes(1)), arguments: Backend.all.filter(\.hints))
    func `a rewritten notice gives a hint to every client that waits for one`(backend: Backend) async throws {
        let opened = try await backend.open(3)
        let streams = try opened.clients.map { try #require($0.notices()) }
        let first = try await opened.clients[0].write(.notice, [1], replacing: nil)
        for stream in streams {
            for await _ in stream { break }
        }
        let again = try #require(opened.clients[1].notices())
        _ = try await opened.clients[2].write(.notice, [2], replacing: first)
        for await _ in again { break }
    }

    @Test(arguments: Backend.all)
    func `no increment is lost when two clients race`(backend: Backend) async throws {
        let opened = try await backend.open(2)
        _ = try await opened.clients[0].write(lease, Array("0".utf8), replacing: nil)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in opened.clients {
                group.addTask {
                    for _ in 0..<500 { try await increment(lease, in: client) }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await opened.clients[0].read(lease)?.body == Array("1000".utf8))
    }

    @Test(arguments: Backend.all)
    func `an object that is being rewritten is in every list, and never goes back`(backend: Backend) async throws {
        let opened = try await backend.open(2)
        let (writer, reader) = (opened.clients[0], opened.clients[1])
        let names = (0..<20).map { ObjectName(.members, "m\($0)")! }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var versions: [ObjectName: ObjectVersion] = [:]
                for round in 0...10 {
                    for name in names {
                        versions[name] = try await writer.write(name, [UInt8(round)], replacing: versions[name])
                    }
                }
            }
            group.addTask {
                var last: [ObjectName: UInt8] = [:]
                while last.count < names.count || last.values.contains(where: { $0 < 10 }) {
                    try Task.checkCancellation()
                    let listed = try await reader.list(.members).map { ($0.name, try #require($0.body.first)) }
                    let now = Dictionary(uniqueKeysWithValues: listed)
                    for (name, round) in last {
                        #expect(try #require(now[name], "\(name) was left out") >= round)
                    }
                    last = now
                }
            }
            try await group.waitForAll()
        }
    }
}

/// Adds one to the decimal number in an object, as often as it takes.
func increment(_ name: ObjectName, in store: any LeaseStore) async throws {
    while true {
        let seen = try #require(try await store.read(name))
        let number = try #require(Int(String(decoding: seen.body, as: UTF8.self)))
        do throws(StoreError) {
            _ = try await store.write(name, Array("\(number + 1)".utf8), replacing: seen.version)
            return
        } catch {
            // Not as a pattern after `catch`: that crashes the compiler (Swift 6.3.1).
            guard error == .conflict else { throw error }
        }
    }
}

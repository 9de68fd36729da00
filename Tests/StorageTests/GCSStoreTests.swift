import FoundationEssentials
import Platform
import Support
import Testing

@testable import Storage

@Suite struct GCSStoreTests {
    private let lease = GCSTrial.lease
    /// In several lines, as the election writes them for people.
    private let record = Array("{\n  \"holderIdentity\" : \"east\",\n  \"term\" : 7\n}\n".utf8)

    // MARK: - What is written

    @Test func `an object is named by the prefix, is never cached, and keeps its record as metadata`() async throws {
        let trial = try GCSTrial()
        _ = try await trial.store.write(lease, record, replacing: nil)
        #expect(trial.emulator.names(in: GCSTrial.bucket) == ["some/prefix/leases/team-a"])
        #expect(trial.body(of: lease) == record)
        let metadata = trial.emulator.metadata(of: GCSTrial.key(lease), in: GCSTrial.bucket)
        #expect(metadata == ["record": #"{\n  "holderIdentity" : "east",\n  "term" : 7\n}"#])
        #expect(trial.emulator.cacheControl(of: GCSTrial.key(lease), in: GCSTrial.bucket) == "no-store")
        let write = try #require(trial.requests(.write).first)
        #expect(write.query["ifGenerationMatch"] == "0")
    }

    struct Body: CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]

        init(_ testDescription: String, _ bytes: some Sequence<UInt8>) {
            (self.testDescription, self.bytes) = (testDescription, Array(bytes))
        }
    }

    @Test(arguments: [
        Body("longer than metadata may be", repeatElement(UInt8(ascii: "a"), count: 9000)),
        Body("longer with its lines marked", repeatElement(UInt8(ascii: "\n"), count: 5000)),
        Body("beyond ASCII", "caf\u{e9}".utf8), Body("no text", [0xFF]), Body("an empty line", [10]),
        Body("a control character", "a\u{7f}".utf8), Body("nothing", []),
    ])
    func `a body that metadata cannot carry safely is kept all the same`(body: Body) async throws {
        let trial = try GCSTrial()
        let version = try await trial.store.write(lease, body.bytes, replacing: nil)
        #expect(trial.emulator.metadata(of: GCSTrial.key(lease), in: GCSTrial.bucket) == nil)
        let object = StoredObject(name: lease, version: version, body: body.bytes)
        #expect(try await trial.store.read(lease) == object)
        #expect(try await trial.store.list(.leases) == [object])
    }

    @Test(arguments: ["a", "a\n", "a\n\n", "\n\na", "\"\\\u{20}~\n", #"a\nb\\n\"#, "a\\\nb\n"])
    func `a body comes back from its metadata with exactly its line feeds`(text: String) async throws {
        let trial = try GCSTrial()
        _ = try await trial.store.write(lease, Array(text.utf8), replacing: nil)
        let mark = trial.emulator.mark
        #expect(try await trial.store.read(lease)?.body == Array(text.utf8))
        #expect(trial.emulator.counts(since: mark) == [.get: 1])
    }

    @Test func `a body that is too large for a record is refused before it is sent`() async throws {
        let trial = try GCSTrial()
        let body = [UInt8](repeating: 1, count: (1 << 20) + 1)
        let (ending, text) = await Ending.of { () async throws(StoreError) in
            try await trial.store.write(lease, body, replacing: nil)
        }
        #expect(ending == .failed)
        #expect(text.contains("gs://trial-bucket/some/prefix/leases/team-a was not written: 1048577 bytes"))
        #expect(trial.emulator.requests().isEmpty)
    }

    @Test func `a version that no generation can be is a conflict, and nothing is sent`() async throws {
        let trial = try GCSTrial()
        _ = try await trial.store.write(lease, record, replacing: nil)
        let mark = trial.emulator.mark
        for version in ["", "0", "-1", "abc", "1&x=2", "01", "9223372036854775808"] {
            await #expect(throws: StoreError.conflict) {
                try await trial.store.write(lease, [1], replacing: ObjectVersion(version))
            }
        }
        #expect(trial.emulator.requests(since: mark).isEmpty)
    }

    // MARK: - What it costs

    @Test func `pages of a long list are asked for at once, once it is known where they begin`() async throws {
        let trial = try GCSTrial()
        try await write(3500, to: trial)
        let first = try await trial.store.list(.leases)
        #expect(trial.requests(.list).count == 4)

        let mark = trial.emulator.mark
        let gate = Gate()
        trial.emulator.inject(.hold(gate), count: nil) { $0.kind == .list }
        let listing = Task { try await trial.store.list(.leases) }
        // All of them wait, and none was answered.
        await gate.reached(by: 4)
        gate.open()
        #expect(try await listing.value == first)
        #expect(first.count == 3500 && Set(first.map(\.name)).count == 3500)
        #expect(trial.emulator.counts(since: mark) == [.list: 4])
    }

    @Test func `a list that grows and shrinks is complete, wherever it was split`() async throws {
        let trial = try GCSTrial()
        func put(_ numbers: Range<Int>) {
            for number in numbers { trial.put([], at: ObjectName(.leases, "n\(number)")!) }
        }
        func names() async throws -> [String] { try await trial.store.list(.leases).map(\.name.name) }
        put(0..<2500)
        for change in [0..<1, 2500..<5000, 5000..<5001] {
            put(change)
            let expected = trial.emulator.names(in: GCSTrial.bucket).map { String($0.split(separator: "/").last!) }
            #expect(try await names() == expected)
        }
        for number in 3..<5001 {
            trial.emulator.delete(GCSTrial.key(ObjectName(.leases, "n\(number)")!), in: GCSTrial.bucket)
        }
        #expect(try await names() == ["n0", "n1", "n2"])
        let mark = trial.emulator.mark
        #expect(try await names() == ["n0", "n1", "n2"])
        #expect(trial.emulator.counts(since: mark) == [.list: 1])
    }

    /// The list request with this number from now on fails.
    private func refuseList(_ number: Int, of trial: GCSTrial) {
        let seen = Locked(0)
        trial.emulator.inject(.answer(403)) { request in
            request.kind == .list
                && seen.withLock {
                    $0 += 1
                    return $0 == number
                }
        }
    }

    @Test func `a list that has failed for want of time is split where it had come to`() async throws {
        let trial = try GCSTrial()
        try await write(3500, to: trial)
        refuseList(3, of: trial)
        await #expect(throws: StoreError.self) { try await trial.store.list(.leases) }
        let mark = trial.emulator.mark
        #expect(try await trial.store.list(.leases).count == 3500)
        let begins = trial.requests(.list, since: mark).filter { $0.query["pageToken"] == nil }
        #expect(begins.count { $0.query["startOffset"] != nil } == 2, "two pages were known")
        #expect(begins.count == 3)
    }

    @Test func `short pages of a list that has failed do not become as many parts of the next one`() async throws {
        let trial = try GCSTrial()
        var settings = GCSEmulator.BucketSettings()
        settings.pageSizeMax = 100
        trial.emulator.makeBucket(GCSTrial.bucket, settings)
        for number in 0..<1000 { trial.put([], at: ObjectName(.leases, "n\(number)")!) }
        refuseList(9, of: trial)
        await #expect(throws: StoreError.self) { try await trial.store.list(.leases) }
        let mark = trial.emulator.mark
        #expect(try await trial.store.list(.leases).count == 1000)
        let begins = trial.requests(.list, since: mark).filter { $0.query["pageToken"] == nil }
        #expect(begins.count == 2, "half a part is one part, and what follows another")
    }

    @Test func `who writes again whatever the answer is slowed down when an object takes no more`() async throws {
        let trial = try GCSTrial()
        trial.emulator.limitsMutations = true
        var version = try await trial.store.write(lease, record, replacing: nil)
        for _ in 0..<2 {
            let mark = trial.emulator.mark
            while true {
                do throws(StoreError) {
                    version = try await trial.store.write(lease, record, replacing: version)
                    break
                } catch {
                    guard case .unclear = error else { throw error }
                }
            }
            // At the pace of the answers there would be hundreds within the second that it takes.
            #expect(trial.emulator.counts(since: mark)[.write] ?? 0 <= 12)
        }
    }

    @Test func `a thousand records are listed in one request, and one more costs a second`() async throws {
        let trial = try GCSTrial()
        try await write(1000, to: trial)
        var mark = trial.emulator.mark
        #expect(try await trial.store.list(.leases).count == 1000)
        #expect(trial.emulator.counts(since: mark) == [.list: 1])
        _ = try await trial.store.write(ObjectName(.leases, "zz-last")!, record, replacing: nil)
        mark = trial.emulator.mark
        #expect(try await trial.store.list(.leases).last?.name.name == "zz-last")
        #expect(trial.emulator.counts(since: mark) == [.list: 2])
    }

    @Test func `a record is read and written with one request each`() async throws {
        let trial = try GCSTrial()
        let version = try await trial.store.write(lease, record, replacing: nil)
        #expect(trial.emulator.counts() == [.write: 1])
        let mark = trial.emulator.mark
        #expect(try await trial.store.read(lease)?.version == version)
        #expect(trial.emulator.counts(since: mark) == [.get: 1])
    }

    private func write(_ count: Int, to trial: GCSTrial) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count {
                if number >= 16 { try await group.next() }
                group.addTask { [record] in
                    _ = try await trial.store.write(ObjectName(.leases, "n\(number)")!, record, replacing: nil)
                }
            }
            try await group.waitForAll()
        }
    }

    // MARK: - What others do to the objects

    @Test func `metadata that is not the object's content is not believed`() async throws {
        let trial = try GCSTrial()
        for (number, metadata) in [
            nil, [:], ["record": "forged!"], ["record": "content and more"], ["record": #"content\"#],
            ["record": #"con\tent"#], ["other": "content"],
        ].enumerated() as EnumeratedSequence<[[String: String]?]> {
            let name = ObjectName(.leases, "n\(number)")!
            trial.put(Array("content".utf8), at: name, metadata: metadata)
            #expect(try await trial.store.read(name)?.body == Array("content".utf8))
        }
        #expect(try await trial.store.list(.leases).map(\.body) == Array(repeating: Array("content".utf8), count: 7))
    }

    @Test func `an object made by hand is replaced by its version as any other`() async throws {
        let trial = try GCSTrial()
        trial.put(record, at: lease)
        let found = try #require(try await trial.store.read(lease))
        let version = try await trial.store.write(lease, [1], replacing: found.version)
        #expect(try await trial.store.read(lease) == StoredObject(name: lease, version: version, body: [1]))
    }

    @Test func `names that are no object names are left alone`() async throws {
        let trial = try GCSTrial()
        for name in [
            "leases/A", "leases/a/b", "leases/", "leases/.new", "leases", "leases2/a", "members/~~", "x",
            "leases/\u{301}team-b",
        ] {
            trial.emulator.put(record, at: GCSTrial.prefix + name, in: GCSTrial.bucket)
        }
        trial.emulator.put(record, at: "leases/elsewhere", in: GCSTrial.bucket)
        let version = try await trial.store.write(lease, record, replacing: nil)
        #expect(try await trial.store.list(.leases) == [StoredObject(name: lease, version: version, body: record)])
        #expect(try await trial.store.list(.members).isEmpty)
    }

    @Test func `an object that is too large is there, empty, and never replaced`() async throws {
        let trial = try GCSTrial()
        trial.put([UInt8](repeating: 1, count: (1 << 20) + 1), at: lease)
        let found = try #require(try await trial.store.read(lease))
        #expect(found.body.isEmpty)
        #expect(try await trial.store.list(.leases) == [found])
        #expect(trial.requests(.read).isEmpty)
        let (ending, text) = await Ending.of { () async throws(StoreError) in
            try await trial.store.write(lease, record, replacing: found.version)
        }
        #expect(ending == .failed)
        #expect(text.contains("gs://trial-bucket/some/prefix/leases/team-a was not replaced"))
        await #expect(throws: StoreError.conflict) { try await trial.store.write(lease, record, replacing: nil) }
        // Mended by hand, it is a record again.
        trial.put(record, at: lease)
        #expect(try await trial.store.read(lease)?.body == record)
    }

    @Test func `an object that may not be read hides no other`() async throws {
        let trial = try GCSTrial()
        let secret = ObjectName(.leases, "secret")!
        trial.put(record, at: secret)
        trial.put(record, at: lease)
        trial.emulator.inject(.answer(403), count: nil) { $0.kind == .read && $0.object.hasSuffix("secret") }
        let listed = try await trial.store.list(.leases)
        #expect(listed.map(\.name) == [secret, lease])
        #expect(listed.map(\.body) == [[], record])
        #expect(try await trial.store.read(secret) == listed[0])
        let (ending, _) = await Ending.of { () async throws(StoreError) in
            try await trial.store.write(secret, record, replacing: listed[0].version)
        }
        #expect(ending == .failed)
    }

    @Test func `an object that is replaced while it is read comes back whole, as it was or as it is`() async throws {
        let trial = try GCSTrial()
        let old = [UInt8](repeating: 1, count: 100)
        let new = [UInt8](repeating: 2, count: 200)
        trial.put(old, at: lease)
        let gate = Gate()
        trial.emulator.inject(.hold(gate)) { $0.kind == .read }
        let reading = Task { try await trial.store.read(GCSTrial.lease) }
        await gate.reached()
        trial.put(new, at: lease)
        gate.open()
        #expect(try await reading.value?.body == new)

        let (second, listGate) = (try GCSTrial(), Gate())
        second.put(old, at: lease)
        second.emulator.inject(.hold(listGate)) { $0.kind == .read }
        let listing = Task { try await second.store.list(.leases) }
        await listGate.reached()
        second.put(new, at: lease)
        listGate.open()
        #expect(try await listing.value.map(\.body) == [new])
    }

    @Test func `an object that is deleted while a list reads it is left out`() async throws {
        let trial = try GCSTrial()
        trial.put([1, 2, 3], at: lease)
        let gate = Gate()
        trial.emulator.inject(.hold(gate)) { $0.kind == .read }
        let listing = Task { try await trial.store.list(.leases) }
        await gate.reached()
        trial.emulator.delete(GCSTrial.key(lease), in: GCSTrial.bucket)
        gate.open()
        #expect(try await listing.value.isEmpty)
    }

    // MARK: - A bucket that is gone

    @Test func `a bucket that is gone is no bucket without objects`() async throws {
        let trial = try GCSTrial()
        let version = try await trial.store.write(lease, record, replacing: nil)
        trial.emulator.deleteBucket(GCSTrial.bucket)
        let reading = await Ending.of { () async throws(StoreError) in try await trial.store.read(lease) }
        #expect(reading.0 == .failed)
        #expect(reading.text.contains("The specified bucket does not exist."))
        #expect(reading.text.contains("gs://trial-bucket"))
        #expect(await Ending.of { () async throws(StoreError) in try await trial.store.list(.leases) }.0 == .failed)
        let creating = await Ending.of { () async throws(StoreError) in
            try await trial.store.write(lease, record, replacing: nil)
        }
        #expect(creating.0 == .failed)
        // As if only the object were gone; the read that follows a conflict tells the rest.
        await #expect(throws: StoreError.conflict) {
            try await trial.store.write(lease, record, replacing: version)
        }
    }

    @Test func `probing finds that the emulator keeps the contract`() async throws {
        let trial = try GCSTrial()
        try await trial.store.probe()
        try await trial.store.probe()
    }

    @Test(arguments: 0..<4)
    func `probing goes on when one of its writes came too soon after another`(write: Int) async throws {
        let trial = try GCSTrial()
        // The probe writes, in this order: from nothing, over that, as if from nothing, over what is gone.
        let seen = Locked(0)
        trial.emulator.inject(.answer(429)) { request in
            request.kind == .write
                && seen.withLock {
                    $0 += 1
                    return $0 == write + 1
                }
        }
        try await trial.store.probe(pausing: .milliseconds(1))
        #expect(trial.requests(.write).map(\.status).filter { $0 == 429 }.count == 1)
    }

    @Test func `probing gives up on a store that never answers clearly`() async throws {
        let trial = try GCSTrial()
        trial.emulator.inject(.answer(429), count: nil) { $0.kind == .write }
        let error = await #expect(throws: StoreProbeFailure.self) {
            try await trial.store.probe(pausing: .milliseconds(1))
        }
        #expect(
            error?.description.hasPrefix(
                "The store could not be tried: gs://trial-bucket/some/prefix/members/~probe may") == true)
        #expect(trial.requests(.write).count == 5)
    }
}

import FoundationEssentials
import Platform
import Storage
import Support
import Testing

@Suite struct GCSOpeningTests {
    /// What opening a store was given and said.
    private final class Opening: Sendable {
        let emulator: GCSEmulator
        private let warned = Locked<[String]>([])

        init(_ settings: GCSEmulator.BucketSettings = .init()) throws {
            emulator = try GCSEmulator()
            emulator.makeBucket("bucket", settings)
        }

        /// All warnings but the one about the emulator.
        var warnings: [String] { warned.withLock { $0 }.filter { !$0.contains("STORAGE_EMULATOR_HOST") } }

        func open(
            _ text: String = "gs://bucket/prefix", host: String? = nil, projectID: String? = nil,
            creating: Bool = true
        ) async throws(StoreError) -> any LeaseStore {
            let access = StoreAccess(
                environment: ["STORAGE_EMULATOR_HOST": host ?? emulator.url], projectID: projectID
            ) { text in self.warned.withLock { $0.append(text) } }
            let address: StoreAddress
            do throws(StoreAddressError) { address = try StoreAddress(text) } catch { throw .failed(error.description) }
            return try await address.open(timeout: GCSTrial.long, creating: creating, access: access)
        }
    }

    @Test(arguments: ["", "http://", "/", "http:///storage/v1/"])
    func `the emulator is named by host and port or by a URL`(form: String) async throws {
        let opening = try Opening()
        let place = opening.emulator.url.dropFirst("http://".count)
        let host =
            switch form {
            case "": String(place)
            case "http://": "http://\(place)"
            case "/": "\(place)/"
            default: "http://\(place)/storage/v1/"
            }
        let store = try await opening.open(host: host)
        _ = try await store.write(GCSTrial.lease, [1], replacing: nil)
        #expect(opening.emulator.names(in: "bucket") == ["prefix/leases/team-a"])
    }

    @Test(arguments: [
        ("gs://bucket", "leases/team-a"), ("gs://bucket/", "leases/team-a"), ("gs://bucket/a/b/", "a/b/leases/team-a"),
    ])
    func `objects are below the prefix, if any`(address: String, key: String) async throws {
        let opening = try Opening()
        _ = try await opening.open(address).write(GCSTrial.lease, [1], replacing: nil)
        #expect(opening.emulator.names(in: "bucket") == [key])
    }

    @Test(arguments: [
        "gs:", "gs:bucket", "gs:/bucket", "gs://", "gs:///prefix", "gs://Bucket", "gs://b", "gs://buc ket",
        "gs://a%2fb",
        "gs://user@bucket", "gs://bucket:80/x", "gs://bucket//x", "gs://bucket/a//b", "gs://bucket/../x",
        "gs://bucket/./x", "gs://bucket/a?b", "gs://bucket/a#b", "gs://bucket/a*", "gs://bucket/\u{e9}",
        "gs://bucket/" + String(repeating: "p", count: 513),
    ])
    func `what names no bucket and prefix is refused`(address: String) {
        #expect(throws: StoreAddressError.self) { try StoreAddress(address) }
    }

    @Test func `the renew interval has a lower bound with this store only`() throws {
        #expect(try StoreAddress("gs://bucket").renewIntervalMin == .seconds(2))
        #expect(try StoreAddress("file:/tmp/x").renewIntervalMin == .zero)
        #expect(try StoreAddress("memory:").renewIntervalMin == .zero)
    }

    // MARK: - The bucket

    @Test func `a bucket as it should be gives no warning`() async throws {
        let opening = try Opening()
        _ = try await opening.open()
        #expect(opening.warnings.isEmpty)
        #expect(opening.emulator.counts() == [.getBucket: 1])
    }

    @Test func `settings that cost money or break heartbeats are warned about, each once`() async throws {
        var settings = GCSEmulator.BucketSettings()
        settings.retentionSeconds = 3600
        settings.isVersioned = true
        settings.softDeleteSeconds = 604_800
        settings.deletesByAge = true
        let opening = try Opening(settings)
        _ = try await opening.open()
        let warnings = opening.warnings
        #expect(warnings.count == 4)
        for (warning, words) in zip(
            warnings, ["retention policy (3600 s)", "lifecycle", "old versions", "604800 s (soft"])
        {
            #expect(warning.contains(words))
            #expect(warning.contains("bucket bucket"))
        }
    }

    @Test func `a retention policy shows when the store is tried`() async throws {
        var settings = GCSEmulator.BucketSettings()
        settings.retentionSeconds = 3600
        let opening = try Opening(settings)
        let store = try await opening.open()
        let error = await #expect(throws: StoreProbeFailure.self) { try await store.probe() }
        #expect(error?.description.contains("retention policy") == true)
        opening.emulator.stop()
    }

    @Test func `without the right to see the bucket the store opens, and says what was not checked`() async throws {
        let opening = try Opening()
        opening.emulator.inject(.answer(403)) { $0.kind == .getBucket }
        let store = try await opening.open()
        try await store.probe()
        #expect(opening.warnings.count == 1)
        #expect(opening.warnings.first?.contains("could not be checked (403") == true)
    }

    @Test func `a bucket that is not there is an error that names it`() async throws {
        let opening = try Opening()
        let (ending, text) = await Ending.of { () async throws(StoreError) in try await opening.open("gs://other/x") }
        #expect(ending == .failed)
        #expect(text.contains("gs://other: the service answered 404, \"The specified bucket does not exist.\""))
        #expect(text.contains("Make the bucket, or check the spelling."))
    }

    @Test func `something that is not the service is an error`() async throws {
        let opening = try Opening()
        opening.emulator.inject(.garbleAnswer)
        let (ending, text) = await Ending.of { () async throws(StoreError) in try await opening.open() }
        #expect(ending == .failed)
        #expect(text.contains("not Google Cloud Storage"))
    }

    @Test func `a service in trouble for a moment does not keep the store from opening`() async throws {
        let opening = try Opening()
        opening.emulator.inject(.answer(503), count: 2)
        _ = try await opening.open()
    }

    @Test func `whoever only looks is told when there is nothing`() async throws {
        let opening = try Opening()
        let (ending, text) = await Ending.of { () async throws(StoreError) in try await opening.open(creating: false) }
        #expect(ending == .failed)
        #expect(text.contains("There is nothing in gs://bucket/prefix/"))
        let store = try await opening.open()
        _ = try await store.write(.notice, [1], replacing: nil)
        #expect(try await opening.open(creating: false).read(.notice)?.body == [1])
    }

    // MARK: - Who pays

    @Test func `a project pays only when the bucket wants it`() async throws {
        let opening = try Opening()
        _ = try await opening.open(projectID: "payer").read(GCSTrial.lease)
        #expect(opening.emulator.requests().allSatisfy { $0.query["userProject"] == nil })

        var settings = GCSEmulator.BucketSettings()
        settings.requesterPays = true
        let paying = try Opening(settings)
        let store = try await paying.open(projectID: "payer")
        try await store.probe()
        let requests = paying.emulator.requests()
        #expect(requests.first?.query["userProject"] == nil)
        #expect(requests.dropFirst().allSatisfy { $0.query["userProject"] == "payer" })
    }

    @Test func `a bucket that wants a payer says so when none is named`() async throws {
        var settings = GCSEmulator.BucketSettings()
        settings.requesterPays = true
        let opening = try Opening(settings)
        let (ending, text) = await Ending.of { () async throws(StoreError) in try await opening.open() }
        #expect(ending == .failed)
        #expect(text.contains("no user project provided"))
        #expect(text.contains("--project-id"))
    }

    @Test func `a bucket that begins to want a payer gets one, also for a write`() async throws {
        let opening = try Opening()
        let store = try await opening.open(projectID: "payer")
        var settings = GCSEmulator.BucketSettings()
        settings.requesterPays = true
        opening.emulator.makeBucket("bucket", settings)
        _ = try await store.write(GCSTrial.lease, [1], replacing: nil)
        #expect(opening.emulator.requests().filter { $0.kind == .write }.map(\.status) == [400, 200])
    }
}

private import HTTP

/// A store in a bucket of Google Cloud Storage, through its JSON API.
///
/// An object is PREFIX/members/NAME or PREFIX/leases/NAME, and its version is the generation, which the service never gives
/// twice. A write is conditional on it (`ifGenerationMatch`); reads, lists and writes of one object are strongly consistent
/// (https://cloud.google.com/storage/docs/consistency).
///
/// **Bodies** are the objects' contents and, when they fit, also their custom metadata, so that one request lists 1,000
/// records. What the metadata says counts only when size and checksum of the content prove it; else the content is read.
///
/// **Answers.** 412 is a conflict. 400, 401, 403 and 404 are definite: the service did nothing. All others that are not
/// 200, also 409 and 429, leave a write unclear, as do time-outs, broken connections and answers that can't be read.
///
/// **Foreign objects.** Names that are no ``ObjectName`` are left alone. One that is too large, or that
/// this caller may not read, is an object that cannot be read.
package final class GCSStore: LeaseStore {
    /// As in a file store: records are about 1 KB.
    static let bodyBytesMax = 1 << 20
    /// One mutation a second of each object is what the service promises to take
    /// (https://cloud.google.com/storage/quotas#objects); a heartbeat that was given up may be followed by the next.
    static let renewIntervalMin = Duration.seconds(2)

    /// A list has 1,000 items with metadata of 8 KiB, which JSON escapes may double.
    private static let listBytesMax = 32 << 20
    /// Objects of a list that are read one by one, at once.
    private static let readsMax = 16
    private static let unreadable = "unreadable-"

    private let client: GCSClient
    /// Empty, or with a `/` at its end.
    private let prefix: String
    private let timeout: Duration

    init(client: GCSClient, prefix: String, timeout: Duration) {
        self.client = client
        self.prefix = prefix
        self.timeout = timeout
    }

    // MARK: - Calls

    package func read(_ name: ObjectName) async throws(StoreError) -> StoredObject? {
        let deadline = ContinuousClock.now + timeout
        // Another round only when the object was replaced between two requests.
        while true {
            guard let item = try await item(name, by: deadline) else { return nil }
            if let object = try await object(name, item, by: deadline) { return object }
        }
    }

    package func write(_ name: ObjectName, _ body: [UInt8], replacing version: ObjectVersion?) async throws(StoreError)
        -> ObjectVersion
    {
        guard body.count <= Self.bodyBytesMax else {
            throw .failed(
                "\(place(name)) was not written: \(body.count) bytes are more than the \(Self.bodyBytesMax) of an object."
            )
        }
        let generation = try generation(of: version, name)
        let response = try await client.send(
            upload(name, body, replacing: generation), by: .now + timeout)
        switch response.status {
        case 200:
            guard let written = JSONText.decode(GCSWritten.self, from: response.body),
                Self.isGeneration(written.generation)
            else {
                throw .unclear(
                    "\(place(name)) was written, it seems, but the answer can't be read as one of the service.")
            }
            return ObjectVersion(written.generation)
        case 412: throw .conflict
        // There is nothing to replace. That the whole bucket is gone is told by the read that follows.
        case 404 where version != nil: throw .conflict
        case 400, 401, 403, 404: throw .failed("\(place(name)) was not written: \(client.failure(response))")
        default: throw .unclear("\(place(name)) may have been written: \(client.failure(response))")
        }
    }

    package func list(_ folder: ObjectName.Folder) async throws(StoreError) -> [StoredObject] {
        let deadline = ContinuousClock.now + timeout
        let path = "\(prefix)\(folder.rawValue)/"
        var found: [(ObjectName, GCSItem)] = []
        var token: String?
        repeat {
            let page = try await page(path, after: token, by: deadline)
            for item in page.items ?? [] {
                guard let name = ObjectName(folder, String(item.name.dropFirst(path.count))) else { continue }
                found.append((name, item))
            }
            token = page.nextPageToken
        } while token != nil

        var objects: [StoredObject] = []
        objects.reserveCapacity(found.count)
        var others: [(ObjectName, GCSItem)] = []
        for (name, item) in found {
            if let body = item.body {
                objects.append(StoredObject(name: name, version: ObjectVersion(item.generation), body: body))
            } else {
                others.append((name, item))
            }
        }
        objects += try await readEach(others, by: deadline)
        return objects.sorted { $0.name.name.utf8.lexicographicallyPrecedes($1.name.name.utf8) }
    }

    /// No: the service has only notifications that need a topic and rights of their own.
    package func notices() -> AsyncStream<Void>? { nil }

    /// Whether there is any record under the prefix.
    func isUsed(by deadline: ContinuousClock.Instant) async throws(StoreError) -> Bool {
        let call = GCSClient.Call(
            path: objectsPath,
            query: [
                ("prefix", "\(prefix)\(ObjectName.Folder.members.rawValue)/"), ("maxResults", "1"),
                ("fields", "items(name)"),
            ])
        let response = try await client.ask(call, by: deadline)
        guard response.status == 200, let page = JSONText.decode(GCSNames.self, from: response.body) else {
            throw .failed("gs://\(client.bucket)/\(prefix) was not listed: \(client.failure(response))")
        }
        return page.items?.isEmpty == false
    }

    // MARK: - Reading

    /// - Returns: nil when there is no such object.
    private func item(_ name: ObjectName, by deadline: ContinuousClock.Instant) async throws(StoreError) -> GCSItem? {
        let call = GCSClient.Call(path: path(name), query: [("fields", GCSItem.fields)])
        while true {
            let response = try await client.ask(call, by: deadline)
            switch response.status {
            case 200:
                guard let item = JSONText.decode(GCSItem.self, from: response.body),
                    Self.isGeneration(item.generation)
                else {
                    throw .unclear("\(place(name)) was not read: the answer can't be read as one of the service.")
                }
                return item
            case 404:
                // The answer is the same when the whole bucket is gone, and a lease whose record is missing may be taken.
                // A list tells the two apart: it is 404 only without the bucket.
                if try await !isListed(name, by: deadline) { return nil }
            default:
                throw .failed("\(place(name)) was not read: \(client.failure(response))")
            }
        }
    }

    private func isListed(_ name: ObjectName, by deadline: ContinuousClock.Instant) async throws(StoreError) -> Bool {
        let call = GCSClient.Call(
            path: objectsPath, query: [("prefix", key(name)), ("maxResults", "1"), ("fields", "items(name)")])
        let response = try await client.ask(call, by: deadline)
        guard response.status == 200, let page = JSONText.decode(GCSNames.self, from: response.body) else {
            throw .failed("\(place(name)) was not read: \(client.failure(response))")
        }
        // The name itself comes before all that begin with it.
        return page.items?.first?.name == key(name)
    }

    /// - Returns: nil when the object is no longer the one that `item` tells of.
    private func object(
        _ name: ObjectName, _ item: GCSItem, by deadline: ContinuousClock.Instant
    ) async throws(StoreError) -> StoredObject? {
        if let body = item.body {
            return StoredObject(name: name, version: ObjectVersion(item.generation), body: body)
        }
        let cannotBeRead = StoredObject(
            name: name, version: ObjectVersion(Self.unreadable + item.generation), body: [])
        guard let size = Int(item.size), size <= Self.bodyBytesMax else { return cannotBeRead }
        let call = GCSClient.Call(
            path: path(name), query: [("alt", "media"), ("generation", item.generation)],
            responseBytesMax: Self.bodyBytesMax)
        let response = try await client.ask(call, by: deadline)
        switch response.status {
        case 200:
            if let crc32c = item.crc32c, response.body.count == size, crc32c != CRC32C(of: response.body).base64 {
                throw .unclear("\(place(name)) was damaged on the way: its checksum is another. Ask again.")
            }
            return StoredObject(name: name, version: ObjectVersion(item.generation), body: response.body)
        case 404: return nil
        // Encrypted with a key that only its owner has, or with one of a key service that this caller may not use.
        case 400, 403: return cannotBeRead
        default: throw .unclear("\(place(name)) was not read: \(client.failure(response))")
        }
    }

    private func page(
        _ path: String, after token: String?, by deadline: ContinuousClock.Instant
    ) async throws(StoreError) -> GCSPage {
        var query = [
            ("prefix", path), ("delimiter", "/"), ("maxResults", "1000"),
            ("fields", "items(\(GCSItem.fields)),nextPageToken"),
        ]
        if let token { query.append(("pageToken", token)) }
        let call = GCSClient.Call(path: objectsPath, query: query, responseBytesMax: Self.listBytesMax)
        let response = try await client.ask(call, by: deadline)
        guard response.status == 200 else {
            throw .failed("gs://\(client.bucket)/\(path) was not listed: \(client.failure(response))")
        }
        guard let page = JSONText.decode(GCSPage.self, from: response.body),
            page.items?.allSatisfy({ Self.isGeneration($0.generation) }) ?? true
        else {
            throw .unclear(
                "gs://\(client.bucket)/\(path) was not listed: the answer can't be read as one of the service.")
        }
        return page
    }

    /// Reads the bodies that the list did not have.
    private func readEach(
        _ items: [(ObjectName, GCSItem)], by deadline: ContinuousClock.Instant
    ) async throws(StoreError) -> [StoredObject] {
        guard !items.isEmpty else { return [] }
        let results = await withTaskGroup(of: Result<StoredObject?, StoreError>.self) { group in
            var results: [Result<StoredObject?, StoreError>] = []
            for (index, (name, item)) in items.enumerated() {
                if index >= Self.readsMax, let result = await group.next() { results.append(result) }
                group.addTask { [self] in
                    do throws(StoreError) {
                        // Replaced since it was listed: read as it is now.
                        if let object = try await object(name, item, by: deadline) { return .success(object) }
                        while let item = try await self.item(name, by: deadline) {
                            if let object = try await object(name, item, by: deadline) { return .success(object) }
                        }
                        return .success(nil)
                    } catch {
                        return .failure(error)
                    }
                }
            }
            for await result in group { results.append(result) }
            return results
        }
        var objects: [StoredObject] = []
        for result in results {
            if let object = try result.get() { objects.append(object) }
        }
        return objects
    }

    // MARK: - Writing

    /// - Returns: what `ifGenerationMatch` is to be; 0: there must be no object.
    private func generation(of version: ObjectVersion?, _ name: ObjectName) throws(StoreError) -> String {
        guard let version else { return "0" }
        if version.rawValue.hasPrefix(Self.unreadable) {
            throw .failed(
                "\(place(name)) was not replaced: it is larger than \(Self.bodyBytesMax) bytes, or may not be read. Move it "
                    + "away or repair it by hand.")
        }
        // No version of this store, so not the object's.
        guard Self.isGeneration(version.rawValue) else { throw .conflict }
        return version.rawValue
    }

    /// A multipart upload: the metadata, then the body (https://cloud.google.com/storage/docs/uploading-objects).
    private func upload(_ name: ObjectName, _ body: [UInt8], replacing generation: String) -> GCSClient.Call {
        // 128 random bits: no body holds them by accident.
        let boundary =
            "leasehold-" + String(UInt64.random(in: .min ... .max), radix: 36)
            + String(UInt64.random(in: .min ... .max), radix: 36)
        var content = Array("--\(boundary)\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n".utf8)
        content += JSONText.encode(GCSUploadMetadata(body: body))
        content += Array("\r\n--\(boundary)\r\nContent-Type: application/json\r\n\r\n".utf8)
        content += body
        content += Array("\r\n--\(boundary)--\r\n".utf8)
        return GCSClient.Call(
            method: .post, path: "/upload\(objectsPath)",
            query: [
                ("uploadType", "multipart"), ("name", key(name)), ("ifGenerationMatch", generation),
                ("fields", GCSWritten.fields),
            ],
            contentType: "multipart/related; boundary=\(boundary)", body: content)
    }

    private static func isGeneration(_ text: String) -> Bool {
        guard let number = Int64(text) else { return false }
        return number > 0 && String(number) == text
    }

    // MARK: - Names

    private func key(_ name: ObjectName) -> String { prefix + name.description }

    /// For people.
    private func place(_ name: ObjectName) -> String { "gs://\(client.bucket)/\(key(name))" }

    private var objectsPath: String { "/storage/v1/b/\(PercentEncoding.encoded(client.bucket))/o" }

    private func path(_ name: ObjectName) -> String { "\(objectsPath)/\(PercentEncoding.encoded(key(name)))" }
}

/// A list of which only the names were asked for.
private struct GCSNames: Decodable {
    struct Item: Decodable {
        let name: String
    }
    let items: [Item]?
}

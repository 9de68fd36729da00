private import HTTP
internal import Platform

/// A store in a bucket of Google Cloud Storage, through its JSON API.
///
/// An object is PREFIX/members/NAME or PREFIX/leases/NAME, and its version is the generation, which the service never gives
/// twice. A write is conditional on it (`ifGenerationMatch`); reads, lists and writes of one object are strongly consistent
/// (https://cloud.google.com/storage/docs/consistency).
///
/// **Bodies** are the objects' contents and, when they fit, also their custom metadata, so that one request lists 1,000
/// records. What the metadata says counts only when size and checksum of the content prove it; else the content is read.
///
/// **Lists** of more than one page are read a few pages at once, split where pages of the list before began.
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
    /// (https://cloud.google.com/storage/quotas#objects).
    package let rewriteInterval = Duration.seconds(1)
    /// A heartbeat that was given up may be followed by the next.
    static let renewIntervalMin = Duration.seconds(2)

    /// What is left for an answer that was kept back to reach the caller in time.
    private static let answerMargin = Duration.milliseconds(100)

    static let unreadable = "unreadable-"

    let client: GCSClient
    /// Empty, or with a `/` at its end.
    let prefix: String
    private let timeout: Duration
    /// Names at which a list can be split, ascending; what an earlier list has learned.
    let splits = Locked<[ObjectName.Folder: [String]]>([:])
    /// Objects whose last write was answered with 429.
    private let refusals = Locked<[ObjectName: Backoff]>([:])

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
        let deadline = ContinuousClock.now + timeout
        let response = try await client.send(upload(name, body, replacing: generation), by: deadline)
        await heedRefusal(of: name, response, by: deadline)
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
        for item in try await items(folder, path, by: deadline) {
            // By bytes: to a Character the slash and an accent behind it are one.
            guard item.name.utf8.starts(with: path.utf8),
                let name = ObjectName(
                    folder, String(decoding: item.name.utf8.dropFirst(path.utf8.count), as: UTF8.self))
            else { continue }
            found.append((name, item))
        }

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

    // MARK: - Writing

    /// Keeps an answer that says 429 back for a while, longer each time: who gets it is about to try again, at a pace that
    /// never slows.
    private func heedRefusal(of name: ObjectName, _ response: HTTPResponse, by deadline: ContinuousClock.Instant) async
    {
        let pause = refusals.withLock { refusals -> Duration? in
            guard response.status == 429 else {
                refusals[name] = nil
                return nil
            }
            return refusals[name, default: Backoff()].pause(after: response)
        }
        // Not for longer than the answer is waited for. Cancelled: nobody waits any more.
        guard let pause else { return }
        try? await Task.sleep(until: min(.now + pause, deadline - Self.answerMargin), clock: .continuous)
    }

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

    static func isGeneration(_ text: String) -> Bool {
        guard let number = Int64(text) else { return false }
        return number > 0 && String(number) == text
    }

    // MARK: - Names

    func key(_ name: ObjectName) -> String { prefix + name.description }

    /// For people.
    func place(_ name: ObjectName) -> String { "gs://\(client.bucket)/\(key(name))" }

    var objectsPath: String { "/storage/v1/b/\(PercentEncoding.encoded(client.bucket))/o" }

    func path(_ name: ObjectName) -> String { "\(objectsPath)/\(PercentEncoding.encoded(key(name)))" }
}

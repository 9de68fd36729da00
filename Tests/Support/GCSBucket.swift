private import Election
private import FoundationEssentials
internal import Platform

/// What a client may say of an object (the fields of `objects.insert`).
struct GCSAttributes: Codable, Sendable {
    var name: String?
    var contentType: String?
    var cacheControl: String?
    var storageClass: String?
    var crc32c: String?
    var metadata: [String: String]?

    init(metadata: [String: String]? = nil) {
        self.metadata = metadata
    }
}

struct GCSObject: Sendable {
    var body: [UInt8]
    let generation: Int64
    var metageneration: Int64 = 1
    var attributes: GCSAttributes {
        didSet { metadata = Self.json(of: attributes.metadata) }
    }
    /// As JSON, made once: thousands of objects are listed with it again and again.
    private var metadata: String?
    let checksum: UInt32
    let createdAt: Int64
    var updatedAt: Int64

    init(body: [UInt8], generation: Int64, attributes: GCSAttributes) {
        self.body = body
        self.generation = generation
        self.attributes = attributes
        metadata = Self.json(of: attributes.metadata)
        checksum = Self.crc32c(body)
        createdAt = Self.microsecondsNow()
        updatedAt = createdAt
    }

    static func microsecondsNow() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000_000) }

    /// The checksum as the API writes it: the number's bytes, the highest first, in Base64.
    var checksumText: String { Self.text(checksum) }

    static func text(_ checksum: UInt32) -> String {
        Data([24, 16, 8, 0].map { UInt8(truncatingIfNeeded: checksum >> $0) }).base64EncodedString()
    }

    /// CRC-32C (RFC 3720, appendix B.4).
    static func crc32c(_ bytes: [UInt8]) -> UInt32 {
        var rest: UInt32 = ~0
        for byte in bytes {
            rest = table[Int(UInt8(truncatingIfNeeded: rest) ^ byte)] ^ (rest >> 8)
        }
        return ~rest
    }

    private static let table = (UInt32(0)..<256).map { index in
        (0..<8).reduce(index) { rest, _ in rest & 1 == 1 ? (rest >> 1) ^ 0x82F6_3B78 : rest >> 1 }
    }

    /// The object resource, or only `fields` of it.
    func json(name: String, bucket: String, fields: Set<String>?) -> String {
        var members: [String] = []
        // Only what is asked for: it is a thousand times a page.
        func add(_ name: String, _ value: @autoclosure () -> String) {
            if fields?.contains(name) ?? true { members.append("\"\(name)\":\(value())") }
        }
        add("kind", "\"storage#object\"")
        add("id", Log.quoted("\(bucket)/\(name)/\(generation)"))
        add("name", Log.quoted(name))
        add("bucket", Log.quoted(bucket))
        add("generation", "\"\(generation)\"")
        add("metageneration", "\"\(metageneration)\"")
        add("contentType", Log.quoted(attributes.contentType ?? "application/octet-stream"))
        add("storageClass", Log.quoted(attributes.storageClass ?? "STANDARD"))
        add("size", "\"\(body.count)\"")
        add("crc32c", "\"\(checksumText)\"")
        add("timeCreated", "\"\(Timestamp.format(microseconds: createdAt))\"")
        add("updated", "\"\(Timestamp.format(microseconds: updatedAt))\"")
        if let cacheControl = attributes.cacheControl { add("cacheControl", Log.quoted(cacheControl)) }
        if let metadata { add("metadata", metadata) }
        return "{\(members.joined(separator: ","))}"
    }

    private static func json(of metadata: [String: String]?) -> String? {
        guard let metadata, !metadata.isEmpty else { return nil }
        let pairs = metadata.sorted { $0.key < $1.key }.map { "\(Log.quoted($0)):\(Log.quoted($1))" }
        return "{\(pairs.joined(separator: ","))}"
    }

    static let fieldNames: Set<String> = [
        "kind", "id", "name", "bucket", "generation", "metageneration", "contentType", "storageClass", "size", "crc32c",
        "timeCreated", "updated", "cacheControl", "metadata",
    ]
}

struct GCSBucket: Sendable {
    var settings = GCSEmulator.BucketSettings()
    private(set) var objects: [String: GCSObject] = [:]
    /// In the order in which lists give them: by their bytes.
    private(set) var names: [String] = []
    /// When each object was written last, in microseconds, also when it is gone.
    var mutations: [String: Int64] = [:]

    mutating func put(_ object: GCSObject, at name: String) {
        if objects.updateValue(object, forKey: name) == nil { names.insert(name, at: index(of: name)) }
    }

    mutating func remove(_ name: String) {
        if objects.removeValue(forKey: name) != nil { names.remove(at: index(of: name)) }
    }

    mutating func edit(_ name: String, _ change: (inout GCSObject) -> Void) {
        if objects[name] != nil { change(&objects[name]!) }
    }

    /// Where `name` is, or would be.
    func index(of name: String) -> Int {
        var (low, high) = (0, names.count)
        while low < high {
            let middle = (low + high) / 2
            if names[middle].utf8.lexicographicallyPrecedes(name.utf8) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func json(name: String) -> String {
        var members = [
            "\"kind\":\"storage#bucket\"", "\"id\":\(Log.quoted(name))", "\"name\":\(Log.quoted(name))",
            "\"projectNumber\":\"1\"", "\"metageneration\":\"1\"", "\"location\":\"EUROPE-WEST1\"",
            "\"locationType\":\(Log.quoted(settings.locationType))", "\"storageClass\":\"STANDARD\"",
        ]
        if let seconds = settings.retentionSeconds {
            members.append("\"retentionPolicy\":{\"retentionPeriod\":\"\(seconds)\"}")
        }
        if settings.isVersioned { members.append("\"versioning\":{\"enabled\":true}") }
        if let seconds = settings.softDeleteSeconds {
            members.append("\"softDeletePolicy\":{\"retentionDurationSeconds\":\"\(seconds)\"}")
        }
        if settings.requesterPays { members.append("\"billing\":{\"requesterPays\":true}") }
        if settings.deletesByAge {
            members.append(
                #""lifecycle":{"rule":[{"action":{"type":"Delete"},"condition":{"age":30}}]}"#)
        }
        return "{\(members.joined(separator: ","))}"
    }
}

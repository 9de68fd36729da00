/// What the JSON API says of one object; numbers come as text (https://cloud.google.com/storage/docs/json_api/v1/objects).
struct GCSItem: Decodable, Sendable {
    /// The custom metadata that a write adds, so that a list returns the bodies as well.
    struct Metadata: Codable, Sendable {
        var record: String?
    }

    /// Custom metadata may have 8 KiB in all, keys included; this leaves some for whoever labels the objects.
    private static let recordBytesMax = 8000

    /// What a read or a list has to ask for.
    static let fields = "name,generation,size,crc32c,metadata"

    let name: String
    let generation: String
    let size: String
    let crc32c: String?
    let metadata: Metadata?

    /// The body, when the metadata holds all of it.
    ///
    /// The checksum is of the object itself: a body that somebody edited there, or forgot when rewriting the object
    /// by hand, does not match and is not used.
    var body: [UInt8]? {
        if size == "0" { return [] }
        guard let record = metadata?.record, let crc32c, var body = Self.lines(of: record) else { return nil }
        if size == String(body.count + 1) { body.append(UInt8(ascii: "\n")) }
        guard size == String(body.count), crc32c == CRC32C(of: body).base64 else { return nil }
        return body
    }

    /// The metadata for a body; nil when it does not fit there.
    ///
    /// Only printable ASCII: control characters and others have no safe form in the headers of the XML API, in
    /// which metadata is handed out too. So the line feed at the end of a record is left out, and told from the size;
    /// those between its lines are written as `\n`, and `\` as `\\`.
    static func metadata(for body: [UInt8]) -> Metadata? {
        let lines = body.last == lineFeed ? body.dropLast() : body[...]
        guard !lines.isEmpty, lines.count <= recordBytesMax else { return nil }
        var record: [UInt8] = []
        record.reserveCapacity(lines.count)
        for byte in lines {
            switch byte {
            case lineFeed: record += [backslash, UInt8(ascii: "n")]
            case backslash: record += [backslash, backslash]
            case 0x20...0x7E: record.append(byte)
            default: return nil
            }
        }
        return record.count <= recordBytesMax ? Metadata(record: String(decoding: record, as: UTF8.self)) : nil
    }

    /// What ``metadata(for:)`` made the text from; nil: nothing.
    private static func lines(of record: String) -> [UInt8]? {
        var lines: [UInt8] = []
        lines.reserveCapacity(record.utf8.count)
        var bytes = record.utf8.makeIterator()
        while let byte = bytes.next() {
            guard byte == backslash else {
                lines.append(byte)
                continue
            }
            switch bytes.next() {
            case UInt8(ascii: "n"): lines.append(lineFeed)
            case backslash: lines.append(backslash)
            default: return nil
            }
        }
        return lines
    }

    private static let lineFeed = UInt8(ascii: "\n")
    private static let backslash = UInt8(ascii: "\\")
}

/// One page of a list.
struct GCSPage: Decodable, Sendable {
    let items: [GCSItem]?
    let nextPageToken: String?
}

/// The metadata of an object to write.
struct GCSUploadMetadata: Encodable {
    /// Nothing on the way may answer a read with an older record.
    let cacheControl = "no-store"
    let contentType = "application/json"
    /// Not the bucket's default class: the colder ones charge a month or more for each heartbeat that is replaced.
    let storageClass = "STANDARD"
    /// The service refuses a body that does not match.
    let crc32c: String
    let metadata: GCSItem.Metadata?

    init(body: [UInt8]) {
        crc32c = CRC32C(of: body).base64
        metadata = GCSItem.metadata(for: body)
    }
}

/// What a write returns.
struct GCSWritten: Decodable {
    static let fields = "generation"

    let generation: String
}

/// The settings of a bucket that matter to a lease store.
struct GCSBucketResource: Decodable {
    struct Retention: Decodable {
        let retentionPeriod: String?
    }
    struct Versioning: Decodable {
        let enabled: Bool?
    }
    struct SoftDelete: Decodable {
        let retentionDurationSeconds: String?
    }
    struct Lifecycle: Decodable {
        struct Rule: Decodable {
            struct Action: Decodable {
                let type: String?
            }
            let action: Action?
        }
        let rule: [Rule]?
    }

    static let fields = "retentionPolicy,versioning,softDeletePolicy,lifecycle,defaultEventBasedHold"

    let retentionPolicy: Retention?
    let versioning: Versioning?
    let softDeletePolicy: SoftDelete?
    let lifecycle: Lifecycle?
    let defaultEventBasedHold: Bool?

    /// What is better changed, a sentence each.
    func warnings(bucket: String) -> [String] {
        var warnings: [String] = []
        if let retentionPolicy {
            warnings.append(
                "The bucket \(bucket) has a retention policy (\(retentionPolicy.retentionPeriod ?? "?") s): objects younger "
                    + "than that can't be replaced, so heartbeats are refused. Remove it, or use another bucket")
        }
        if defaultEventBasedHold == true {
            warnings.append(
                "The bucket \(bucket) puts a hold on new objects, which then can't be replaced, so heartbeats are refused. "
                    + "Turn its default event-based hold off, or use another bucket")
        }
        if lifecycle?.rule?.contains(where: { $0.action?.type == "Delete" }) == true {
            warnings.append(
                "The bucket \(bucket) has a lifecycle rule that deletes objects: lease records are the old ones, and "
                    + "deleting them delays elections. Keep the rule away from this store's prefix")
        }
        if versioning?.enabled == true {
            warnings.append(
                "The bucket \(bucket) keeps old versions of objects: every heartbeat leaves one behind, which is paid for. "
                    + "Turn object versioning off, or use another bucket")
        }
        if let seconds = softDeletePolicy?.retentionDurationSeconds, seconds != "0" {
            warnings.append(
                "The bucket \(bucket) keeps deleted objects for \(seconds) s (soft delete): every heartbeat leaves a copy "
                    + "behind, which is paid for. Turn it off (gcloud storage buckets update gs://\(bucket) "
                    + "--clear-soft-delete), or use another bucket")
        }
        return warnings
    }
}

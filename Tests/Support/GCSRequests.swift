private import FoundationEssentials
internal import Platform

extension GCSRequest {
    /// What an HTTP request asks of the JSON API.
    init(_ http: LoopbackServer.Request) {
        var parts = http.path.split(separator: "/").map { HTTPWire.decoded($0, isForm: false) }
        var client = ""
        if parts.count >= 2, parts[0] == "client" {
            client = parts[1]
            parts.removeFirst(2)
        }
        let isUpload = parts.first == "upload"
        if isUpload { parts.removeFirst() }
        var (kind, bucket, object) = (Kind.other, "", "")
        if parts.count >= 4, parts.prefix(3) == ["storage", "v1", "b"] {
            bucket = parts[3]
            switch (http.method, parts.count, parts.dropFirst(4).first) {
            case ("GET", 4, _): kind = .getBucket
            case ("GET", 5, "o"): (kind, object) = (.list, http.query["prefix"] ?? "")
            case ("POST", 5, "o") where isUpload: (kind, object) = (.write, GCSUpload.name(in: http))
            case ("GET", 6, "o"): (kind, object) = (http.query["alt"] == "media" ? .read : .get, parts[5])
            case ("DELETE", 6, "o"): (kind, object) = (.delete, parts[5])
            case ("PATCH", 6, "o"): (kind, object) = (.patch, parts[5])
            default: kind = .other
            }
        }
        self.init(
            kind: kind, bucket: bucket, object: object, client: client, query: http.query, headers: http.headers,
            time: .now)
    }
}

/// The `fields` of a list: all of each item, or some.
enum GCSListFields {
    struct Unknown: Error {
        let name: String
    }

    static func parse(_ text: String?) -> Result<Set<String>?, Unknown> {
        guard let text else { return .success(nil) }
        guard let start = text.firstRange(of: "items("), let end = text[start.upperBound...].firstIndex(of: ")") else {
            return .success(nil)
        }
        let inside = Set(text[start.upperBound..<end].split(separator: ",").map(String.init))
        let outside = (text[..<start.lowerBound] + text[end...].dropFirst()).split(separator: ",").map(String.init)
        let known: Set<String> = ["nextPageToken", "prefixes", "kind"]
        if let unknown = inside.subtracting(GCSObject.fieldNames).first ?? outside.first(where: { !known.contains($0) })
        {
            return .failure(Unknown(name: unknown))
        }
        return .success(inside)
    }
}

/// The body of an upload, simple or multipart.
struct GCSUpload: Sendable {
    private static let metadataBytesMax = 8192

    let body: [UInt8]
    let attributes: GCSAttributes

    /// - Returns: nil when it is none.
    init?(_ http: LoopbackServer.Request) {
        guard http.query["uploadType"] == "multipart" else {
            guard http.query["uploadType"] == "media" else { return nil }
            body = http.body
            var attributes = GCSAttributes()
            attributes.contentType = http.headers["content-type"]
            self.attributes = attributes
            return
        }
        guard let parts = Self.parts(http), parts.count == 2,
            var attributes = try? JSONDecoder().decode(GCSAttributes.self, from: Data(parts[0].body))
        else { return nil }
        attributes.contentType = attributes.contentType ?? parts[1].contentType
        body = Array(parts[1].body)
        self.attributes = attributes
    }

    /// The object that it makes; the query outranks the metadata.
    static func name(in http: LoopbackServer.Request) -> String {
        http.query["name"] ?? GCSUpload(http)?.attributes.name ?? ""
    }

    func problem(with object: GCSObject) -> String? {
        if let claimed = attributes.crc32c, claimed != object.checksumText {
            return "Provided CRC32C \"\(claimed)\" doesn't match calculated CRC32C \"\(object.checksumText)\"."
        }
        let bytes = (attributes.metadata ?? [:]).reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        if bytes > Self.metadataBytesMax { return "Your metadata headers exceed the maximum allowed metadata size." }
        return nil
    }

    /// Takes a multipart body apart (RFC 2046, section 5.1.1).
    private static func parts(_ http: LoopbackServer.Request) -> [(contentType: String?, body: ArraySlice<UInt8>)]? {
        let type = http.headers["content-type"] ?? ""
        guard type.hasPrefix("multipart/related"), let start = type.firstRange(of: "boundary=") else { return nil }
        let boundary = type[start.upperBound...].prefix { $0 != ";" }.filter { $0 != "\"" }
        let delimiter = Array("--\(boundary)".utf8)
        var rest = http.body[...]
        var parts: [(String?, ArraySlice<UInt8>)] = []
        guard let first = find(delimiter, in: rest) else { return nil }
        rest = rest[(first + delimiter.count)...]
        while !rest.starts(with: "--".utf8) {
            guard rest.starts(with: [13, 10]), let headEnd = find([13, 10, 13, 10], in: rest),
                let end = find([13, 10] + delimiter, in: rest[headEnd...])
            else { return nil }
            let head = String(decoding: rest[..<headEnd], as: UTF8.self).split(separator: "\r\n")
            let contentType = head.first { $0.lowercased().hasPrefix("content-type:") }?.dropFirst(13).drop {
                $0 == " "
            }
            parts.append((contentType.map(String.init), rest[min(headEnd + 4, end)..<end]))
            rest = rest[(end + 2 + delimiter.count)...]
        }
        return parts
    }

    private static func find(_ needle: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.count >= needle.count else { return nil }
        var index = bytes.startIndex
        while index <= bytes.endIndex - needle.count {
            if bytes[index] == needle[0], bytes[index..<index + needle.count].elementsEqual(needle) { return index }
            index += 1
        }
        return nil
    }
}

// MARK: - Errors

extension LoopbackServer.Answer {
    /// An error as Google writes it.
    static func failure(
        _ status: Int, retryAfter: Int? = nil, _ request: GCSRequest, message: String? = nil, reason: String? = nil
    ) -> Self {
        let (usualReason, usualMessage) = usual(status, request)
        let text = Log.quoted(message ?? usualMessage)
        let json =
            "{\"error\":{\"code\":\(status),\"message\":\(text),\"errors\":[{\"message\":\(text),"
            + "\"domain\":\"global\",\"reason\":\(Log.quoted(reason ?? usualReason))}]}}"
        return Self(status, json: json, headers: retryAfter.map { [("Retry-After", "\($0)")] } ?? [])
    }

    /// The real service answers a missing body in plain text, and missing metadata in JSON.
    static func noObject(_ request: GCSRequest) -> Self {
        let text = "No such object: \(request.bucket)/\(request.object)"
        guard request.kind == .read else { return failure(404, request, message: text) }
        return Self(404, headers: [("Content-Type", "text/html; charset=UTF-8")], body: Array(text.utf8))
    }

    static func badField(_ name: String, _ request: GCSRequest) -> Self {
        failure(400, request, message: "Invalid field selection \(name)", reason: "invalidParameter")
    }

    private static func usual(_ status: Int, _ request: GCSRequest) -> (reason: String, message: String) {
        switch status {
        case 400: ("invalid", "Invalid argument.")
        case 401: ("authError", "Invalid Credentials")
        case 403:
            (
                "forbidden",
                "caller does not have storage access to \(request.bucket). Permission denied on resource (or it may not "
                    + "exist)."
            )
        case 404: ("notFound", "Not Found")
        case 412: ("conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        case 429:
            (
                "rateLimitExceeded",
                "The object \(request.bucket)/\(request.object) exceeded the rate limit for object mutation operations "
                    + "(create, update, and delete). Please reduce your request rate."
            )
        default: ("backendError", "We encountered an internal error. Please try again.")
        }
    }
}

import Webhook

/// The slow, obvious reader that ``AdmissionScanner`` is compared with: first a tree, then its fields.
package enum ReferenceReview {
    package enum Result: Equatable {
        case notJSON
        /// JSON, but nothing that may be judged.
        case refused
        case accepted(Fields)
    }

    package struct Fields: Equatable {
        package var uid = ""
        package var kind = ["", "", ""]
        package var resource = ["", "", ""]
        package var subResource = ""
        package var namespace = ""
        package var name = ""
        package var operation = ""
        package var dryRun = false
        package var username = ""
        package var groups: [String] = []

        package init() {}

        /// What ``AdmissionScanner`` has found.
        package init(_ request: borrowing AdmissionRequest) {
            uid = request.uid.string
            kind = [request.kind.group.string, request.kind.version.string, request.kind.name.string]
            resource = [request.resource.group.string, request.resource.version.string, request.resource.name.string]
            subResource = request.subResource.string
            namespace = request.namespace.string
            name = request.name.string
            operation = request.operation.string
            dryRun = request.dryRun
            username = request.username.string
            groups = request.groups.map(\.string)
        }
    }

    package static func read(_ bytes: [UInt8]) -> Result {
        guard let root = tree(bytes) else { return .notJSON }
        guard let fields = try? interpret(root) else { return .refused }
        return .accepted(fields)
    }

    /// What ``AdmissionScanner`` says of the same bytes.
    package static func scan(_ bytes: [UInt8], with scanner: inout AdmissionScanner) -> Result {
        unsafe bytes.withUnsafeBytes { bytes in
            do throws(ScanError) {
                try unsafe scanner.scan(bytes)
                return .accepted(Fields(scanner.request))
            } catch {
                switch error.kind {
                case .unexpectedByte, .unexpectedEnd, .invalidUTF8, .controlByte, .tooDeep: return .notJSON
                case .loneSurrogate, .wrongType, .ambiguousKey, .notAdmissionReview, .missingUID, .missingUsername,
                    .tooLarge:
                    return .refused
                }
            }
        }
    }

    /// Whether the scanner may say `outcome` where this reader says `reference`: a body may be wrong in two ways, and the
    /// scanner stops at the first.
    package static func allows(_ outcome: Result, where reference: Result) -> Bool {
        outcome == reference || (outcome == .refused && reference == .notJSON)
    }

    // MARK: The tree

    /// nil: this is no JSON text.
    package static func tree(_ bytes: [UInt8]) -> Value? {
        guard String(validating: bytes, as: UTF8.self) != nil else { return nil }
        var parser = Parser(bytes: bytes)
        return try? parser.document()
    }

    package indirect enum Value {
        case null
        case bool(Bool)
        case number
        /// nil: half a surrogate pair in it.
        case string(String?)
        case array([Value])
        case object([(key: String?, value: Value)])
    }

    private struct Failure: Error {}

    private struct Parser {
        let bytes: [UInt8]
        var index = 0

        mutating func document() throws -> Value {
            let value = try self.value(depth: 0)
            space()
            guard index == bytes.count else { throw Failure() }
            return value
        }

        mutating func space() {
            while index < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[index]) { index += 1 }
        }

        func peek() -> UInt8? { index < bytes.count ? bytes[index] : nil }

        mutating func eat(_ text: StaticString) throws {
            for byte in "\(text)".utf8 {
                guard peek() == byte else { throw Failure() }
                index += 1
            }
        }

        mutating func value(depth: Int) throws -> Value {
            guard depth <= 1000 else { throw Failure() }
            space()
            switch peek() {
            case UInt8(ascii: "{"):
                guard depth < 1000 else { throw Failure() }
                return try object(depth: depth + 1)
            case UInt8(ascii: "["):
                guard depth < 1000 else { throw Failure() }
                return try array(depth: depth + 1)
            case UInt8(ascii: "\""): return .string(try string())
            case UInt8(ascii: "t"):
                try eat("true")
                return .bool(true)
            case UInt8(ascii: "f"):
                try eat("false")
                return .bool(false)
            case UInt8(ascii: "n"):
                try eat("null")
                return .null
            default:
                try number()
                return .number
            }
        }

        mutating func object(depth: Int) throws -> Value {
            var members: [(key: String?, value: Value)] = []
            try eat("{")
            space()
            if peek() != UInt8(ascii: "}") {
                repeat {
                    if !members.isEmpty { try eat(",") }
                    space()
                    let key = try string()
                    space()
                    try eat(":")
                    members.append((key, try value(depth: depth)))
                    space()
                } while peek() == UInt8(ascii: ",")
            }
            try eat("}")
            return .object(members)
        }

        mutating func array(depth: Int) throws -> Value {
            var elements: [Value] = []
            try eat("[")
            space()
            if peek() != UInt8(ascii: "]") {
                repeat {
                    if !elements.isEmpty { try eat(",") }
                    elements.append(try value(depth: depth))
                    space()
                } while peek() == UInt8(ascii: ",")
            }
            try eat("]")
            return .array(elements)
        }

        mutating func digits() throws {
            guard let first = peek(), (0x30...0x39).contains(first) else { throw Failure() }
            while let byte = peek(), (0x30...0x39).contains(byte) { index += 1 }
        }

        mutating func number() throws {
            if peek() == UInt8(ascii: "-") { index += 1 }
            if peek() == UInt8(ascii: "0") { index += 1 } else { try digits() }
            if peek() == UInt8(ascii: ".") {
                index += 1
                try digits()
            }
            if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
                index += 1
                if peek() == UInt8(ascii: "+") || peek() == UInt8(ascii: "-") { index += 1 }
                try digits()
            }
        }

        private static let simpleEscapes: [UInt8: UInt16] = [
            0x22: 0x22, 0x5C: 0x5C, 0x2F: 0x2F, 0x62: 8, 0x66: 12, 0x6E: 10, 0x72: 13, 0x74: 9,
        ]

        mutating func string() throws -> String? {
            try eat("\"")
            // As UTF-16, in which halves of pairs are halves of pairs.
            var (units, raw): ([UInt16], [UInt8]) = ([], [])
            func flush() {
                units += Array(String(decoding: raw, as: UTF8.self).utf16)
                raw = []
            }
            while true {
                guard let byte = peek(), byte >= 0x20 else { throw Failure() }
                index += 1
                if byte == UInt8(ascii: "\"") { break }
                guard byte == UInt8(ascii: "\\") else {
                    raw.append(byte)
                    continue
                }
                flush()
                guard let escape = peek() else { throw Failure() }
                index += 1
                if let unit = Self.simpleEscapes[escape] {
                    units.append(unit)
                } else {
                    guard escape == UInt8(ascii: "u"), index + 4 <= bytes.count else { throw Failure() }
                    let digits = bytes[index..<index + 4]
                    let isHex = digits.allSatisfy { "0123456789abcdefABCDEF".utf8.contains($0) }
                    guard isHex, let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16) else {
                        throw Failure()
                    }
                    units.append(unit)
                    index += 4
                }
            }
            flush()
            return String(validating: units, as: UTF16.self)
        }
    }

    // MARK: The fields

    private static func interpret(_ root: Value) throws -> Fields {
        var fields = Fields()
        var (kind, apiVersion) = ("", "")
        guard case .object(let members) = root else { throw Failure() }
        for (key, value) in members {
            switch try name(key, of: ["kind", "apiVersion", "request"]) {
            case "kind": try text(value, &kind)
            case "apiVersion": try text(value, &apiVersion)
            case "request":
                if case .null = value { fields = Fields() } else { try request(value, &fields) }
            default: break
            }
        }
        guard kind == "AdmissionReview", apiVersion == "admission.k8s.io/v1", !fields.uid.isEmpty,
            !fields.username.isEmpty,
            [fields.uid, fields.namespace, fields.resource[2]].allSatisfy({ $0.utf8.count <= 1024 })
        else { throw Failure() }
        return fields
    }

    private static func request(_ value: Value, _ fields: inout Fields) throws {
        let names = [
            "uid", "kind", "resource", "subResource", "name", "namespace", "operation", "userInfo", "dryRun",
        ]
        guard case .object(let members) = value else { throw Failure() }
        for (key, value) in members {
            switch try name(key, of: names) {
            case "uid": try text(value, &fields.uid)
            case "kind": try triple(value, "kind", &fields.kind)
            case "resource": try triple(value, "resource", &fields.resource)
            case "subResource": try text(value, &fields.subResource)
            case "name": try text(value, &fields.name)
            case "namespace": try text(value, &fields.namespace)
            case "operation": try text(value, &fields.operation)
            case "userInfo": try userInfo(value, &fields)
            case "dryRun":
                switch value {
                case .bool(let flag): fields.dryRun = flag
                case .null: fields.dryRun = false
                default: throw Failure()
                }
            default: break
            }
        }
    }

    private static func userInfo(_ value: Value, _ fields: inout Fields) throws {
        if case .null = value { return }
        guard case .object(let members) = value else { throw Failure() }
        for (key, value) in members {
            switch try name(key, of: ["username", "groups"]) {
            case "username": try text(value, &fields.username)
            case "groups":
                fields.groups = []
                if case .null = value { continue }
                guard case .array(let elements) = value else { throw Failure() }
                for element in elements {
                    guard case .string(let group?) = element, fields.groups.count < 10_000 else { throw Failure() }
                    fields.groups.append(group)
                }
            default: break
            }
        }
    }

    private static func triple(_ value: Value, _ last: String, _ result: inout [String]) throws {
        if case .null = value { return }
        guard case .object(let members) = value else { throw Failure() }
        let names = ["group", "version", last]
        for (key, value) in members {
            guard let name = try name(key, of: names) else { continue }
            try text(value, &result[names.firstIndex(of: name)!])
        }
    }

    private static func text(_ value: Value, _ result: inout String) throws {
        switch value {
        case .string(let text?): result = text
        case .null: break
        default: throw Failure()
        }
    }

    private static func name(_ key: String?, of names: [String]) throws -> String? {
        guard let key, key.utf8.allSatisfy({ $0 < 0x80 }) else { throw Failure() }
        if names.contains(key) { return key }
        if names.contains(where: { $0.lowercased() == key.lowercased() }) { throw Failure() }
        return nil
    }
}

extension ReferenceReview {
    /// The `response.uid` of an answer, read as slowly; nil: it has none, or is no JSON.
    package static func answeredUID(_ answer: [UInt8]) -> String? {
        guard case .object(let review)? = tree(answer), case .object(let response)? = review.last?.value,
            review.last?.key == "response", response.first?.key == "uid", case .string(let uid)? = response.first?.value
        else { return nil }
        return uid
    }
}

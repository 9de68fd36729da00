import Webhook

/// The slow, obvious reader that ``AdmissionScanner`` is compared with: first a tree, then its fields.
enum ReferenceReview {
    enum Result: Equatable {
        case notJSON
        /// JSON, but nothing that may be judged.
        case refused
        case accepted(Fields)
    }

    struct Fields: Equatable {
        var uid = ""
        var kind = ["", "", ""]
        var resource = ["", "", ""]
        var subResource = ""
        var namespace = ""
        var name = ""
        var operation = ""
        var dryRun = false
        var username = ""
        var groups: [String] = []
    }

    static func read(_ bytes: [UInt8]) -> Result {
        guard String(validating: bytes, as: UTF8.self) != nil else { return .notJSON }
        var parser = Parser(bytes: bytes)
        guard let root = try? parser.document() else { return .notJSON }
        guard let fields = try? interpret(root) else { return .refused }
        return .accepted(fields)
    }

    // MARK: The tree

    indirect enum Value {
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
                let simple: [UInt8: UInt16] = [
                    0x22: 0x22, 0x5C: 0x5C, 0x2F: 0x2F, 0x62: 8, 0x66: 12, 0x6E: 10, 0x72: 13, 0x74: 9,
                ]
                if let unit = simple[escape] {
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
            !fields.username.isEmpty
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
                    guard case .string(let group?) = element else { throw Failure() }
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

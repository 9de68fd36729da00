internal import Kubernetes

/// JSON values as YAML in block style, in the part that YAML 1.1 and 1.2 read alike.
enum YAMLText {
    /// A whole document, with keys in order.
    static func document(_ value: JSONValue) -> String {
        lines(value, indent: "").map { "\($0)\n" }.joined()
    }

    private static func lines(_ value: JSONValue, indent: String) -> [String] {
        switch value {
        case .object(let members) where !members.isEmpty:
            members.sorted { $0.key < $1.key }.flatMap { key, value -> [String] in
                switch value {
                case .object(let inner) where !inner.isEmpty:
                    ["\(indent)\(string(key)):"] + lines(value, indent: indent + "  ")
                case .array(let inner) where !inner.isEmpty:
                    ["\(indent)\(string(key)):"] + lines(value, indent: indent)
                default: ["\(indent)\(string(key)): \(scalar(value))"]
                }
            }
        case .array(let elements) where !elements.isEmpty:
            elements.flatMap { element -> [String] in
                var inner = lines(element, indent: indent + "  ")
                inner[0] = "\(indent)- \(inner[0].dropFirst(indent.count + 2))"
                return inner
            }
        default: ["\(indent)\(scalar(value))"]
        }
    }

    private static func scalar(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let bool): bool ? "true" : "false"
        case .integer(let integer): String(integer)
        // A whole number of a size that only a Double has would lose its point, and YAML 1.1 wants one before an exponent.
        case .number(let number):
            "\(number)".contains("e") && !"\(number)".contains(".") ? exponent(number) : "\(number)"
        case .string(let text): string(text)
        case .array: "[]"
        case .object: "{}"
        }
    }

    private static func exponent(_ number: Double) -> String {
        "\(number)".split(separator: "e", maxSplits: 1).joined(separator: ".0e")
    }

    /// Words that some version of YAML takes for something else than themselves.
    private static let reserved: Set = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]

    /// As it is where no reader could take it for anything but this string; else in double quotes.
    static func string(_ text: String) -> String {
        let isPlain =
            text.utf8.first.map(isLetter) ?? false
            && text.utf8.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) || "-_./".utf8.contains($0) }
            && !reserved.contains(text.lowercased())
        return isPlain ? text : quoted(text)
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            // What YAML refuses in a text, takes for the end of a line, or a terminal might obey.
            case _ where scalar.value < 0x20, "\u{7F}"..."\u{A0}", "\u{2028}", "\u{2029}", "\u{FEFF}", "\u{FFFE}",
                "\u{FFFF}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

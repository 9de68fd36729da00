/// Which objects are meant, by their labels, in kubectl's words: `tier=prod,team in (a, b),!legacy` (Kubernetes, "Labels
/// and Selectors"). All requirements must hold; none: everything is meant.
package struct LabelSelector: Hashable, Sendable, CustomStringConvertible {
    private enum Requirement: Hashable, Sendable {
        case exists(String)
        case absent(String)
        case isOneOf(String, [String])
        /// Also holds for an object without the label.
        case isNoneOf(String, [String])

        func holds(for labels: [String: String]) -> Bool {
            switch self {
            case .exists(let key): labels[key] != nil
            case .absent(let key): labels[key] == nil
            case .isOneOf(let key, let values): labels[key].map(values.contains) ?? false
            case .isNoneOf(let key, let values): !(labels[key].map(values.contains) ?? false)
            }
        }
    }

    package let description: String
    private let requirements: [Requirement]

    /// - Returns: nil when `text` is no selector.
    package init?(_ text: String) {
        var requirements: [Requirement] = []
        for part in Self.parts(text) {
            guard let requirement = Self.requirement(part) else { return nil }
            requirements.append(requirement)
        }
        self.requirements = requirements
        description = text
    }

    package func matches(_ labels: [String: String]) -> Bool {
        requirements.allSatisfy { $0.holds(for: labels) }
    }

    /// Splits at the commas that are not inside parentheses.
    private static func parts(_ text: String) -> [Substring] {
        guard text.contains(where: { $0 != " " }) else { return [] }
        var (parts, start, depth) = ([Substring](), text.startIndex, 0)
        for index in text.indices {
            switch text[index] {
            case "(": depth += 1
            case ")": depth -= 1
            case "," where depth == 0:
                parts.append(text[start..<index])
                start = text.index(after: index)
            default: break
            }
        }
        return parts + [text[start...]]
    }

    private static func requirement(_ part: Substring) -> Requirement? {
        let part = trimmed(part)
        if part.hasPrefix("!") { return key(part.dropFirst()).map(Requirement.absent) }
        for (sign, isEqual) in [("!=", false), ("==", true), ("=", true)] {
            guard let range = part.firstRange(of: sign) else { continue }
            guard let key = key(part[..<range.lowerBound]), let value = value(part[range.upperBound...]) else {
                return nil
            }
            return isEqual ? .isOneOf(key, [value]) : .isNoneOf(key, [value])
        }
        guard part.hasSuffix(")") else { return key(part).map(Requirement.exists) }
        guard let open = part.firstIndex(of: "(") else { return nil }
        let words = part[..<open].split(separator: " ")
        let list = part[part.index(after: open)...].dropLast()
        let values = list.split(separator: ",", omittingEmptySubsequences: false).map(value)
        guard words.count == 2, let key = key(words[0]), !values.contains(nil) else { return nil }
        switch words[1] {
        case "in": return .isOneOf(key, values.compactMap(\.self))
        case "notin": return .isNoneOf(key, values.compactMap(\.self))
        default: return nil
        }
    }

    /// A label's key: a name, perhaps behind a DNS prefix and a slash.
    private static func key(_ text: Substring) -> String? {
        let text = trimmed(text)
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts[parts.count - 1].utf8.count <= 63, parts[0].utf8.count <= 253,
            parts.allSatisfy({ !$0.isEmpty && isPlain($0) })
        else { return nil }
        return String(text)
    }

    /// A label's value, which may be empty.
    private static func value(_ text: Substring) -> String? {
        let text = trimmed(text)
        return text.utf8.count <= 63 && isPlain(text) ? String(text) : nil
    }

    private static func isPlain(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return text
    }
}

/// A name, or the beginning of one followed by `*`: what the policy's flags match users, groups and namespaces with.
package struct Pattern: Hashable, Sendable, CustomStringConvertible {
    private let bytes: [UInt8]
    private let isPrefix: Bool

    /// - Throws: ``PolicyError`` when `text` is empty or has a `*` elsewhere than at the end.
    package init(_ text: String) throws(PolicyError) {
        isPrefix = text.hasSuffix("*")
        bytes = Array(isPrefix ? text.dropLast().utf8 : text[...].utf8)
        guard !text.isEmpty, !bytes.contains(UInt8(ascii: "*")) else {
            throw PolicyError("\"\(text)\" is not a name, which may end in one *")
        }
    }

    package var description: String { String(decoding: bytes, as: UTF8.self) + (isPrefix ? "*" : "") }

    package func matches(_ text: Text) -> Bool {
        (isPrefix || text.count == bytes.count) && text.hasPrefix(bytes)
    }
}

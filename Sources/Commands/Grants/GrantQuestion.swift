internal import Election

/// What a webhook asks a controller, as the query of a URL: empty, or `incarnation=I&revision=N` of the table that it has.
struct GrantQuestion: Hashable, Sendable {
    let known: TableMark?

    init(known: TableMark?) {
        self.known = known
    }

    /// - Returns: nil when the query is no question.
    init?(query: Span<UInt8>) {
        var bytes: [UInt8] = []
        for index in query.indices { bytes.append(query[index]) }
        guard !bytes.isEmpty else {
            known = nil
            return
        }
        let text = String(decoding: bytes, as: UTF8.self)
        let parts = text.split(separator: "&", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].hasPrefix("incarnation="), parts[1].hasPrefix("revision="),
            let revision = UInt64(parts[1].dropFirst("revision=".count))
        else { return nil }
        let incarnation = String(parts[0].dropFirst("incarnation=".count))
        guard Self.isPlain(incarnation) else { return nil }
        known = TableMark(incarnation: incarnation, revision: revision)
    }

    /// The question behind a path, with its `?`. A mark that a URL cannot carry as it is counts as none.
    var suffix: String {
        guard let known, Self.isPlain(known.incarnation) else { return "" }
        return "?incarnation=\(known.incarnation)&revision=\(known.revision)"
    }

    /// Whether it is of the characters that incarnations, which are UUIDs, are made of.
    private static func isPlain(_ incarnation: String) -> Bool {
        (1...64).contains(incarnation.utf8.count)
            && incarnation.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}

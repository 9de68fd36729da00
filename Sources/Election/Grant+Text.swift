private import FoundationEssentials

/// A grant as it goes over the network: JSON, of which a table of 10,000 namespaces takes about 1 MB.
///
/// While a cluster takes over, its table changes all the time, and each webhook wants each: Foundation's coders, which
/// would take seconds of processor time and many times the table's room, are only there for what is not as we write it.
extension Grant {
    /// Appends it as JSON.
    package func write(to text: inout [UInt8]) throws {
        let start = text.count
        var writer = GrantWriter(text: text)
        // Not in two places at once, which would copy it.
        text = []
        writer.write(self)
        text = writer.text
        guard !writer.isPlain else { return }
        // A text that needs escapes, as none of ours does.
        text.removeSubrange(start...)
        text.append(contentsOf: try JSONEncoder().encode(self))
    }

    /// Reads what ``write(to:)`` wrote, or any other JSON that says the same.
    ///
    /// - Throws: when it is no grant.
    package init(text: [UInt8]) throws {
        var reader = GrantReader(text: text)
        if let grant = reader.grant() {
            self = grant
        } else {
            self = try JSONDecoder().decode(Grant.self, from: Data(text))
        }
    }
}

/// Writes JSON as `JSONEncoder` does, without spaces.
private struct GrantWriter {
    var text: [UInt8]
    /// Whether no text needed an escape; else what was written is of no use.
    var isPlain = true

    mutating func write(_ grant: Grant) {
        write("{\"cluster\":")
        write(quoted: grant.cluster)
        write(",\"mark\":{\"incarnation\":")
        write(quoted: grant.mark.incarnation)
        write(",\"revision\":")
        write(grant.mark.revision)
        write("},\"isActive\":")
        write(grant.isActive ? "true" : "false")
        write(",\"elapsed\":")
        write(signed: grant.elapsed)
        write(",\"longest\":")
        write(signed: grant.longest)
        write(",\"rho\":")
        write(signed: Int64(grant.rho))
        if let table = grant.table {
            // Enough for most names, so that it does not grow many times.
            text.reserveCapacity(text.count + 160 * table.namespaces.count)
            write(",\"table\":{\"namespaces\":")
            list(table.namespaces) { $0.write(quoted: $1) }
            write(",\"holders\":")
            list(table.holders) { $0.write(quoted: $1) }
            write(",\"states\":")
            list(table.states) { $0.write(UInt64($1.rawValue)) }
            write(",\"slots\":")
            list(table.slots) { $0.write(signed: Int64($1)) }
            write(",\"terms\":")
            list(table.terms) { $0.write($1) }
            write(",\"limits\":")
            list(table.limits) { $0.write(signed: $1) }
            write(",\"acquired\":")
            list(table.acquired) { $0.write(signed: $1) }
            write(",\"transitions\":")
            list(table.transitions) { $0.write(signed: Int64($1)) }
            write("}")
        }
        write("}")
    }

    private mutating func write(_ part: StaticString) {
        part.withUTF8Buffer { unsafe text.append(contentsOf: $0) }
    }

    private mutating func write(quoted string: String) {
        text.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            isPlain = isPlain && GrantReader.isPlain(byte)
            text.append(byte)
        }
        text.append(UInt8(ascii: "\""))
    }

    private mutating func write(signed number: Int64) {
        if number < 0 { text.append(UInt8(ascii: "-")) }
        write(number.magnitude)
    }

    private mutating func write(_ number: UInt64) {
        let start = text.count
        var rest = number
        repeat {
            text.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        text[start...].reverse()
    }

    private mutating func list<Element>(_ elements: [Element], _ write: (inout GrantWriter, Element) -> Void) {
        text.append(UInt8(ascii: "["))
        for (index, element) in elements.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            write(&self, element)
        }
        text.append(UInt8(ascii: "]"))
    }
}

/// Reads a grant as ``GrantWriter`` writes it, its members in any order. nil from any step: it is not like that.
private struct GrantReader {
    private let text: [UInt8]
    private var index = 0

    init(text: [UInt8]) {
        self.text = text
    }

    /// Whether JSON has the byte in a string as it is. Others than ASCII, which would have to be checked, are none of ours.
    static func isPlain(_ byte: UInt8) -> Bool {
        (0x20...0x7E).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    mutating func grant() -> Grant? {
        var cluster: String?
        var mark: TableMark?
        var isActive: Bool?
        var elapsed: Int64?
        var longest: Int64?
        var rho: Int64?
        var table: GrantedTable?
        let isRead = object { reader, key in
            switch key {
            case "cluster": reader.set(&cluster) { $0.string() }
            case "mark": reader.set(&mark) { $0.mark() }
            case "isActive": reader.set(&isActive) { $0.bool() }
            case "elapsed": reader.set(&elapsed) { $0.signed() }
            case "longest": reader.set(&longest) { $0.signed() }
            case "rho": reader.set(&rho) { $0.signed() }
            case "table": reader.set(&table) { $0.table() }
            default: false
            }
        }
        guard isRead, index == text.count, let cluster, let mark, let isActive, let elapsed, let longest, let rho else {
            return nil
        }
        return Grant(
            cluster: cluster, mark: mark, isActive: isActive, elapsed: elapsed, longest: longest, rho: Int(rho),
            table: table)
    }

    private mutating func mark() -> TableMark? {
        var incarnation: String?
        var revision: UInt64?
        let isRead = object { reader, key in
            switch key {
            case "incarnation": reader.set(&incarnation) { $0.string() }
            case "revision": reader.set(&revision) { $0.unsigned() }
            default: false
            }
        }
        guard isRead, let incarnation, let revision else { return nil }
        return TableMark(incarnation: incarnation, revision: revision)
    }

    private mutating func table() -> GrantedTable? {
        var namespaces: [String]?
        var holders: [String]?
        var states: [LeadershipTable.Entry.State]?
        var slots: [Int32]?
        var terms: [UInt64]?
        var limits: [Int64]?
        var acquired: [Int64]?
        var transitions: [Int32]?
        let isRead = object { reader, key in
            switch key {
            case "namespaces": reader.set(&namespaces) { $0.list { $0.string() } }
            case "holders": reader.set(&holders) { $0.list { $0.string() } }
            case "states":
                reader.set(&states) {
                    $0.list { $0.unsigned().flatMap { UInt8(exactly: $0) }.flatMap { .init(rawValue: $0) } }
                }
            case "slots": reader.set(&slots) { $0.list { $0.signed().flatMap { Int32(exactly: $0) } } }
            case "terms": reader.set(&terms) { $0.list { $0.unsigned() } }
            case "limits": reader.set(&limits) { $0.list { $0.signed() } }
            case "acquired": reader.set(&acquired) { $0.list { $0.signed() } }
            case "transitions": reader.set(&transitions) { $0.list { $0.signed().flatMap { Int32(exactly: $0) } } }
            default: false
            }
        }
        guard isRead, let namespaces, let holders, let states, let slots, let terms, let limits, let acquired,
            let transitions
        else { return nil }
        return GrantedTable(
            namespaces: namespaces, holders: holders, states: states, slots: slots, terms: terms, limits: limits,
            acquired: acquired, transitions: transitions)
    }

    // MARK: Values

    private mutating func take(_ byte: UInt8) -> Bool {
        guard index < text.count, text[index] == byte else { return false }
        index += 1
        return true
    }

    /// - Returns: whether there was a value, and none before under the same key.
    private mutating func set<Value>(_ value: inout Value?, _ read: (inout GrantReader) -> Value?) -> Bool {
        guard value == nil else { return false }
        value = read(&self)
        return value != nil
    }

    private mutating func object(_ member: (inout GrantReader, _ key: String) -> Bool) -> Bool {
        guard take(UInt8(ascii: "{")) else { return false }
        repeat {
            guard let key = string(), take(UInt8(ascii: ":")), member(&self, key) else { return false }
        } while take(UInt8(ascii: ","))
        return take(UInt8(ascii: "}"))
    }

    private mutating func list<Element>(_ element: (inout GrantReader) -> Element?) -> [Element]? {
        guard take(UInt8(ascii: "[")) else { return nil }
        if take(UInt8(ascii: "]")) { return [] }
        var elements: [Element] = []
        repeat {
            guard let next = element(&self) else { return nil }
            elements.append(next)
        } while take(UInt8(ascii: ","))
        return take(UInt8(ascii: "]")) ? elements : nil
    }

    private mutating func string() -> String? {
        guard take(UInt8(ascii: "\"")) else { return nil }
        let start = index
        while index < text.count, Self.isPlain(text[index]) { index += 1 }
        let end = index
        return take(UInt8(ascii: "\"")) ? String(decoding: text[start..<end], as: UTF8.self) : nil
    }

    private mutating func bool() -> Bool? {
        for (word, value) in [("true", true), ("false", false)] where text[index...].starts(with: word.utf8) {
            index += word.utf8.count
            return value
        }
        return nil
    }

    private mutating func signed() -> Int64? {
        let isNegative = take(UInt8(ascii: "-"))
        guard let magnitude = unsigned(), let number = Int64(exactly: magnitude) else { return nil }
        return isNegative ? -number : number
    }

    /// What follows the digits, such as a fraction, fits into no place where a number may be.
    private mutating func unsigned() -> UInt64? {
        let start = index
        var number: UInt64 = 0
        while index < text.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(text[index]) {
            let (tens, isLarge) = number.multipliedReportingOverflow(by: 10)
            let (sum, isLarger) = tens.addingReportingOverflow(UInt64(text[index] - UInt8(ascii: "0")))
            guard !isLarge, !isLarger else { return nil }
            number = sum
            index += 1
        }
        // JSON has no number that begins with a zero.
        guard index > start, index == start + 1 || text[start] != UInt8(ascii: "0") else { return nil }
        return number
    }
}

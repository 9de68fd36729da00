/// The UTF-8 of a JSON string with its escapes resolved, byte by byte.
///
/// The string has been validated before, by ``JSONBytes/skipString(from:_:)``; what is left to find is half a
/// surrogate pair.
struct UnescapedBytes {
    private let json: JSONBytes
    private let start: Int
    private let end: Int
    private var index: Int
    /// The rest of a character that an escape stood for: its next byte lowest, 0 after its last.
    private var pending: UInt32 = 0

    /// - Parameters:
    ///   - start: index after the opening quote.
    ///   - end: index of the closing quote.
    init(_ json: JSONBytes, _ start: Int, _ end: Int) {
        self.json = json
        self.start = start
        self.end = end
        index = start
    }

    /// The next byte; nil at the end.
    ///
    /// - Throws: `loneSurrogate`.
    mutating func next() throws(ScanError) -> UInt8? {
        if pending != 0 {
            defer { pending >>= 8 }
            return UInt8(truncatingIfNeeded: pending)
        }
        guard index < end else { return nil }
        defer { index += 1 }
        guard json[index] == UInt8(ascii: "\\") else { return json[index] }
        index += 1
        switch json[index] {
        case UInt8(ascii: "b"): return 0x08
        case UInt8(ascii: "t"): return 0x09
        case UInt8(ascii: "n"): return 0x0A
        case UInt8(ascii: "f"): return 0x0C
        case UInt8(ascii: "r"): return 0x0D
        case UInt8(ascii: "u"): return try firstByte(of: escapedScalar())
        default: return json[index]  // A quote, a slash or a backslash.
        }
    }

    /// The character of the `\u` escape at whose `u` the index is; moves on to the last of its digits.
    private mutating func escapedScalar() throws(ScanError) -> UInt32 {
        let unit = codeUnit()
        guard unit & 0xF800 == 0xD800 else { return unit }
        guard unit < 0xDC00, index + 2 < end, json[index + 1] == UInt8(ascii: "\\"),
            json[index + 2] == UInt8(ascii: "u")
        else { throw ScanError(kind: .loneSurrogate, offset: start) }
        index += 2
        let low = codeUnit()
        guard low & 0xFC00 == 0xDC00 else { throw ScanError(kind: .loneSurrogate, offset: start) }
        return 0x10000 + (unit & 0x3FF) << 10 + low & 0x3FF
    }

    private mutating func codeUnit() -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            index += 1
            unit = unit << 4 | UInt32(json[index].hexadecimalValue!)
        }
        return unit
    }

    private mutating func firstByte(of scalar: UInt32) -> UInt8 {
        func continuation(_ shift: UInt32) -> UInt32 { 0x80 | scalar >> shift & 0x3F }
        switch scalar {
        case 0..<0x80:
            return UInt8(scalar)
        case 0..<0x800:
            pending = continuation(0)
            return UInt8(0xC0 | scalar >> 6)
        case 0..<0x10000:
            pending = continuation(6) | continuation(0) << 8
            return UInt8(0xE0 | scalar >> 12)
        default:
            pending = continuation(12) | continuation(6) << 8 | continuation(0) << 16
            return UInt8(0xF0 | scalar >> 18)
        }
    }
}

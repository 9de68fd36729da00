/// The bytes of one JSON text (RFC 8259), with a validating step over each kind of value.
///
/// The one place that reads a body without bounds checks in release builds: every index is compared with ``count``
/// first, debug builds trap where that was forgotten, and callers only pass on indices that these functions returned.
/// A step takes the index of its first byte and returns the index after its last; nothing is copied or allocated.
@safe struct JSONBytes {
    /// How many arrays and objects may be open at once.
    static let depthMax = 1000

    private let bytes: UnsafeRawBufferPointer
    let count: Int

    /// - Parameter bytes: must stay in place as long as this value is used.
    init(_ bytes: UnsafeRawBufferPointer) {
        unsafe self.bytes = bytes
        count = bytes.count
    }

    @inline(__always)
    subscript(index: Int) -> UInt8 { unsafe bytes[index] }

    func slice(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }

    /// Eight bytes, the first one lowest.
    @inline(__always)
    private func word(at index: Int) -> UInt64 {
        UInt64(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
    }

    // MARK: Between values

    /// The index of the first byte from `start` on that is not whitespace.
    ///
    /// - Throws: `unexpectedEnd` when there is none.
    @inline(__always)
    func token(from start: Int) throws(ScanError) -> Int {
        // API servers write compact JSON: the first byte is the token, nearly always.
        guard start < count else { throw ScanError(kind: .unexpectedEnd, offset: count) }
        return self[start] > 0x20 ? start : try tokenAfterWhitespace(from: start)
    }

    @inline(never)
    private func tokenAfterWhitespace(from start: Int) throws(ScanError) -> Int {
        let index = end(ofWhitespaceFrom: start)
        guard index < count else { throw ScanError(kind: .unexpectedEnd, offset: count) }
        return index
    }

    func end(ofWhitespaceFrom start: Int) -> Int {
        var index = start
        while index < count, self[index] == 0x20 || self[index] == 0x0A || self[index] == 0x0D || self[index] == 0x09 {
            index += 1
        }
        return index
    }

    func unexpected(at index: Int) -> ScanError {
        index < count
            ? ScanError(kind: .unexpectedByte, offset: index) : ScanError(kind: .unexpectedEnd, offset: count)
    }

    // MARK: Values

    /// Steps over a whole value, however deep, without recursion.
    ///
    /// - Parameters:
    ///   - start: index of the value's first byte, or of whitespace before it.
    ///   - outer: how many containers are open around it.
    func skipValue(from start: Int, depth outer: Int) throws(ScanError) -> Int {
        // Bit d of the words: the container at depth d is an object. `inObject` is that of the innermost one.
        var objects = InlineArray<16, UInt64>(repeating: 0)
        var inObject = false
        var depth = outer
        var index = start
        while true {
            index = try token(from: index)
            switch self[index] {
            case UInt8(ascii: "\""):
                index = try skipString(from: index)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard depth < Self.depthMax else { throw ScanError(kind: .tooDeep, offset: index) }
                let bit = UInt64(1) << UInt64(depth & 63)
                if inObject { objects[depth >> 6] |= bit } else { objects[depth >> 6] &= ~bit }
                depth += 1
                inObject = self[index] == UInt8(ascii: "{")
                index = try token(from: index &+ 1)
                if self[index] == (inObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    index &+= 1
                    depth -= 1
                    inObject = objects[depth >> 6] & bit != 0
                } else {
                    if inObject { index = try skipKey(from: index) }
                    continue
                }
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                index = try skipNumber(from: index)
            default:
                index = try skipLiteral(from: index)
            }
            // A value has ended: close what ends with it, up to the comma before the next one.
            while true {
                if depth == outer { return index }
                index = try token(from: index)
                let byte = self[index]
                if byte == UInt8(ascii: ",") {
                    index &+= 1
                    if inObject { index = try skipKey(from: token(from: index)) }
                    break
                }
                guard byte == (inObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) else { throw unexpected(at: index) }
                index &+= 1
                depth -= 1
                inObject = objects[depth >> 6] & (1 << UInt64(depth & 63)) != 0
            }
        }
    }

    /// Steps over a key and its colon.
    @inline(__always)
    private func skipKey(from start: Int) throws(ScanError) -> Int {
        guard self[start] == UInt8(ascii: "\"") else { throw unexpected(at: start) }
        return try skipColon(from: skipString(from: start))
    }

    @inline(__always)
    func skipColon(from start: Int) throws(ScanError) -> Int {
        let index = try token(from: start)
        guard self[index] == UInt8(ascii: ":") else { throw unexpected(at: index) }
        return index &+ 1
    }

    @inline(__always)
    private func skipString(from start: Int) throws(ScanError) -> Int {
        var isPlain = true
        return try skipString(from: start, &isPlain)
    }

    /// Steps over a string.
    ///
    /// - Parameters:
    ///   - start: index of the opening quote.
    ///   - isPlain: set to false when the string holds an escape or a non-ASCII character.
    @inline(__always)
    func skipString(from start: Int, _ isPlain: inout Bool) throws(ScanError) -> Int {
        var index = start &+ 1
        while true {
            index = plainEnd(from: index)
            guard index < count else { throw ScanError(kind: .unexpectedEnd, offset: count) }
            let byte = self[index]
            if byte == UInt8(ascii: "\"") { return index &+ 1 }
            isPlain = false
            index = try skipSpecial(byte, at: index)
        }
    }

    /// The index of the first byte from `start` on that is not plain inside a string: a quote, a backslash, a control
    /// byte or the start of a longer UTF-8 sequence. ``count`` when all are plain.
    ///
    /// Eight bytes at a time in a register: `SIMD16` comparisons compile to loops over the lanes, 20 times slower.
    @inline(__always)
    private func plainEnd(from start: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        var index = start
        while index &+ 8 <= count {
            let word = word(at: index)
            // The high bit of each byte: is it below 0x20, a quote or a backslash? A borrow can raise the bits above a
            // true hit only, so the lowest one is right; where a byte's own high bit matters, `word` raises it anyway.
            let below = word &- (ones &* 0x20)
            let quote = (word ^ (ones &* 0x22)) &- ones
            let backslash = (word ^ (ones &* 0x5C)) &- ones
            let stops = (below | quote | backslash | word) & (ones &* 0x80)
            if stops != 0 { return index &+ (stops.trailingZeroBitCount &>> 3) }
            index &+= 8
        }
        while index < count, self[index] >= 0x20, self[index] < 0x80, self[index] != 0x22, self[index] != 0x5C {
            index &+= 1
        }
        return index
    }

    /// Steps over an escape or a UTF-8 sequence of more than one byte.
    @inline(__always)
    private func skipSpecial(_ byte: UInt8, at index: Int) throws(ScanError) -> Int {
        if byte == UInt8(ascii: "\\") { return try skipEscape(from: index) }
        guard byte >= 0x80 else { throw ScanError(kind: .controlByte, offset: index) }
        return try skipSequences(from: index)
    }

    @inline(__always)
    private func skipEscape(from index: Int) throws(ScanError) -> Int {
        guard index + 1 < count else { throw ScanError(kind: .unexpectedEnd, offset: count) }
        switch self[index + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "n"), UInt8(ascii: "t"), UInt8(ascii: "/"),
            UInt8(ascii: "r"), UInt8(ascii: "b"), UInt8(ascii: "f"):
            return index + 2
        case UInt8(ascii: "u"):
            for digit in index + 2..<index + 6 {
                guard digit < count, self[digit].hexadecimalValue != nil else { throw unexpected(at: digit) }
            }
            return index + 6
        default:
            throw unexpected(at: index + 1)
        }
    }

    /// Steps over UTF-8 sequences of two to four bytes, as many as follow each other (Unicode, table 3-7).
    @inline(never)
    private func skipSequences(from start: Int) throws(ScanError) -> Int {
        var index = start
        while index < count, self[index] >= 0x80 {
            let first = self[index]
            // The second byte's range keeps out overlong forms, surrogates and values above U+10FFFF.
            let length: Int
            let second: ClosedRange<UInt8>
            switch first {
            case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
            case 0xE0: (length, second) = (3, 0xA0...0xBF)
            case 0xED: (length, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
            case 0xF0: (length, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
            case 0xF4: (length, second) = (4, 0x80...0x8F)
            default: throw ScanError(kind: .invalidUTF8, offset: index)
            }
            guard index + length <= count, second.contains(self[index + 1]),
                length < 3 || self[index + 2] & 0xC0 == 0x80, length < 4 || self[index + 3] & 0xC0 == 0x80
            else { throw ScanError(kind: .invalidUTF8, offset: index) }
            index += length
        }
        return index
    }

    /// Steps over a number: `-? (0 | [1-9][0-9]*) (\.[0-9]+)? ([eE][+-]?[0-9]+)?`.
    func skipNumber(from start: Int) throws(ScanError) -> Int {
        var index = start
        if self[index] == UInt8(ascii: "-") { index += 1 }
        if index < count, self[index] == UInt8(ascii: "0") {
            index += 1
        } else {
            index = try skipDigits(from: index)
        }
        if index < count, self[index] == UInt8(ascii: ".") { index = try skipDigits(from: index + 1) }
        if index < count, self[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < count, self[index] == UInt8(ascii: "+") || self[index] == UInt8(ascii: "-") { index += 1 }
            index = try skipDigits(from: index)
        }
        return index
    }

    /// Steps over one digit or more.
    @inline(__always)
    private func skipDigits(from start: Int) throws(ScanError) -> Int {
        var index = start
        while index < count, self[index] &- UInt8(ascii: "0") < 10 { index += 1 }
        guard index > start else { throw unexpected(at: index) }
        return index
    }

    /// Steps over `true`, `false` or `null`.
    func skipLiteral(from start: Int) throws(ScanError) -> Int {
        let word: StaticString
        switch self[start] {
        case UInt8(ascii: "t"): word = "true"
        case UInt8(ascii: "f"): word = "false"
        case UInt8(ascii: "n"): word = "null"
        default: throw unexpected(at: start)
        }
        for offset in 1..<word.utf8CodeUnitCount {
            guard start + offset < count, unsafe self[start + offset] == word.utf8Start[offset] else {
                throw unexpected(at: start + offset)
            }
        }
        return start + word.utf8CodeUnitCount
    }
}

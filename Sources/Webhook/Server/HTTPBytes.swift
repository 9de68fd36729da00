// The classes of bytes that HTTP/1.1 knows, and comparisons with fixed words.

extension UInt8 {
    static let tab = UInt8(ascii: "\t")
    static let lineFeed = UInt8(ascii: "\n")
    static let carriageReturn = UInt8(ascii: "\r")
    static let space = UInt8(ascii: " ")

    var isBlank: Bool { self == .space || self == .tab }

    var isDigit: Bool { self &- 0x30 < 10 }

    /// `tchar` of RFC 9110, section 5.6.2, one bit for each ASCII byte.
    var isToken: Bool {
        let low: UInt64 = 0x03FF_6CFA_0000_0000
        let high: UInt64 = 0x57FF_FFFF_C7FF_FFFE
        if self < 64 { return low >> UInt64(self) & 1 == 1 }
        return self < 128 && high >> UInt64(self & 63) & 1 == 1
    }

    /// The value of this hexadecimal digit.
    var hexadecimalValue: Int? {
        if isDigit { return Int(self - 0x30) }
        let letter = (self | 0x20) &- UInt8(ascii: "a")
        return letter < 6 ? Int(letter) + 10 : nil
    }

    var lowercased: UInt8 { self &- UInt8(ascii: "A") < 26 ? self | 0x20 : self }
}

extension Span<UInt8> {
    func equals(_ word: StaticString) -> Bool {
        guard count == word.utf8CodeUnitCount else { return false }
        for index in 0..<count where unsafe self[index] != word.utf8Start[index] { return false }
        return true
    }

    /// - Parameter word: in lower case.
    func equalsIgnoringCase(_ word: StaticString) -> Bool {
        guard count == word.utf8CodeUnitCount else { return false }
        for index in 0..<count where unsafe self[index].lowercased != word.utf8Start[index] { return false }
        return true
    }
}

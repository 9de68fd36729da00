/// Building answers in a reused buffer: none of these allocates unless the buffer has to grow.
extension [UInt8] {
    mutating func append(_ text: String) {
        append(contentsOf: text.utf8)
    }

    mutating func append(_ text: Text) {
        unsafe append(contentsOf: text.utf8)
    }

    /// Appends `number` in decimal.
    mutating func append(decimal number: UInt64) {
        // Writing the digits backwards and reversing them as a slice would copy the whole array.
        if number >= 10 { append(decimal: number / 10) }
        append(UInt8(ascii: "0") + UInt8(number % 10))
    }

    /// Appends `text` as a JSON string, quotes included (RFC 8259, section 7).
    mutating func append(json text: [UInt8]) {
        unsafe text.withUnsafeBytes { unsafe append(json: $0) }
    }

    mutating func append(json text: Text) {
        unsafe append(json: text.utf8)
    }

    mutating func append(json text: String) {
        var text = text
        text.withUTF8 { unsafe append(json: UnsafeRawBufferPointer($0)) }
    }

    /// - Parameter text: valid UTF-8.
    private mutating func append(json text: UnsafeRawBufferPointer) {
        append(UInt8(ascii: "\""))
        var plain = 0
        for index in text.indices {
            let byte = unsafe text[index]
            guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == 0x7F else {
                continue
            }
            unsafe append(contentsOf: text[plain..<index])
            plain = index + 1
            append(UInt8(ascii: "\\"))
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                append(byte)
            } else {
                append("u00")
                append(hexDigit: byte >> 4)
                append(hexDigit: byte & 0xF)
            }
        }
        unsafe append(contentsOf: text[plain...])
        append(UInt8(ascii: "\""))
    }

    private mutating func append(hexDigit value: UInt8) {
        append(value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10)
    }
}

/// Percent-encoding of every byte but the unreserved ones (RFC 3986, section 2).
package enum PercentEncoding {
    package static func encoded(_ text: String) -> String {
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.append(byte)
            default: result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// As `application/x-www-form-urlencoded`.
    package static func form(_ pairs: [(String, String)]) -> [UInt8] {
        Array(pairs.map { "\(encoded($0))=\(encoded($1))" }.joined(separator: "&").utf8)
    }

    private static let digits = Array("0123456789ABCDEF".utf8)
}

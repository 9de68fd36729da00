private import FoundationEssentials

/// CRC-32C (RFC 3720, appendix B.4), the checksum that Google Cloud Storage keeps of every object.
struct CRC32C: Hashable {
    private static let table = (UInt32(0)..<256).map { index in
        (0..<8).reduce(index) { rest, _ in rest & 1 == 1 ? (rest >> 1) ^ 0x82F6_3B78 : rest >> 1 }
    }

    let value: UInt32

    init(of bytes: [UInt8]) {
        var rest: UInt32 = ~0
        for byte in bytes { rest = Self.table[Int(UInt8(truncatingIfNeeded: rest) ^ byte)] ^ (rest >> 8) }
        value = ~rest
    }

    /// As the JSON API writes it: the four bytes, the highest first, in Base64.
    var base64: String {
        Data([24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }).base64EncodedString()
    }
}

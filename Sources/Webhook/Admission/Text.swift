private import Glibc

/// A string value of an AdmissionReview, as UTF-8 bytes that lie in the body, or decoded in the scanner's scratch memory.
///
/// Valid as long as the body stays in place, and until the scanner's next scan. Empty when the field is absent.
@safe package struct Text {
    private let start: UnsafeRawPointer?
    package let count: Int
    /// Whether the bytes are still those of the body, escapes and all; never so after a scan.
    var isEscaped = false

    package init() {
        unsafe start = nil
        count = 0
    }

    /// - Parameter bytes: valid UTF-8 that stays in place as long as this value is used.
    package init(_ bytes: UnsafeRawBufferPointer) {
        unsafe start = bytes.baseAddress
        count = bytes.count
    }

    package var utf8: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: start, count: count) }

    package var isEmpty: Bool { count == 0 }

    /// A copy.
    package var string: String { unsafe String(decoding: utf8, as: UTF8.self) }

    func equals(_ other: StaticString) -> Bool {
        unsafe count == other.utf8CodeUnitCount && hasPrefix(other.utf8Start, other.utf8CodeUnitCount)
    }

    func hasPrefix(_ prefix: StaticString) -> Bool {
        unsafe hasPrefix(prefix.utf8Start, prefix.utf8CodeUnitCount)
    }

    func hasPrefix(_ prefix: [UInt8]) -> Bool {
        unsafe prefix.withUnsafeBufferPointer { unsafe hasPrefix($0.baseAddress, $0.count) }
    }

    private func hasPrefix(_ prefix: UnsafePointer<UInt8>?, _ length: Int) -> Bool {
        guard count >= length else { return false }
        guard let start = unsafe start, let prefix = unsafe prefix else { return length == 0 }
        return unsafe memcmp(start, prefix, length) == 0
    }

    /// Whether the two differ in the case of letters at most.
    ///
    /// - Parameter other: ASCII letters.
    func equalsIgnoringCase(_ other: StaticString) -> Bool {
        guard count == other.utf8CodeUnitCount else { return false }
        return (0..<count).allSatisfy { unsafe utf8[$0] | 0x20 == other.utf8Start[$0] | 0x20 }
    }
}

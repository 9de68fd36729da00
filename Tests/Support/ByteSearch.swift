private import CLinux
package import FoundationEssentials

/// Looks for bytes in many bytes: a core dump, which would take a loop of a debug build minutes.
package enum ByteSearch {
    package static func contains(_ part: [UInt8], in bytes: Data) -> Bool {
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe memmem(bytes.baseAddress!, bytes.count, part, part.count) != nil
        }
    }
}

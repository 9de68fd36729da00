private import Glibc

/// A file of a few lines, such as a token.
enum SmallTextFile {
    /// A Secret has at most 1 MiB.
    private static let bytesMax = 1 << 20

    /// - Parameter what: as errors call it; they never show the contents.
    /// - Returns: the text without white space at its ends.
    static func read(_ path: String, _ what: String) throws(KubernetesError) -> String {
        func failure(_ code: Int32) -> KubernetesError {
            // strerror(3) is safe on any thread for the codes that Linux knows.
            KubernetesError(
                .credentials,
                "Could not read \(what) from \(path): \(unsafe String(cString: strerror(code))). Check that the file is "
                    + "mounted and readable by this process")
        }
        // O_NONBLOCK: a FIFO in the place of the file must not hold us.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure(errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16384)
        while bytes.count <= bytesMax {
            let count = unsafe piece.withUnsafeMutableBytes {
                unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw failure(errno) }
            if count == 0 { break }
            bytes += piece[..<count]
        }
        guard bytes.count <= bytesMax else { throw failure(EFBIG) }
        let text = String(decoding: bytes, as: UTF8.self).trimmed
        guard !text.isEmpty else { throw KubernetesError(.credentials, "The file \(path), for \(what), is empty") }
        return text
    }
}

extension String {
    /// Without white space at both ends.
    var trimmed: String {
        String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}

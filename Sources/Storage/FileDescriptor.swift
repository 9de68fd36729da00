internal import Glibc

/// Owns one file descriptor and closes it at its end. Always close-on-exec.
struct FileDescriptor: ~Copyable, Sendable {
    let raw: Int32

    /// Takes over a descriptor that is open.
    init(owning raw: Int32) {
        self.raw = raw
    }

    /// openat(2).
    ///
    /// - Parameter directory: where a relative `path` starts; `AT_FDCWD`: the working directory.
    /// - Throws: ``SystemError`` of the call.
    init(_ path: String, in directory: Int32 = AT_FDCWD, _ flags: Int32, mode: mode_t = 0) throws(SystemError) {
        raw = try SystemError.check { unsafe openat(directory, path, flags | O_CLOEXEC, mode) }
    }

    deinit {
        // What matters was made durable by fsync(2); close(2) has nothing left to report.
        close(raw)
    }

    func status() throws(SystemError) -> stat {
        var status = stat()
        _ = try SystemError.check { unsafe fstat(raw, &status) }
        return status
    }

    /// fsync(2).
    func sync() throws(SystemError) {
        _ = try SystemError.check { fsync(raw) }
    }

    func write(_ bytes: [UInt8]) throws(SystemError) {
        var written = 0
        while written < bytes.count {
            written += try SystemError.check {
                unsafe bytes.withUnsafeBytes { unsafe Glibc.write(raw, $0.baseAddress! + written, $0.count - written) }
            }
        }
    }

    /// The file from here to its end, or its first `limit` + 1 bytes when it is longer than `limit`.
    func read(limit: Int) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count <= limit {
            let count = try SystemError.check {
                unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(raw, $0.baseAddress, $0.count) }
            }
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
            if chunk.count < 65536 { chunk = [UInt8](repeating: 0, count: 65536) }
        }
        return Array(bytes[...limit])
    }
}

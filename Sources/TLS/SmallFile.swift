private import COpenSSL
private import Glibc

/// Certificate and key files: read whole, written whole.
package enum SmallFile {
    /// Beyond this a file is refused. A Kubernetes Secret or ConfigMap holds at most 1 MiB.
    static let bytesMax = 1 << 20

    /// What changes when a file is written, replaced, or reached through a symbolic link that now points elsewhere.
    package struct Stamp: Equatable, Sendable {
        var device: UInt
        var inode: UInt
        var size: Int
        var modified: [Int]
        var changed: [Int]
    }

    /// The stamp of the file that `path` leads to now, or nil when there is none.
    package static func stamp(of path: String) -> Stamp? {
        var info = stat()
        guard unsafe stat(path, &info) == 0 else { return nil }
        return Stamp(
            device: UInt(info.st_dev), inode: UInt(info.st_ino), size: Int(info.st_size),
            modified: [info.st_mtim.tv_sec, info.st_mtim.tv_nsec],
            changed: [info.st_ctim.tv_sec, info.st_ctim.tv_nsec])
    }

    /// The stamps of several files, in their order.
    package static func stamps(of paths: [String]) -> [Stamp?] {
        paths.map { stamp(of: $0) }
    }

    /// Loads what several files hold together, when a process starts.
    ///
    /// Certificate and key are replaced one after the other: who comes in between reads a pair that does not match. Contents
    /// that cannot be used are therefore given a second to change, and loaded again as soon as they have. Waits in the
    /// calling thread.
    ///
    /// - Returns: what was loaded, and the stamps from before that: a change while loading shows at the next look.
    package static func loadSettled<Loaded>(
        _ paths: [String], _ load: () throws(TLSError) -> Loaded
    ) throws(TLSError) -> (loaded: Loaded, stamps: [Stamp?]) {
        var looksLeft = 20
        while true {
            let before = stamps(of: paths)
            do throws(TLSError) {
                return (try load(), before)
            } catch {
                // What is missing or may not be read is not about to be replaced.
                guard case .invalid = error else { throw error }
                repeat {
                    guard looksLeft > 0 else { throw error }
                    looksLeft -= 1
                    usleep(50_000)
                } while stamps(of: paths) == before
            }
        }
    }

    /// Lends the bytes of a regular file to `body`, then wipes them from memory.
    static func withContents<Result>(
        of path: String, _ body: (Span<UInt8>) throws(TLSError) -> Result
    ) throws(TLSError) -> Result {
        // O_NONBLOCK: opening a FIFO by mistake must not wait for its writer.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw TLSError.file(path: path, doing: "open", code: errno) }
        defer { close(descriptor) }
        var info = stat()
        guard unsafe fstat(descriptor, &info) == 0 else { throw TLSError.file(path: path, doing: "read", code: errno) }
        guard info.st_mode & S_IFMT == S_IFREG else { throw TLSError.invalid(path, problem: "is not a regular file") }
        guard info.st_size <= bytesMax else {
            throw TLSError.invalid(path, problem: "has \(info.st_size) bytes, more than the \(bytesMax) allowed")
        }

        // One byte more than expected, to notice a file that grows.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(info.st_size) + 1, alignment: 1)
        defer {
            unsafe OPENSSL_cleanse(buffer.baseAddress, buffer.count)
            unsafe buffer.deallocate()
        }
        var filled = 0
        while filled < buffer.count {
            let count = unsafe Glibc.read(descriptor, buffer.baseAddress! + filled, buffer.count - filled)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw TLSError.file(path: path, doing: "read", code: errno) }
            if count == 0 { break }
            filled += count
        }
        guard filled < buffer.count else { throw TLSError.invalid(path, problem: "grew while it was read") }
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<filled])
        return try unsafe body(Span(_unsafeBytes: bytes))
    }

    /// Puts a file with exactly these permissions at `path` in one step: readers see the old file or the new one whole.
    static func replace(_ path: String, with bytes: Span<UInt8>, mode: UInt32) throws(TLSError) {
        let new = path + ".new-" + String(UInt64.random(in: .min ... .max), radix: 36)
        let descriptor = unsafe open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw TLSError.file(path: new, doing: "create", code: errno) }
        var doing = "write"
        // fchmod: the process's umask may have taken permissions away from what was asked for.
        var good = write(bytes, to: descriptor) && fchmod(descriptor, mode) == 0 && fsync(descriptor) == 0
        var code = errno
        close(descriptor)
        if good {
            doing = "put in place"
            good = unsafe rename(new, path) == 0
            code = errno
        }
        guard good else {
            unsafe unlink(new)
            throw TLSError.file(path: path, doing: doing, code: code)
        }
    }

    private static func write(_ bytes: Span<UInt8>, to descriptor: Int32) -> Bool {
        unsafe bytes.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let count = unsafe Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
                if count < 0 && errno == EINTR { continue }
                guard count >= 0 else { return false }
                written += count
            }
            return true
        }
    }
}

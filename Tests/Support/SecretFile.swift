private import FoundationEssentials
private import Glibc

/// A file that only this user can read.
package enum SecretFile {
    /// Replaces the file in one step.
    package static func write(_ text: String, to path: String) throws {
        let temporary = "\(path).\(UUID().uuidString)"
        let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("make", temporary) }
        defer { close(descriptor) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("write", temporary) }
            rest = rest.dropFirst(count)
        }
        guard unsafe rename(temporary, path) == 0 else { throw failure("replace", path) }
    }

    private static func failure(_ attempt: String, _ path: String) -> ChildProcess.Failure {
        ChildProcess.Failure("cannot \(attempt) \(path): \(unsafe String(cString: strerror(errno)))")
    }
}

internal import Glibc

/// A system call that failed, by its errno(3).
struct SystemError: Error, Hashable {
    let code: Int32

    /// Calls until it is not interrupted by a signal.
    ///
    /// - Parameter call: a system call that returns a negative number and sets errno(3) when it fails.
    /// - Returns: what the call returned.
    static func check<Result: SignedInteger>(_ call: () -> Result) throws(SystemError) -> Result {
        while true {
            let result = call()
            if result >= 0 { return result }
            let code = errno
            if code != EINTR { throw SystemError(code: code) }
        }
    }

    /// What happened and what to do, as the end of a sentence.
    var explanation: String {
        // strerror(3) is safe on any thread for the codes that Linux knows.
        let text = unsafe String(cString: strerror(code))
        return advice.map { "\(text). \($0)" } ?? "\(text)."
    }

    private var advice: String? {
        switch code {
        case ENOSPC, EDQUOT: "Free space or inodes on that file system, or raise the quota."
        case EFBIG: "Raise this process's limit on file sizes (ulimit -f)."
        case EACCES, EPERM: "Let the user that this process runs as read and write there."
        case EROFS: "Mount that file system for writing, or choose another directory."
        case ENOTDIR: "Name a directory; a part of this path is a file."
        case EMFILE, ENFILE: "Raise the limit on open files (ulimit -n)."
        case EIO: "The disk or its driver fails; see the kernel's log."
        case ELOOP: "Name a directory, not a symbolic link to one."
        default: nil
        }
    }
}

private import Glibc

/// Why a server could not start, in a sentence for its operator.
package enum ServerError: Error, Equatable, CustomStringConvertible {
    case badAddress(String)
    /// A system call failed with `code` (errno(3)) while `doing` something.
    case system(doing: String, code: Int32)

    package var description: String {
        switch self {
        case .badAddress(let text):
            "\"\(text)\" is no address to listen on; write :PORT for all addresses, or IP:PORT, or [IPv6]:PORT"
        case .system(let doing, let code):
            "cannot \(doing): \(Self.text(code))\(Self.advice(code))"
        }
    }

    private static func text(_ code: Int32) -> String {
        unsafe String(cString: strerror(code))
    }

    private static func advice(_ code: Int32) -> String {
        switch code {
        case EADDRINUSE: "; another process listens there: stop it or choose another port"
        case EACCES: "; ports below 1024 need the capability CAP_NET_BIND_SERVICE: choose a higher port"
        case EADDRNOTAVAIL: "; this machine has no such address"
        case EMFILE, ENFILE: "; raise the limit of open files (ulimit -n)"
        default: ""
        }
    }

    /// The error that the system call before has left in errno(3).
    static func last(doing: String) -> ServerError {
        .system(doing: doing, code: errno)
    }
}

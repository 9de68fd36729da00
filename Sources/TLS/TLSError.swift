private import Glibc

/// Why a key, a certificate, a context or a connection did not do what was asked. Holds no secrets.
package enum TLSError: Error, Equatable {
    /// Something given to us cannot be used: a PEM text, a name, a key that belongs to another certificate.
    ///
    /// `what` names it, with its path if it came from a file; `problem` is a clause ("is encrypted").
    case invalid(_ what: String, problem: String)

    /// The operating system refused to read or write a file.
    case file(path: String, doing: String, code: Int32)

    /// OpenSSL refused something that should always work, as when memory runs out or its own configuration is broken.
    case openSSL(doing: String, reason: String)

    /// TLS with this peer failed: no common version or cipher, no or a wrong certificate, bytes that are not TLS.
    case refused(reason: String)

    /// The transport broke (`code` is an errno value, often `ECONNRESET` or `EPIPE`).
    case disconnected(code: Int32)

    /// The peer's end of stream came without a close_notify alert, so what was received may have been cut short.
    case truncated
}

extension TLSError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .invalid(let what, let problem):
            "\(what) \(problem)"
        case .file(let path, let doing, let code):
            "cannot \(doing) \(path): \(Self.text(errno: code))"
        case .openSSL(let doing, let reason):
            "OpenSSL could not \(doing): \(reason)"
        case .refused(let reason):
            "TLS with the peer failed: \(reason)"
        case .disconnected(let code):
            "the connection broke: \(Self.text(errno: code))"
        case .truncated:
            "the peer closed the connection without close_notify; what it sent may be incomplete"
        }
    }

    private static func text(errno code: Int32) -> String {
        // strerror(3) is safe on any thread for the codes that Linux knows.
        unsafe String(cString: strerror(code))
    }
}

private import COpenSSL

/// OpenSSL's queue of errors, one for each thread.
///
/// It must be empty before a call whose result is judged by `SSL_get_error`, which looks at it, so every
/// failing call here is followed by ``drain()``.
enum ErrorQueue {
    static func clear() {
        ERR_clear_error()
    }

    /// Empties the queue into one line for people, the earliest (innermost) reason first.
    static func drain() -> String {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { break }
            // More than a few reasons say nothing new; the rest is dropped, but the queue is emptied.
            if reasons.count < reasonsMax { reasons.append(text(code)) }
        }
        return reasons.isEmpty ? "it gave no reason" : reasons.joined(separator: "; ")
    }

    /// Empties the queue into an error that says which step of ours failed.
    static func failure(_ doing: String) -> TLSError {
        .openSSL(doing: doing, reason: drain())
    }

    private static let reasonsMax = 4

    private static func text(_ code: UInt) -> String {
        if let reason = unsafe ERR_reason_error_string(code) { return unsafe String(cString: reason) }
        return "error 0x" + String(code, radix: 16)
    }
}

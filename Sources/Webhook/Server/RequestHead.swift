/// What the server takes from a request line and its headers. Ranges are offsets from the request's first byte.
struct RequestHead: Equatable {
    enum Method: Equatable {
        case get
        case head
        case post
        case other
    }

    var method = Method.other
    /// The path of the target, without its query.
    var path = 0..<0
    /// What follows the target's `?`; empty without one.
    var query = 0..<0
    var isHTTP10 = false
    var hasHost = false
    /// Content-Length, `Int.max` for a number that does not fit.
    var length: Int?
    var isChunked = false
    var expectsContinue = false
    /// The options close and keep-alive of the Connection headers.
    var asksClose = false
    var asksKeepAlive = false

    /// Whether the connection may serve another request after this one (RFC 9112, section 9.3).
    var keepsAlive: Bool { !asksClose && (!isHTTP10 || asksKeepAlive) }
}

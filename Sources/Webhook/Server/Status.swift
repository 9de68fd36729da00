/// The status codes that the server sends (RFC 9110, section 15).
package enum Status: Int, CaseIterable, Sendable {
    case ok = 200
    case badRequest = 400
    case notFound = 404
    case methodNotAllowed = 405
    case bodyTooLarge = 413
    case expectationFailed = 417
    case headersTooLarge = 431
    case notImplemented = 501
    case unavailable = 503
    case versionNotSupported = 505

    /// The status line of an answer, with its CRLF.
    var line: String {
        switch self {
        case .ok: "HTTP/1.1 200 OK\r\n"
        case .badRequest: "HTTP/1.1 400 Bad Request\r\n"
        case .notFound: "HTTP/1.1 404 Not Found\r\n"
        case .methodNotAllowed: "HTTP/1.1 405 Method Not Allowed\r\n"
        case .bodyTooLarge: "HTTP/1.1 413 Content Too Large\r\n"
        case .expectationFailed: "HTTP/1.1 417 Expectation Failed\r\n"
        case .headersTooLarge: "HTTP/1.1 431 Request Header Fields Too Large\r\n"
        case .notImplemented: "HTTP/1.1 501 Not Implemented\r\n"
        case .unavailable: "HTTP/1.1 503 Service Unavailable\r\n"
        case .versionNotSupported: "HTTP/1.1 505 HTTP Version Not Supported\r\n"
        }
    }

    /// This code's place in ``allCases``, for counters.
    var ordinal: Int {
        switch self {
        case .ok: 0
        case .badRequest: 1
        case .notFound: 2
        case .methodNotAllowed: 3
        case .bodyTooLarge: 4
        case .expectationFailed: 5
        case .headersTooLarge: 6
        case .notImplemented: 7
        case .unavailable: 8
        case .versionNotSupported: 9
        }
    }
}

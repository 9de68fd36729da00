/// Why a request was refused before any handler saw it. The connection is closed after the answer, since where the next
/// request begins is no longer certain.
enum Refusal: Error, Equatable, CaseIterable {
    case badRequestLine
    case badTarget
    case badHeader
    case foldedHeader
    case spaceBeforeColon
    case controlByte
    case bareLineFeed
    case hostMissing
    case hostRepeated
    case badLength
    case lengthRepeated
    case lengthAndEncoding
    case encodingBefore11
    case encodingRepeated
    case unknownEncoding
    case badChunk
    case chunkLineTooLong
    case unknownExpectation
    case unknownVersion
    case headTooLarge
    case bodyTooLarge
    /// By the server's state, not by the request's: the same may be taken a moment later.
    case outOfMemory

    var status: Status {
        switch self {
        case .badRequestLine, .badTarget, .badHeader, .foldedHeader, .spaceBeforeColon, .controlByte, .bareLineFeed,
            .hostMissing, .hostRepeated, .badLength, .lengthRepeated, .lengthAndEncoding, .encodingBefore11,
            .encodingRepeated, .badChunk, .chunkLineTooLong:
            .badRequest
        case .unknownEncoding: .notImplemented
        case .unknownExpectation: .expectationFailed
        case .unknownVersion: .versionNotSupported
        case .headTooLarge: .headersTooLarge
        case .bodyTooLarge: .bodyTooLarge
        case .outOfMemory: .unavailable
        }
    }

    /// One line for the client, with its line feed.
    var sentence: String {
        switch self {
        case .badRequestLine: "The request line is not METHOD TARGET HTTP/1.1.\n"
        case .badTarget: "The request target is neither a path nor an http or https URL.\n"
        case .badHeader: "A header line is not NAME: VALUE.\n"
        case .foldedHeader: "A header line begins with white space (line folding is obsolete).\n"
        case .spaceBeforeColon: "White space stands between a header's name and its colon.\n"
        case .controlByte: "A control byte stands where text is expected.\n"
        case .bareLineFeed: "A line ends with LF alone; CRLF is required.\n"
        case .hostMissing: "The Host header is missing.\n"
        case .hostRepeated: "The Host header is repeated.\n"
        case .badLength: "Content-Length is not a decimal number.\n"
        case .lengthRepeated: "Content-Length is repeated.\n"
        case .lengthAndEncoding: "Content-Length and Transfer-Encoding exclude each other.\n"
        case .encodingBefore11: "Transfer-Encoding needs HTTP/1.1.\n"
        case .encodingRepeated: "Transfer-Encoding is repeated.\n"
        case .unknownEncoding: "The only transfer encoding served is chunked.\n"
        case .badChunk: "A chunk of the body is malformed.\n"
        case .chunkLineTooLong: "A chunk's size line is too long.\n"
        case .unknownExpectation: "The only expectation served is 100-continue.\n"
        case .unknownVersion: "The only versions served are HTTP/1.1 and HTTP/1.0.\n"
        case .headTooLarge: "The request's headers or trailers are over 16 KiB.\n"
        case .bodyTooLarge: "The request's body is over the limit, --max-body-bytes.\n"
        case .outOfMemory: "The requests of all clients together take too much memory now; try again.\n"
        }
    }
}

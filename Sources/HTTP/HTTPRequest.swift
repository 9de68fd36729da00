/// One HTTP request. It is sent once; only a GET may be sent again, when a connection that had been used before breaks
/// before the first byte of the answer (RFC 9110, section 9.2.2).
package struct HTTPRequest: Hashable, Sendable {
    package enum Method: String, Hashable, Sendable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
    }

    package struct Header: Hashable, Sendable {
        package let name: String
        package let value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package var method: Method
    /// Absolute, `http` or `https`, with what needs it percent-encoded. Never holds a secret: errors quote it.
    package var url: String
    /// Values may be secrets; errors and logs never show them.
    package var headers: [Header]
    /// nil: no body.
    package var body: [UInt8]?
    /// From sending to the complete answer; for a stream, to the end of the answer's head.
    package var timeout: Duration
    /// The longest answer that is taken; a longer one is an error.
    package var responseBytesMax: Int

    package init(
        _ method: Method, _ url: String, headers: [Header] = [], body: [UInt8]? = nil,
        timeout: Duration = .seconds(30), responseBytesMax: Int = 16 << 20
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.responseBytesMax = responseBytesMax
    }
}

extension HTTPRequest {
    /// Refuses what would end a header's line, and with it let a value add headers or a second request.
    func check() throws(HTTPError) {
        for header in headers {
            // Token characters would be stricter (RFC 9110, section 5.1); these are the ones that do harm.
            let isNameSafe = header.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
            let isValueSafe = header.value.utf8.allSatisfy { ($0 >= 0x20 && $0 != 0x7F) || $0 == UInt8(ascii: "\t") }
            guard isNameSafe && !header.name.isEmpty && isValueSafe else {
                throw HTTPError(
                    self, isSent: false, reason: "a header's name or value has a character that is not allowed",
                    advice: "look for line ends, such as one at the end of a token file")
            }
        }
        guard !url.utf8.contains(0) else {
            throw HTTPError(self, isSent: false, reason: "the URL has a zero byte")
        }
    }
}

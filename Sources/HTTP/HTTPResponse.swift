/// A complete answer, whatever its status.
package struct HTTPResponse: Hashable, Sendable {
    package let status: Int
    package let headers: [HTTPRequest.Header]
    package let body: [UInt8]

    package init(status: Int, headers: [HTTPRequest.Header] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first header of this name, in any case.
    package func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

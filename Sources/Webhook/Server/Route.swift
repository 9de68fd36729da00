/// What a server answers at one path.
package struct Route: Sendable {
    package enum Method: Sendable {
        /// GET and HEAD.
        case get
        case post
    }

    /// What a handler says about the answer that it has written.
    package struct Answer: Sendable {
        package let status: Status
        /// The value of the header Content-Type.
        package let contentType: String

        package init(_ status: Status, _ contentType: String) {
            self.status = status
            self.contentType = contentType
        }

        static let text = "text/plain; charset=utf-8"
    }

    /// Answers one request: appends the answer's body to `answer`, which is empty.
    ///
    /// Runs on an event loop: it must not wait for anything. `body` and `query` (what follows the `?`) are lent for the
    /// call.
    package typealias Handler = (_ body: Span<UInt8>, _ query: Span<UInt8>, _ answer: inout [UInt8]) -> Answer

    let method: Method
    let path: [UInt8]
    let makeHandler: @Sendable () -> Handler

    /// - Parameter makeHandler: called once on each loop, so that a handler may keep state of its own without a lock.
    package init(_ method: Method, _ path: String, makeHandler: @escaping @Sendable () -> Handler) {
        self.method = method
        self.path = Array(path.utf8)
        self.makeHandler = makeHandler
    }
}

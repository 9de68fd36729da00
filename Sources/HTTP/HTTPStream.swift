/// An answer whose body comes piece by piece. One consumer. Dropping the last reference gives it up.
package final class HTTPStream: Sendable {
    package let status: Int
    package let headers: [HTTPRequest.Header]

    init(status: Int, headers: [HTTPRequest.Header]) {
        self.status = status
        self.headers = headers
    }

    /// The next piece, not empty; nil: the answer is complete. Cancelling the task gives the stream up.
    package func next() async throws(HTTPError) -> [UInt8]? { nil }
}

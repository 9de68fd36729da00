/// An answer whose body comes piece by piece. One consumer. Dropping the last reference gives it up.
package final class HTTPStream: Sendable {
    package let status: Int
    package let headers: [HTTPRequest.Header]

    private let answer: StreamedAnswer
    private let call: Call
    private let engine: Engine

    init(_ head: AnswerHead, _ answer: StreamedAnswer, _ call: Call, _ engine: Engine) {
        status = head.status
        headers = head.headers
        self.answer = answer
        self.call = call
        self.engine = engine
    }

    // The engine holds the call and the answer, never this.
    deinit { engine.cancel(call) }

    /// The next piece, not empty; nil: the answer is complete. Cancelling the task gives the stream up.
    package func next() async throws(HTTPError) -> [UInt8]? {
        try await withTaskCancellationHandler {
            await answer.next { engine.resume(call) }
        } onCancel: {
            engine.cancel(call)
        }.get()
    }
}

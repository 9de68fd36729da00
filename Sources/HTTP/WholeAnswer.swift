internal import Platform

/// Collects an answer and hands it out once it is complete.
final class WholeAnswer: AnswerSink {
    typealias Outcome = Result<HTTPResponse, HTTPError>

    private struct State {
        var head = AnswerHead()
        var body: [UInt8] = []
        var outcome: Outcome?
        var waiter: CheckedContinuation<Outcome, Never>?
    }

    private let bytesMax: Int
    private let state = Locked(State())

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    func begin(_ head: AnswerHead) {
        state.withLock { $0.head = head }
    }

    func accept(_ bytes: UnsafeRawBufferPointer) -> Acceptance {
        state.withLock { state in
            guard bytes.count <= bytesMax - state.body.count else { return .tooLong }
            unsafe state.body.append(contentsOf: bytes)
            return .taken
        }
    }

    func end(_ error: HTTPError?) {
        let (waiter, outcome) = state.withLock { state in
            let response = HTTPResponse(status: state.head.status, headers: state.head.headers, body: state.body)
            let outcome: Outcome = error.map { .failure($0) } ?? .success(response)
            state.outcome = outcome
            return (state.waiter, outcome)
        }
        waiter?.resume(returning: outcome)
    }

    /// Waits for the end. One call.
    func outcome() async -> Outcome {
        await withCheckedContinuation { continuation in
            let outcome = state.withLock { state in
                state.waiter = continuation
                return state.outcome
            }
            if let outcome { continuation.resume(returning: outcome) }
        }
    }
}

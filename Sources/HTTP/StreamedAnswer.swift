internal import Platform

/// Hands an answer out piece by piece, and keeps a bounded part of it until it is asked for. One consumer.
final class StreamedAnswer: AnswerSink {
    typealias Piece = Result<[UInt8]?, HTTPError>

    private struct State {
        var head: Result<AnswerHead, HTTPError>?
        var headWaiter: CheckedContinuation<Result<AnswerHead, HTTPError>, Never>?
        var bytes: [UInt8] = []
        var isPutOff = false
        /// What comes after ``bytes``, again and again.
        var end: Piece?
        var waiter: CheckedContinuation<Piece, Never>?
    }

    /// How many bytes wait at most. A single piece from libcurl is smaller (CURL_MAX_WRITE_SIZE).
    static let bytesMax = 1 << 20

    private let state = Locked(State())

    func begin(_ head: AnswerHead) {
        let waiter = state.withLock { state in
            state.head = .success(head)
            return state.headWaiter
        }
        waiter?.resume(returning: .success(head))
    }

    func accept(_ bytes: UnsafeRawBufferPointer) -> Acceptance {
        let piece = unsafe [UInt8](bytes)
        let (acceptance, waiter) = state.withLock { state -> (Acceptance, CheckedContinuation<Piece, Never>?) in
            if let waiter = state.waiter {
                state.waiter = nil
                return (.taken, waiter)
            }
            guard state.bytes.count + piece.count <= Self.bytesMax else {
                state.isPutOff = true
                return (.later, nil)
            }
            state.bytes += piece
            return (.taken, nil)
        }
        waiter?.resume(returning: .success(piece))
        return acceptance
    }

    func end(_ error: HTTPError?) {
        let end: Piece = error.map { .failure($0) } ?? .success(nil)
        let (headWaiter, waiter) = state.withLock { state in
            state.end = end
            // Without a head there is no answer; the engine ends such a transfer with an error.
            let isHeadless = state.head == nil
            if isHeadless, let error { state.head = .failure(error) }
            defer { state.waiter = nil }
            return (isHeadless ? state.headWaiter : nil, state.waiter)
        }
        if let error { headWaiter?.resume(returning: .failure(error)) }
        waiter?.resume(returning: end)
    }

    /// Waits for the head. One call.
    func head() async -> Result<AnswerHead, HTTPError> {
        await withCheckedContinuation { continuation in
            let head = state.withLock { state in
                state.headWaiter = continuation
                return state.head
            }
            if let head { continuation.resume(returning: head) }
        }
    }

    /// Waits for the next bytes, or the end.
    ///
    /// - Parameter hasRoom: called when there is room again for bytes that were put off.
    func next(hasRoom: () -> Void) async -> Piece {
        await withCheckedContinuation { continuation in
            let (piece, wasPutOff) = state.withLock { state -> (Piece?, Bool) in
                precondition(state.waiter == nil, "a stream has one consumer")
                guard state.bytes.isEmpty else {
                    defer {
                        state.bytes = []
                        state.isPutOff = false
                    }
                    return (.success(state.bytes), state.isPutOff)
                }
                if state.end == nil { state.waiter = continuation }
                return (state.end, false)
            }
            if wasPutOff { hasRoom() }
            if let piece { continuation.resume(returning: piece) }
        }
    }
}

package import Election
package import Platform

/// Turns the body of an AdmissionReview into the body of its answer. One per event loop, confined to its thread; reuses
/// its memory.
package final class AdmissionResponder {
    private let guardian: Guard
    private let counters: AdmissionCounters
    private var board: LeadershipBoard.Reader
    private var scanner = AdmissionScanner()
    private var message: [UInt8] = []

    package init(policy: Policy, board: LeadershipBoard, counters: AdmissionCounters) {
        guardian = Guard(policy: policy)
        self.counters = counters
        self.board = LeadershipBoard.Reader(board)
    }

    /// Answers the review, as of now.
    ///
    /// - Parameters:
    ///   - review: the complete body.
    ///   - body: gets the response's body instead of what it holds: JSON for 200, one line of text for 400.
    /// - Returns: the HTTP status: 200, for denials too, or 400.
    package func respond(to review: UnsafeRawBufferPointer, into body: inout [UInt8]) -> Int {
        unsafe respond(to: review, into: &body, clock: Reading.now)
    }

    /// - Parameter clock: read once, just before the decision; for tests.
    @inline(__always)
    package func respond(
        to review: UnsafeRawBufferPointer, into body: inout [UInt8], clock: () -> Reading
    ) -> Int {
        let started = Reading.monotonicRawNow()
        body.removeAll(keepingCapacity: true)
        do throws(ScanError) {
            try unsafe scanner.scan(review)
        } catch {
            // The bodies of API servers never come here: this may allocate.
            body.append("\(error)\n")
            counters.count(error, nanoseconds: Reading.monotonicRawNow() - started)
            return 400
        }
        let table = board.table()
        // As late as can be: what counts is that the lease still holds when the API server goes on.
        let now = clock()
        let decision = guardian.decide(scanner.request, by: table, at: now)
        counters.count(decision, nanoseconds: now.monotonicRaw - started)
        decision.appendAnswer(
            to: scanner.request, policy: guardian.policy, table: table, message: &message, into: &body)
        return 200
    }
}

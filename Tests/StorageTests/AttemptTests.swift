import Testing

@testable import Storage

@Suite struct AttemptTests {
    @Test func `time running out before the write began is a definite failure, and the write must not begin`() {
        let attempt = Attempt("waiting for its turn")
        attempt.reached("waiting for the lock")
        #expect(attempt.expire(after: "3 s") == .failed("Gave up after 3 s, while waiting for the lock."))
        #expect(!attempt.begin())
        #expect(!attempt.isOpen)
        #expect(!attempt.finish())
    }

    @Test func `time running out after the write began leaves it unclear`() {
        let attempt = Attempt("writing")
        #expect(attempt.begin())
        guard case .unclear = attempt.expire(after: "3 s") else {
            Issue.record("the write may still take effect")
            return
        }
        #expect(!attempt.finish())
    }

    @Test func `work that is done in time is the answer`() {
        let attempt = Attempt("writing")
        #expect(attempt.begin())
        #expect(attempt.finish())
        #expect(attempt.expire(after: "3 s") == nil)
    }
}

import Testing

@testable import HTTP

struct DistrustTests {
    let timeout = ContinuousClock.now

    @Test func `a server that always answered may be reached over any connection`() {
        var distrust = Distrust()
        distrust.noteAnswer("https://a/x")
        #expect(distrust.age("https://a/x", now: timeout) == .any)
    }

    @Test func `after a time-out only connections made since are taken`() {
        var distrust = Distrust()
        distrust.noteTimeout("https://a:1/x?y", now: timeout)
        #expect(distrust.age("https://a:1/z", now: timeout + .seconds(100)) == .new)
        distrust.noteAnswer("https://a:1")
        // Less than a second cannot be told apart.
        #expect(distrust.age("https://a:1/z", now: timeout + .milliseconds(999)) == .new)
        #expect(distrust.age("https://a:1/z", now: timeout + .milliseconds(7999)) == .atMost(seconds: 7))
        distrust.noteTimeout("https://a:1/z", now: timeout + .seconds(8))
        #expect(distrust.age("https://a:1/z", now: timeout + .seconds(100)) == .new)
    }

    @Test func `another server is not concerned, and what is remembered is bounded`() {
        var distrust = Distrust()
        distrust.noteTimeout("https://a:1/x", now: timeout)
        for other in ["https://a:2/x", "http://a:1/x", "https://b:1/x"] {
            #expect(distrust.age(other, now: timeout) == .any)
        }
        for number in 0..<100 { distrust.noteTimeout("https://\(number)/", now: timeout) }
        #expect(distrust.age("https://a:1/x", now: timeout) == .any)
        #expect(distrust.age("https://99/", now: timeout) == .new)
    }
}

import Election
import Platform
import Testing

@testable import Webhook

/// What comes into the log when clients misbehave.
struct ServerNoticesTests {
    private let lines = Locked<[String]>([])
    private var log: Log { Log { [lines] line in lines.withLock { $0.append(line) } } }
    private var written: [String] { lines.withLock { $0 } }

    @Test func `a flood of failed handshakes is one line, and one with the number of the rest`() throws {
        let count = 100
        let server = try Server.forTests(.tls, loops: 2, log: log)
        for _ in 0..<count {
            let client = try TestClient(server.address, .plain)
            try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            // Until it has closed, or reset the connection since it did not read all of that.
            while (try? client.receive()) == true {}
        }
        #expect(server.counters.handshakeFailures.load(ordering: .relaxed) == count)
        #expect(written.count == 1, "\(written)")
        #expect(written[0].contains("A TLS handshake of 127.0.0.1 with the port test failed: "))
        #expect(written[0].contains("http request"))
        server.stop(within: .zero)
        #expect(written.count == 2, "\(written)")
        #expect(written[1].contains(" (\(count - 1) more of these in the last "))
    }

    @Test(arguments: [Wire.plain, .tls])
    func `bad requests are counted and answered, and write nothing`(wire: Wire) throws {
        let server = try Server.forTests(wire, log: log)
        for _ in 0..<50 {
            #expect(try TestClient(server.address, wire).request("nonsense\r\n\r\n").status == 400)
            #expect(try TestClient(server.address, wire).request("GET /none HTTP/1.1\r\nHost: h\r\n\r\n").status == 404)
        }
        #expect(server.counters.answers(.badRequest) == 50)
        #expect(server.counters.answers(.notFound) == 50)
        server.stop(within: .zero)
        #expect(written.isEmpty, "\(written)")
    }

    @Test func `each reason has a line of its own, up to a bound, and counts come once a minute`() {
        let now = Locked(Reading(boottime: 0, realtime: 0, monotonicRaw: 0))
        let notices = ServerNotices(log) { now.withLock { $0 } }
        #expect(!notices.isWaiting)
        for number in 0..<100 {
            for _ in 0..<3 { notices.handshakeFailed(with: "10.0.0.1", on: "webhook", "reason \(number)") }
        }
        // Sixteen reasons, and all others together.
        #expect(written.count == 17)
        #expect(notices.isWaiting)
        notices.advance()
        #expect(written.count == 17)
        now.withLock { $0 = Reading(boottime: 60_000_000_000, realtime: 0, monotonicRaw: 60_000_000_000) }
        notices.advance()
        #expect(written.count == 34)
        #expect(written.count { $0.contains("(2 more of these") } == 16)
        #expect(written.count { $0.contains("(251 more of these") } == 1)
        now.withLock { $0 = Reading(boottime: 120_000_000_000, realtime: 0, monotonicRaw: 120_000_000_000) }
        notices.advance()
        #expect(written.count == 34)
        #expect(!notices.isWaiting, "it is over")
    }
}

import FoundationEssentials
import Glibc
import HTTP
import Platform
import Support
import Testing

/// Each in a process of its own: they count what the whole process has.
@Suite(.timeLimit(.minutes(5)))
struct EnduranceTests {
    private static func descriptors() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }

    @Test func `ten thousand requests share one connection and leave no descriptor behind`() async {
        await #expect(processExitsWith: .success) {
            let server = try HTTPClientTests.echo()
            defer { server.stop() }
            _ = try await HTTPClient().send(HTTPRequest(.get, server.url()))
            let before = try Self.descriptors()
            for _ in 0..<10_000 { _ = try await HTTPClient().send(HTTPRequest(.put, server.url(), body: [1])) }
            #expect(try Self.descriptors() == before)
            #expect(server.connectionCount == 1)
        }
    }

    @Test func `broken connections, streams and cancelled calls leave no descriptor behind`() async {
        await #expect(processExitsWith: .success) {
            let server = try ScriptedServer { connection in
                let request = try connection.request()
                if request.line.contains("/stream") {
                    try connection.respondInPieces()
                    connection.waitForClose()
                }
            }
            defer { server.stop() }
            let client = HTTPClient()
            func once() async throws {
                _ = await client.outcome(HTTPRequest(.get, server.url()))
                _ = try await client.stream(HTTPRequest(.get, server.url("/stream")), idleTimeout: .seconds(60))
                let task = Task { await client.outcome(HTTPRequest(.get, server.url("/stream"))) }
                task.cancel()
                _ = await task.value
            }
            try await once()
            let before = try Self.descriptors()
            for _ in 0..<300 { try await once() }
            server.stop()
            // 900 connections later. The first round's broken ones may be in the cache or gone.
            #expect(try Self.descriptors() <= before + 8)
        }
    }

    @Test func `calls beyond the bound are refused, and taken again later`() async {
        await #expect(processExitsWith: .success) {
            // Nobody takes up the handshake, so that one connection holds all calls.
            let server = try ScriptedServer { $0.waitForClose() }
            defer { server.stop() }
            let client = HTTPClient()
            let request = HTTPRequest(.get, server.url(scheme: "https"), timeout: .seconds(600))
            let outcomes = await withTaskGroup(of: (Outcome, text: String).self) { group in
                for _ in 0..<1500 { group.addTask { await client.outcome(request) } }
                var outcomes: [(Outcome, text: String)] = []
                while let outcome = await group.next() {
                    outcomes.append(outcome)
                    if outcomes.count == 1500 - 1024 { group.cancelAll() }
                }
                return outcomes
            }
            #expect(outcomes.count { $0.text.contains("1024 requests are under way") } == 1500 - 1024)
            #expect(outcomes.allSatisfy { $0.0 == .failed })
            #expect(server.connectionCount == 1)
            let echo = try HTTPClientTests.echo()
            defer { echo.stop() }
            #expect(await client.outcome(HTTPRequest(.get, echo.url())).0 == .answered(200))
        }
    }

    @Test func `after a time-out the next request takes a new connection`() async {
        await #expect(processExitsWith: .success) {
            let arrived = Locked(0)
            let server = try ScriptedServer { connection in
                while true {
                    let request = try connection.request()
                    arrived.withLock { $0 += 1 }
                    // The first two wait for each other, so that there are two connections.
                    if request.line.contains("/pair") { while arrived.withLock({ $0 }) < 2 { sched_yield() } }
                    if request.line.contains("/silent") { connection.waitForClose() }
                    try connection.respond()
                }
            }
            defer { server.stop() }
            let client = HTTPClient()
            async let one = client.send(HTTPRequest(.get, server.url("/pair")))
            async let other = client.send(HTTPRequest(.get, server.url("/pair")))
            _ = try await (one, other)
            #expect(server.connectionCount == 2)

            var timeout = Duration.milliseconds(50)
            let request = { HTTPRequest(.put, server.url("/silent"), timeout: timeout) }
            while await client.outcome(request()).0 != .unclear { timeout *= 2 }
            let before = server.connectionCount
            #expect(await client.outcome(HTTPRequest(.put, server.url("/more"))).0 == .answered(200))
            #expect(server.connectionCount == before + 1)
        }
    }
}

import HTTP
import Platform
import Support
import Testing

struct FaultProxyTests {
    private let arrived = Locked<[String]>([])
    private let server: LoopbackServer
    private let proxy: FaultProxy

    init() throws {
        server = try LoopbackServer { [arrived] request, _ in
            arrived.withLock { $0.append(request.path) }
            return .answer(.init(200, json: "{}"))
        }
        proxy = try FaultProxy(to: server.port, seed: 1)
    }

    private func ask(_ path: String, timeout: Duration = .seconds(60)) async throws -> Int {
        try await HTTPClient().send(
            HTTPRequest(.put, "http://127.0.0.1:\(proxy.port)\(path)", body: [1, 2, 3], timeout: timeout)
        ).status
    }

    private func untilArrived(_ path: String) async throws {
        try await eventually("\(path) arrives") { arrived.withLock { $0.contains(path) } }
    }

    @Test func `what passes is not changed`() async throws {
        #expect(try await ask("/a") == 200)
        #expect(arrived.withLock { $0 } == ["/a"])
    }

    @Test func `a request that is held up arrives when the way is free, long after its client gave up`() async throws {
        proxy.requests = .blocked
        await #expect(throws: HTTPError.self) { try await ask("/late", timeout: .seconds(2)) }
        #expect(arrived.withLock { $0 }.isEmpty)
        proxy.heal()
        try await untilArrived("/late")
    }

    @Test func `where only answers are held up, requests are acted on`() async throws {
        proxy.answers = .blocked
        let asked = Task { try await ask("/unheard") }
        try await untilArrived("/unheard")
        proxy.heal()
        #expect(try await asked.value == 200)
    }

    @Test func `connections that are reset fail at once, and new ones work`() async throws {
        proxy.answers = .blocked
        let asked = Task { try await ask("/lost") }
        try await untilArrived("/lost")
        proxy.resetConnections()
        await #expect(throws: HTTPError.self) { try await asked.value }
        proxy.heal()
        #expect(try await ask("/again") == 200)
    }

    @Test func `what is slow or lost on the way comes nevertheless`() async throws {
        var passage = FaultProxy.Passage()
        passage.delay = .milliseconds(5)
        passage.lossPercent = 100
        passage.bytesPerSecond = 100_000
        proxy.requests = passage
        #expect(try await ask("/slow") == 200)
    }

    @Test func `a server that is gone is a connection that ends`() async throws {
        server.isDown = true
        await #expect(throws: HTTPError.self) { try await ask("/down") }
    }
}

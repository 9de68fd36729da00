import HTTP
import Platform
import Support
import Testing

@Suite(.timeLimit(.minutes(5)))
struct FailureTests {
    let client = HTTPClient()
    static let soon = Duration.milliseconds(50)

    /// Reads a request and does as the script says; counts the requests.
    static func server(
        _ requests: Locked<[String]>? = nil, _ script: @escaping @Sendable (ServerConnection) throws -> Void
    ) throws -> ScriptedServer {
        try ScriptedServer { connection in
            let request = try connection.request()
            requests?.withLock { $0.append(String(request.line)) }
            try script(connection)
        }
    }

    @Test func `where nobody listens nothing was sent`() async throws {
        let server = try Self.server { _ in }
        defer { server.stop() }
        server.stop()
        let (outcome, text) = await client.outcome(HTTPRequest(.put, server.url("/o"), body: [1]))
        #expect(outcome == .failed)
        #expect(text.hasPrefix("PUT \(server.url("/o")) was not sent: Failed to connect to 127.0.0.1"))
        #expect(text.hasSuffix("check the address, that the server runs, and that no firewall is in between"))
    }

    @Test(arguments: [
        "nonsense://x/", "127.0.0.1:1", "", "file:///etc/passwd", "http://", "http://a b/", "http://a:x/",
    ])
    func `a URL that is none fails`(url: String) async {
        #expect(await client.outcome(HTTPRequest(.get, url)).0 == .failed)
    }

    @Test func `a name that does not exist was not sent to`() async {
        // RFC 6761: no resolver may know it.
        let (outcome, text) = await client.outcome(HTTPRequest(.get, "http://leasehold.invalid/"))
        #expect(outcome == .failed)
        #expect(text.contains("leasehold.invalid"))
    }

    @Test(arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin"])
    func `an answer that is not complete in time is unclear`(answer: String) async throws {
        let requests = Locked<[String]>([])
        let server = try Self.server(requests) { connection in
            if !answer.isEmpty { try connection.send(answer) }
            connection.waitForClose()
        }
        defer { server.stop() }
        // On a busy machine a short time may be over before anything was sent.
        var timeout = Self.soon
        while requests.withLock({ $0.isEmpty }) {
            let (outcome, text) = await client.outcome(HTTPRequest(.put, server.url(), body: [1], timeout: timeout))
            timeout *= 2
            if requests.withLock({ $0.isEmpty }) { continue }
            #expect(outcome == .unclear)
            #expect(text.contains("the server may have acted on it: no complete answer within"))
        }
    }

    @Test func `no handshake in time means that nothing was sent`() async throws {
        let server = try ScriptedServer { $0.waitForClose() }
        defer { server.stop() }
        let request = HTTPRequest(.put, server.url(scheme: "https"), body: [1], timeout: Self.soon)
        let (outcome, text) = await client.outcome(request)
        #expect(outcome == .failed)
        #expect(text.contains("no connection within 0.05 seconds"))
    }

    @Test(arguments: [
        "", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n", "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnumber\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
    ])
    func `an answer that breaks off or makes no sense is unclear`(answer: String) async throws {
        let server = try Self.server { try $0.send(answer) }
        defer { server.stop() }
        let (outcome, text) = await client.outcome(HTTPRequest(.put, server.url(), body: [1]))
        #expect(outcome == .unclear, "\(text)")
    }

    @Test func `too large an answer is broken off`() async throws {
        let server = try Self.server { try $0.respond(body: String(repeating: "x", count: 1001)) }
        defer { server.stop() }
        let (outcome, text) = await client.outcome(HTTPRequest(.get, server.url(), responseBytesMax: 1000))
        #expect(outcome == .unclear)
        #expect(text.contains("the answer has more than 1000 bytes"))
        let exact = try await client.send(HTTPRequest(.get, server.url(), responseBytesMax: 1001))
        #expect(exact.body.count == 1001)
    }

    @Test func `an endless head is broken off`() async throws {
        let server = try Self.server { connection in
            try connection.send("HTTP/1.1 200 OK\r\n")
            while true { try connection.send("X-More: \(String(repeating: "x", count: 1000))\r\n") }
        }
        defer { server.stop() }
        let (outcome, text) = await client.outcome(HTTPRequest(.get, server.url()))
        #expect(outcome == .unclear)
        #expect(text.contains("head of the answer has more than 256 KiB"))
    }

    @Test func `a server that leaves in the middle of a large body is unclear`() async throws {
        let server = try ScriptedServer { connection in connection.abort() }
        defer { server.stop() }
        let body = [UInt8](repeating: 0, count: 32 << 20)
        // The connection may break before the first byte has left, or after.
        #expect(await client.outcome(HTTPRequest(.put, server.url(), body: body)).0 != .answered(200))
    }

    /// Answers the first request of a connection, takes the second, and breaks the connection.
    static func breakingServer(_ requests: Locked<[String]>) throws -> ScriptedServer {
        try ScriptedServer { connection in
            for isFirst in [true, false] {
                let request = try connection.request()
                requests.withLock { $0.append(String(request.line)) }
                if isFirst { try connection.respond() }
            }
        }
    }

    // In a process of its own, since with other tests the cache would at times be full, and the connection not used again.
    @Test func `what writes is never sent twice, and a GET is sent again, when a used connection breaks`() async {
        await #expect(processExitsWith: .success) {
            let client = HTTPClient()
            for method in [HTTPRequest.Method.put, .post, .patch, .delete] {
                let requests = Locked<[String]>([])
                let server = try FailureTests.breakingServer(requests)
                defer { server.stop() }
                _ = try await client.send(HTTPRequest(.get, server.url("/first")))
                let (outcome, text) = await client.outcome(HTTPRequest(method, server.url("/second"), body: [1]))
                #expect(outcome == .unclear)
                #expect(text.contains("the connection broke before the answer"))
                server.stop()
                let name = method.rawValue
                #expect(requests.withLock { $0 } == ["GET /first HTTP/1.1", "\(name) /second HTTP/1.1"])
            }
            let requests = Locked<[String]>([])
            let server = try FailureTests.breakingServer(requests)
            defer { server.stop() }
            _ = try await client.send(HTTPRequest(.get, server.url("/first")))
            #expect(await client.outcome(HTTPRequest(.get, server.url("/second"))).0 == .answered(200))
            server.stop()
            let second = "GET /second HTTP/1.1"
            #expect(requests.withLock { $0 } == ["GET /first HTTP/1.1", second, second])
        }
    }

    @Test func `a write does not run into a connection that the server has closed`() async throws {
        let closed = Event()
        let server = try ScriptedServer { connection in
            try connection.respond(body: connection.request().head)
            connection.abort()
            closed.happen()
        }
        defer { server.stop() }
        _ = try await client.send(HTTPRequest(.get, server.url()))
        await closed.happened()
        #expect(await client.outcome(HTTPRequest(.put, server.url(), body: [1])).0 == .answered(200))
    }

    @Test func `a task that is cancelled already sends nothing`() async throws {
        let server = try HTTPClientTests.echo()
        defer { server.stop() }
        let task = Task { [client] in
            unsafe withUnsafeCurrentTask { unsafe $0!.cancel() }
            return await client.outcome(HTTPRequest(.put, server.url(), body: [1]))
        }
        #expect(await task.value.0 == .failed)
        #expect(server.connectionCount == 0)
    }

    @Test func `cancelling gives up the request and its connection`() async throws {
        let (arrived, closed) = (Event(), Event())
        let server = try Self.server { connection in
            arrived.happen()
            connection.waitForClose()
            closed.happen()
        }
        defer { server.stop() }
        let task = Task { [client] in
            await client.outcome(HTTPRequest(.put, server.url(), body: [1], timeout: .seconds(600)))
        }
        await arrived.happened()
        task.cancel()
        let (outcome, text) = await task.value
        #expect(outcome == .unclear)
        #expect(text.contains("it was cancelled"))
        await closed.happened()
    }

    @Test func `an error shows no secret`() async throws {
        let server = try Self.server { $0.abort() }
        defer { server.stop() }
        let headers: [HTTPRequest.Header] = [.init("Authorization", "Bearer hidden")]
        let url = server.url("/a@b", host: "user:hidden@127.0.0.1")
        let (outcome, text) = await client.outcome(
            HTTPRequest(.post, url, headers: headers, body: Array("hidden".utf8)))
        #expect(outcome == .unclear)
        #expect(!text.contains("hidden") && !text.contains("user"))
        #expect(text.contains("POST \(server.url("/a@b"))"))
    }
}

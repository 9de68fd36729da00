import Dispatch
import Glibc
import Platform
import Support
import TLS
import Testing

@testable import Webhook

/// Requests and answers over real sockets.
struct ServerTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let request: String
        let status: Int
        var keepsAlive = false
        var allow: String?

        init(_ what: String, _ request: String, _ status: Int, keepsAlive: Bool = false, allow: String? = nil) {
            testDescription = what
            (self.request, self.status, self.keepsAlive, self.allow) = (request, status, keepsAlive, allow)
        }
    }

    static let badInput: [Case] = [
        Case("wrong path", "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", 404, keepsAlive: true),
        Case("wrong path with a body", post("x", to: "/validat"), 404, keepsAlive: true),
        Case("wrong method", "GET /validate HTTP/1.1\r\nHost: h\r\n\r\n", 405, keepsAlive: true, allow: "POST"),
        Case(
            "wrong method of a page", post("x", to: "/page"), 405, keepsAlive: true,
            allow: "GET, HEAD"),
        Case("unknown method", "BREW /validate HTTP/1.1\r\nHost: h\r\n\r\n", 405, keepsAlive: true, allow: "POST"),
        Case("body missing", "POST /validate HTTP/1.1\r\nHost: h\r\n\r\n", 400, keepsAlive: true),
        Case("empty body", post(""), 400, keepsAlive: true),
        Case("body over the limit", "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: 8388609\r\n\r\n", 413),
        Case(
            "chunk over the limit",
            "POST /validate HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n800001\r\n", 413),
        Case(
            "headers over the limit", "GET /page HTTP/1.1\r\nHost: h\r\nA: \(String(repeating: "a", count: 17_000))",
            431),
        Case("request line over the limit", "GET /\(String(repeating: "a", count: 17_000))", 431),
        Case(
            "both Content-Length and Transfer-Encoding",
            "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        Case(
            "conflicting lengths",
            "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        Case("bad length", "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: five\r\n\r\n", 400),
        Case("bare LF", "GET /page HTTP/1.1\nHost: h\n\n", 400),
        Case("control byte in a header", "GET /page HTTP/1.1\r\nHost: a\u{1}b\r\n", 400),
        Case("folded header", "GET /page HTTP/1.1\r\nHost: h\r\n folded\r\n", 400),
        Case("space before the colon", "GET /page HTTP/1.1\r\nHost : h\r\n", 400),
        Case("Host missing", "GET /page HTTP/1.1\r\n\r\n", 400),
        Case("unknown transfer encoding", "POST /validate HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        Case("unknown expectation", "POST /validate HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417),
        Case("unknown version", "GET /page HTTP/3.0\r\n\r\n", 505),
    ]

    @Test(arguments: badInput, Wire.allCases)
    func `bad input gets its status and the connection goes on or ends`(input: Case, wire: Wire) throws {
        let server = try Server.forTests(wire)
        let client = try TestClient(server.address, wire)
        let answer = try client.request(input.request)
        #expect(answer.status == input.status)
        #expect(answer.headers["allow"] == input.allow)
        #expect(answer.headers["content-type"] == "text/plain; charset=utf-8")
        #expect(answer.text.hasSuffix(".\n") && answer.text.split(separator: "\n").count == 1)
        if input.keepsAlive {
            #expect(answer.headers["connection"] == nil)
            #expect(try client.request(post("after")).text == Route.echoed(Array("after".utf8)))
        } else {
            #expect(answer.headers["connection"] == "close")
            #expect(try client.isEnded())
        }
        #expect(server.counters.answers(Status(rawValue: input.status)!) == 1)
    }

    @Test(arguments: Wire.allCases)
    func `a client that goes on sending a refused body can still read why`(wire: Wire) throws {
        let server = try Server.forTests(wire, limits: .with { $0.bodyBytesMax = 1000 })
        let client = try TestClient(server.address, wire)
        try client.send("POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n")
        // More than all socket buffers hold: it only goes through if the server takes it.
        try client.send([UInt8](repeating: 0x78, count: 4_000_000))
        #expect(try client.answer().status == 413)
        #expect(try client.isEnded())
    }

    @Test(arguments: Wire.allCases)
    func `what the API server sends is answered`(wire: Wire) throws {
        let server = try Server.forTests(wire)
        let client = try TestClient(server.address, wire)
        let body = String(repeating: "{}", count: 700)
        for _ in 0..<3 {
            let answer = try client.request(
                """
                POST /validate?timeout=5s HTTP/1.1\r
                Host: 127.0.0.1:18443\r
                User-Agent: kube-apiserver-admission\r
                Content-Length: \(body.utf8.count)\r
                Accept: application/json, */*\r
                Content-Type: application/json\r
                Accept-Encoding: gzip\r
                \r
                \(body)
                """)
            let expected = Route.echoed(Array(body.utf8), query: "timeout=5s")
            #expect(
                answer
                    == TestAnswer(
                        status: 200,
                        headers: ["content-type": "application/json", "content-length": "\(expected.utf8.count)"],
                        body: Array(expected.utf8)))
        }
    }

    @Test(arguments: Wire.allCases)
    func `fifty pipelined requests are answered in order, in one piece or byte by byte`(wire: Wire) throws {
        let server = try Server.forTests(wire)
        let bodies = (0..<50).map { String(repeating: "\($0),", count: 1 + $0 * 3) }
        let stream = Array(bodies.map { post($0) }.joined().utf8)
        let expected = bodies.map { Route.echoed(Array($0.utf8)) }

        let fast = try TestClient(server.address, wire)
        try fast.send(stream)
        #expect(try fast.answers(50).map(\.text) == expected)

        let slow = try TestClient(server.address, wire)
        for byte in stream { try slow.send([byte]) }
        #expect(try slow.answers(50).map(\.text) == expected)
    }

    @Test(arguments: Wire.allCases, UInt64(0)..<8)
    func `a stream split anywhere gets the same answers`(wire: Wire, seed: UInt64) throws {
        let server = try Server.forTests(wire)
        var random = SeededRandom(seed: seed)
        var stream: [UInt8] = []
        var expected: [String] = []
        for number in 0..<30 {
            // Up to the size of several TLS records and of every kind of buffer.
            let body = String(
                repeating: "\(number % 10)", count: 1 + random.below(number % 10 == 9 ? 90_000 : 2000))
            if random.below(2) == 0 {
                stream += Array(post(body).utf8)
            } else {
                let size = 1 + random.below(body.utf8.count)
                stream += Array("POST /validate HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
                stream += Array("\(String(size, radix: 16))\r\n\(body.prefix(size))\r\n".utf8)
                let rest = body.dropFirst(size)
                if !rest.isEmpty { stream += Array("\(String(rest.utf8.count, radix: 16));x\r\n\(rest)\r\n".utf8) }
                stream += Array("0\r\nTrailer: x\r\n\r\n".utf8)
            }
            expected.append(Route.echoed(Array(body.utf8)))
        }
        let client = try TestClient(server.address, wire)
        var start = 0
        while start < stream.count {
            let end = min(stream.count, start + 1 + random.below(1 << (1 + random.below(17))))
            try client.send(Array(stream[start..<end]))
            start = end
        }
        #expect(try client.answers(30).map(\.text) == expected)
    }

    @Test(arguments: Wire.allCases)
    func `asks for an expected body once, and not for one that nobody handles`(wire: Wire) throws {
        let server = try Server.forTests(wire)
        let client = try TestClient(server.address, wire)
        try client.send("POST /validate HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        #expect(try client.answer().status == 100)
        try client.send("bo")
        try client.send("dy")
        #expect(try client.answer().text == Route.echoed(Array("body".utf8)))
        // A body that has come already is not asked for.
        #expect(try client.request(post("body", "Expect: 100-continue\r\n")).status == 200)

        try client.send("POST /nowhere HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        let answer = try client.answer()
        #expect(answer.status == 404 && answer.headers["connection"] == "close")
        #expect(try client.isEnded())

        let large = try TestClient(server.address, wire)
        try large.send("POST /validate HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9000000\r\n\r\n")
        #expect(try large.answer().status == 413)
    }

    @Test(arguments: Wire.allCases)
    func `HTTP 1.0 and Connection close end after the answer`(wire: Wire) throws {
        let server = try Server.forTests(wire)
        for request in [
            "GET /page HTTP/1.0\r\n\r\n", "GET /page HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        ] {
            let client = try TestClient(server.address, wire)
            let answer = try client.request(request)
            #expect(answer.text == "a page\n" && answer.headers["connection"] == "close")
            #expect(try client.isEnded())
        }
        let client = try TestClient(server.address, wire)
        for _ in 0..<2 {
            let answer = try client.request("GET /page HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            #expect(answer.text == "a page\n" && answer.headers["connection"] == "keep-alive")
        }
    }

    @Test func `what a client has not taken is kept for no longer than a request may take`() throws {
        let address = SocketAddress(host: "127.0.0.1", port: 0)
        let socket = try address.bind(joining: false)
        try address.listen(socket, patience: .seconds(4))
        let client = try TestClient(try address.bound(socket))
        var entry = pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)
        #expect(unsafe poll(&entry, 1, 30_000) == 1)
        let accepted = Descriptor(owning: accept(socket.number, nil, nil))
        var (milliseconds, length) = (Int32(0), socklen_t(4))
        #expect(
            unsafe getsockopt(accepted.number, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, &length) == 0)
        #expect(milliseconds == 5000)
        withExtendedLifetime(client) {}
    }

    @Test func `a last answer over TLS, the goodbye and the end arrive in one packet`() throws {
        let server = try Server.forTests(.tls)
        // The kernel holds nothing back for longer than 200 ms, which a busy machine may take.
        let packets = try (0..<10).map { _ in
            let client = try TestClient(server.address, .tls)
            let before = client.dataPacketsReceived
            let answer = try client.request("GET /page HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            #expect(answer.text == "a page\n")
            #expect(try client.isEnded())
            return client.dataPacketsReceived - before
        }
        #expect(packets.contains(1))
    }

    @Test func `requests behind a last one are not answered`() throws {
        let server = try Server.forTests()
        let client = try TestClient(server.address)
        try client.send("GET /page HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + post("x"))
        #expect(try client.answer().text == "a page\n")
        #expect(try client.isEnded())
        #expect(server.counters.answers(.ok) == 1)
    }

    @Test func `HEAD gets the headers of GET and no body`() throws {
        let server = try Server.forTests()
        let client = try TestClient(server.address)
        let page = try client.request("GET /page HTTP/1.1\r\nHost: h\r\n\r\n")
        try client.send("HEAD /page HTTP/1.1\r\nHost: h\r\n\r\nHEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n" + post("x"))
        #expect(try client.answer(toHead: true) == TestAnswer(status: 200, headers: page.headers, body: []))
        #expect(try client.answer(toHead: true).status == 404)
        #expect(try client.answer().status == 200)
    }

    @Test(arguments: Wire.allCases)
    func `a body up to the limit is taken, one byte more is not`(wire: Wire) throws {
        let server = try Server.forTests(wire)
        let client = try TestClient(server.address, wire)
        let body = [UInt8](repeating: 0x62, count: 8 * 1024 * 1024)
        try client.send("POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.count)\r\n\r\n")
        try client.send(body)
        #expect(try client.answer().text == Route.echoed(body))
        try client.send("POST /validate HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in 0..<8 {
            try client.send("100000\r\n")
            try client.send(Array(body.prefix(1024 * 1024)))
            try client.send("\r\n")
        }
        try client.send("0\r\n\r\n")
        #expect(try client.answer().text == Route.echoed(body))
        try client.send("POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.count + 1)\r\n\r\n")
        #expect(try client.answer().status == 413)
    }

    @Test(arguments: Wire.allCases)
    func `a client that has ended its side still gets its answers`(wire: Wire) throws {
        let server = try Server.forTests(wire)
        let client = try TestClient(server.address, wire)
        try client.send(post("one") + post("two"))
        client.endSending()
        #expect(try client.answers(2).map(\.text) == ["one", "two"].map { Route.echoed(Array($0.utf8)) })
        #expect(try client.isEnded())
    }

    @Test(arguments: Wire.allCases)
    func `a client that ends within a request gets nothing`(wire: Wire) throws {
        let server = try Server.forTests(wire)
        let client = try TestClient(server.address, wire)
        try client.send(String(post("one").dropLast()))
        client.endSending()
        #expect(try client.isEnded())
    }

    @Test(arguments: Wire.allCases)
    func `a reset in the middle hurts nobody else`(wire: Wire) throws {
        let server = try Server.forTests(wire)
        let other = try TestClient(server.address, wire)
        for part in ["", "POST /val", "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe"] {
            let client = try TestClient(server.address, wire)
            try client.send(part)
            client.reset()
            #expect(try other.request(post("x")).status == 200)
        }
        try waitUntil { server.counters.connectionsOpen.load(ordering: .relaxed) == 1 }
    }

    @Test(arguments: Wire.allCases)
    func `answers to a reader that stops are held back and then go on in order`(wire: Wire) throws {
        // Together more than the kernel would keep for a connection (net.ipv4.tcp_wmem ends at 4 MiB).
        let count = 200
        let size = 64 * 1024
        let blocks = (UInt8(0)..<10).map { [UInt8](repeating: $0, count: size) }
        let large = Route(.post, "/validate") {
            { body, _, answer in
                answer.append(contentsOf: blocks[Int(body[0] - 0x30)])
                return Route.Answer(.ok, Route.Answer.text)
            }
        }
        let server = try Server.forTests(wire, routes: [large])
        let client = try TestClient(server.address, wire, receiveBufferBytes: 4096)
        try client.send((0..<count).map { post(String($0 % 10)) }.joined())
        // Until the server can send no more.
        var sent = -1
        while case let now = server.counters.bytesSent.load(ordering: .relaxed), now != sent || now == 0 {
            sent = now
            usleep(20_000)
        }
        // And far less than that is kept: a thousand such readers must not take all that the node has for TCP.
        #expect(sent < 16 * Limits.sendBufferBytes)
        for number in 0..<count { #expect(try client.answers(1)[0].body == blocks[number % 10]) }
        #expect(try client.request(post("3")).body == blocks[3])
    }

    @Test func `of requests that are not read meanwhile the kernel keeps little, however fast it took those before`()
        throws
    {
        let server = try Server.forTests()
        let client = try TestClient(server.address, receiveBufferBytes: 4096)
        var bytes: Int32 = 16 * 1024
        _ = unsafe setsockopt(client.descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
        let body = String(repeating: "x", count: 1024 * 1024)
        for _ in 0..<20 { #expect(try client.request(post(body)).status == 200) }
        func received() -> Int { server.counters.bytesReceived.load(ordering: .relaxed) }
        let before = received()

        let requests = Array(String(repeating: "GET /page HTTP/1.1\r\nHost: h\r\n\r\n", count: 1000).utf8)
        var (sent, quiet) = (0, 0)
        while quiet < 200 {
            let rest = Array(requests[(sent % requests.count)...])
            let count = unsafe send(client.descriptor, rest, rest.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            if count > 0 {
                (sent, quiet) = (sent + count, 0)
            } else {
                quiet += 1
                usleep(1000)
            }
        }
        #expect(received() > before)
        #expect(sent - (received() - before) < 16 * Limits.receiveBufferBytes)
    }

    @Test func `requests in several TLS records that arrive together are all answered`() throws {
        let server = try Server.forTests(.tls)
        let client = try TestClient(server.address, .tls)
        for count in 2...20 {
            // Held back until all are there: one segment, so one read(2) of the server takes all records at once.
            client.cork(true)
            for number in 0..<count { try client.send(post("\(number)")) }
            client.cork(false)
            #expect(try client.answers(count).map(\.text) == (0..<count).map { Route.echoed(Array("\($0)".utf8)) })
        }
    }

    @Test(arguments: Wire.allCases)
    func `a request that does not come to its end in time is cut off`(wire: Wire) throws {
        let server = try Server.forTests(wire, limits: .with { $0.requestTimeout = .milliseconds(300) })
        for part in ["G", "POST /validate HTTP/1.1\r\n", String(post("hello").dropLast())] {
            let client = try TestClient(server.address, wire)
            try client.send(part)
            client.waitForEnd()
        }
        #expect(server.counters.timeouts(.request) == 3)
        #expect(server.counters.answers(.ok) == 0)
    }

    @Test func `a request's time is not prolonged by its bytes`() throws {
        let server = try Server.forTests(limits: .with { $0.requestTimeout = .milliseconds(300) })
        let client = try TestClient(server.address)
        let started = ContinuousClock.now
        // One byte at a time until the server has had enough; it would go on for hours otherwise.
        while (try? client.send("G")) != nil, ContinuousClock.now - started < .seconds(30) { usleep(1000) }
        #expect(server.counters.timeouts(.request) == 1)
    }

    @Test func `a handshake that does not come to its end in time is cut off`() throws {
        let server = try Server.forTests(.tls, limits: .with { $0.requestTimeout = .milliseconds(300) })
        let client = try TestClient(server.address, .plain)
        try client.send("\u{16}")
        client.waitForEnd()
        #expect(server.counters.timeouts(.request) == 1)
    }

    @Test(arguments: Wire.allCases)
    func `an idle connection is closed in time, before its first request and after`(wire: Wire) throws {
        let limits = Limits.with {
            $0.idleTimeout = .milliseconds(300)
            $0.requestTimeout = .seconds(3600)
        }
        let server = try Server.forTests(wire, limits: limits)
        let silent = try TestClient(server.address, wire)
        #expect(try silent.isEnded())
        // A machine under load may need longer than the timeout for the request; then it gets another chance.
        var client: TestClient
        repeat { client = try TestClient(server.address, wire) } while (try? client.request(post("x"))) == nil
        #expect(try client.isEnded())
        #expect(server.counters.timeouts(.idle) >= 2)
    }

    @Test func `a reader that takes no answer is cut off`() throws {
        let large = Route(.post, "/validate") {
            { _, _, answer in
                answer.append(contentsOf: repeatElement(0x61, count: 8 * 1024 * 1024))
                return Route.Answer(.ok, Route.Answer.text)
            }
        }
        let server = try Server.forTests(limits: .with { $0.requestTimeout = .milliseconds(300) }, routes: [large])
        let client = try TestClient(server.address, receiveBufferBytes: 4096)
        try client.send(post("x"))
        try waitUntil { server.counters.timeouts(.request) == 1 }
        #expect(throws: TestClient.Broken.self) { try client.answer() }
    }

    @Test func `a refused client that never ends is cut off`() throws {
        let server = try Server.forTests()
        let client = try TestClient(server.address)
        #expect(try client.request("GET /page HTTP/1.1\n").status == 400)
        #expect(try client.isEnded())
        try waitUntil { server.counters.connectionsOpen.load(ordering: .relaxed) == 0 }
        #expect(server.counters.timeouts(.linger) == 1)
    }

    @Test(arguments: Wire.allCases)
    func `connections beyond the most are refused and the others keep working`(wire: Wire) throws {
        let server = try Server.forTests(wire, limits: .with { $0.connectionsMax = 3 }, loops: 2)
        var clients = try (0..<3).map { _ in try TestClient(server.address, wire) }
        for client in clients { #expect(try client.request(post("x")).status == 200) }
        for refused in 1...3 {
            #expect(throws: (any Error).self) {
                let client = try TestClient(server.address, wire)
                _ = try client.request(post("x"))
            }
            #expect(server.counters.connectionsRefused.load(ordering: .relaxed) == refused)
        }
        for client in clients { #expect(try client.request(post("x")).status == 200) }
        clients.removeLast()
        try waitUntil { server.counters.connectionsOpen.load(ordering: .relaxed) == 2 }
        let client = try TestClient(server.address, wire)
        #expect(try client.request(post("x")).status == 200)
    }

    @Test func `a handshake of garbage fails and is counted`() throws {
        let server = try Server.forTests(.tls)
        let client = try TestClient(server.address, .plain)
        try client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        client.waitForEnd()
        #expect(server.counters.handshakeFailures.load(ordering: .relaxed) == 1)
        let other = try TestClient(server.address, .tls)
        #expect(try other.request(post("x")).status == 200)
    }

    @Test func `a client of a TLS version before 1.2 is refused`() throws {
        let server = try Server.forTests(.tls)
        let socket = try TestClient(server.address)
        let client = RawClient(descriptor: socket.descriptor, versions: RawClient.versionsBefore12)
        #expect(client.handshake() == .failed("tlsv1 alert protocol version"))
        // The client hears of it a moment before it is counted.
        try waitUntil { server.counters.handshakeFailures.load(ordering: .relaxed) == 1 }
    }

    @Test func `only a client with the required certificate is served`() throws {
        let identity = TestIdentity.shared
        let context = try ServerContext(
            identity: identity.authority.issue(
                commonName: "test server", names: [.ip("127.0.0.1")], purpose: .server),
            clientAuthorities: [identity.authority.certificate])
        let server = try Server(
            "test", at: SocketAddress(host: "127.0.0.1", port: 0), routes: [.echo], loops: 1,
            log: Log(write: { _ in })
        ) { context }
        func client(_ shown: Identity?) throws -> ClientContext {
            try ClientContext(authorities: [identity.authority.certificate], identity: shown)
        }
        let foreign = try TestIdentity().authority.issue(commonName: "client", names: [], purpose: .client)
        for (refused, shown) in [nil, foreign].enumerated() {
            // With TLS 1.3 the client learns of the refusal only when it reads.
            #expect(throws: TestClient.Broken.self) {
                try TestClient(server.address, .tls, as: client(shown)).request(post("x"))
            }
            try waitUntil { server.counters.handshakeFailures.load(ordering: .relaxed) == refused + 1 }
        }
        #expect(server.counters.answers(.ok) == 0)
        let known = try client(identity.authority.issue(commonName: "client", names: [], purpose: .client))
        #expect(try TestClient(server.address, .tls, as: known).request(post("x")).status == 200)
    }

    @Test func `a new certificate serves new connections and drops no old one`() throws {
        let contexts = [TestIdentity.shared, try TestIdentity()]
        let current = Locked(contexts[0].server)
        let server = try Server(
            "test", at: SocketAddress(host: "127.0.0.1", port: 0), routes: [.echo], loops: 1,
            log: Log(write: { _ in })
        ) { current.withLock { $0 } }
        let old = try TestClient(server.address, .tls)
        #expect(try old.request(post("x")).status == 200)
        current.withLock { $0 = contexts[1].server }
        // Its clients trust the other authority only.
        #expect(throws: (any Error).self) { try TestClient(server.address, .tls).request(post("x")) }
        let new = try TestClient(server.address, .tls, as: contexts[1].client)
        #expect(try new.request(post("x")).status == 200)
        #expect(try old.request(post("x")).status == 200)
    }

    @Test func `handshakes wait for requests, and a few of them for the next ones`() throws {
        let (entered, leave) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let held = Route(.post, "/held") {
            { _, _, _ in
                entered.signal()
                leave.wait()
                return Route.Answer(.ok, Route.Answer.text)
            }
        }
        let server = try Server.forTests(.tls, routes: [held])
        let request = post("x", to: "/held")
        let working = try (0..<3).map { _ in try TestClient(server.address, .tls) }
        let newcomers = try (0..<16).map { _ in try TestClient(server.address) }
        try waitUntil {
            server.counters.connectionsOpen.load(ordering: .relaxed) == working.count + newcomers.count
        }
        // What the loop has sent to a newcomer is there as soon as it is sent: both ends are this machine's.
        func answered() -> Int { newcomers.count { $0.hasInput } }

        // While one request holds the loop, all newcomers begin, and only then comes another request.
        try working[0].send(request)
        entered.wait()
        let clients = newcomers.map { RawClient(descriptor: $0.descriptor) }
        for (newcomer, client) in zip(newcomers, clients) {
            _ = fcntl(newcomer.descriptor, F_SETFL, O_NONBLOCK)
            #expect(client.handshake() == .waits)
        }
        try working[1].send(request)
        leave.signal()
        entered.wait()
        #expect(answered() == 0)
        // The next request comes when the turn has already begun that gives the newcomers theirs.
        try working[2].send(request)
        leave.signal()
        entered.wait()
        #expect((1...Limits.handshakesPerTurn).contains(answered()))
        leave.signal()
        try waitUntil { answered() == newcomers.count }
    }

    // MARK: Stopping

    @Test(arguments: Wire.allCases)
    func `once its end is announced, old and new clients are served, and told to come back elsewhere`(wire: Wire) throws
    {
        let server = try Server.forTests(wire)
        let old = try TestClient(server.address, wire)
        #expect(try old.request(post("x")).headers["connection"] == nil)

        server.announceEnd()
        for client in [old, try TestClient(server.address, wire), try TestClient(server.address, wire)] {
            let answer = try client.request(post("hello"))
            #expect(answer.text == Route.echoed(Array("hello".utf8)) && answer.headers["connection"] == "close")
            #expect(try client.isEnded())
        }
        server.stop(within: .zero)
    }

    @Test(arguments: Wire.allCases)
    func `stopping finishes the request in progress and closes idle connections`(wire: Wire) throws {
        let server = try Server.forTests(wire)
        let idle = try TestClient(server.address, wire)
        #expect(try idle.request(post("x")).status == 200)
        let busy = try TestClient(server.address, wire)
        let request = post("hello")
        // Twice, so that the beginning of the second has certainly arrived with the first.
        try busy.send(request + request.dropLast(3))
        #expect(try busy.answer().status == 200)

        let stopping = try EventThread(name: "stopping") { server.stop(within: .seconds(30)) }
        #expect(try idle.isEnded())
        #expect(throws: (any Error).self) { try TestClient(server.address, wire).request(post("x")) }
        try busy.send(String(request.suffix(3)))
        let answer = try busy.answer()
        #expect(answer.text == Route.echoed(Array("hello".utf8)) && answer.headers["connection"] == "close")
        #expect(try busy.isEnded())
        stopping.join()
        #expect(server.counters.connectionsOpen.load(ordering: .relaxed) == 0)
    }

    @Test(arguments: Wire.allCases)
    func `stopping waits for the first request of a new connection, but not for long`(wire: Wire) throws {
        let server = try Server.forTests(wire)
        let new = try TestClient(server.address, wire)
        let silent = try TestClient(server.address, wire)
        let idle = try TestClient(server.address, wire)
        #expect(try idle.request(post("x")).status == 200)

        let stopping = try EventThread(name: "stopping") { server.stop(within: .seconds(3600)) }
        #expect(try idle.isEnded())
        let answer = try new.request(post("hello"))
        #expect(answer.text == Route.echoed(Array("hello".utf8)) && answer.headers["connection"] == "close")
        #expect(try silent.isEnded())
        stopping.join()
    }

    @Test func `stopping does not wait longer than it may`() throws {
        let server = try Server.forTests()
        let client = try TestClient(server.address)
        try client.send(post("x") + "POST")
        #expect(try client.answer().status == 200)
        server.stop(within: .milliseconds(100))
        client.waitForEnd()
        #expect(server.counters.connectionsOpen.load(ordering: .relaxed) == 0)
    }

    // MARK: Addresses

    @Test func `all loops listen on one port that no second server gets`() throws {
        let server = try Server.forTests(loops: 3)
        #expect(server.address.port != 0)
        #expect(throws: ServerError.system(doing: "listen on \(server.address)", code: EADDRINUSE)) {
            try Server("test", at: server.address, routes: [], log: Log(write: { _ in }))
        }
        for _ in 0..<20 {
            #expect(try TestClient(server.address).request(post("x")).status == 200)
        }
        server.stop(within: .seconds(1))
        // The port is free again at once.
        _ = try Server("test", at: server.address, routes: [], log: Log(write: { _ in }))
    }

    @Test func `an address without a host takes IPv4 connections too`() throws {
        let server = try Server(
            "test", at: SocketAddress(":0"), routes: [.page], loops: 1, log: Log(write: { _ in }))
        let client = try TestClient(server.address)
        #expect(try client.request("GET /page HTTP/1.1\r\nHost: h\r\n\r\n").status == 200)
    }

    @Test(arguments: [
        "", "10250", "localhost:1", "1.2.3:1", "::1:80", "[::1]", "[1.2.3.4]:1", "1.2.3.4:65536", "h:+1", ":",
    ])
    func `text that is no address is refused`(text: String) {
        #expect(throws: ServerError.badAddress(text)) { try SocketAddress(text) }
    }

    @Test(arguments: [":10250", "127.0.0.1:0", "[::1]:8080", "[::]:65535"])
    func `an address reads and prints the same`(text: String) throws {
        #expect(try SocketAddress(text).description == text)
    }
}

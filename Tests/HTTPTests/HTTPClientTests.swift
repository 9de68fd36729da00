import HTTP
import Platform
import Support
import Testing

@Suite(.timeLimit(.minutes(5)))
struct HTTPClientTests {
    let client = HTTPClient()

    /// Answers every request with what it was.
    static func echo() throws -> ScriptedServer {
        try ScriptedServer { connection in
            while true {
                let request = try connection.request()
                try connection.respond(body: request.head + "\r\n\r\n" + String(decoding: request.body, as: UTF8.self))
            }
        }
    }

    static let calls: [(HTTPRequest.Method, String?)] = [
        (.get, nil), (.delete, nil), (.delete, "{}"), (.post, "a=b"), (.post, nil), (.put, ""), (.put, "text\n"),
        (.patch, "[]"),
    ]

    @Test(arguments: calls)
    func `a request arrives as it was given`(method: HTTPRequest.Method, body: String?) async throws {
        let server = try Self.echo()
        defer { server.stop() }
        let request = HTTPRequest(
            method, server.url("/a/../b%2Fc?d=e"), headers: [.init("X-One", "1"), .init("X-None", "")],
            body: body.map { Array($0.utf8) })
        let response = try await client.send(request)
        #expect(response.status == 200)
        let parts = String(decoding: response.body, as: UTF8.self).split(
            separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        var lines = Set(parts[0].split(separator: "\r\n"))
        #expect(lines.remove("\(method.rawValue) /a/../b%2Fc?d=e HTTP/1.1") != nil)
        let hasBody = body != nil || ![.get, .delete].contains(method)
        var expected: Set<Substring> = [
            "Host: 127.0.0.1:\(server.port)", "User-Agent: leasehold", "Accept: */*", "X-One: 1", "X-None:",
        ]
        if hasBody { expected.insert("Content-Length: \((body ?? "").utf8.count)") }
        // No Expect, no Content-Type, nothing else that nobody asked for.
        #expect(lines == expected)
        #expect(parts[1] == body ?? "")
    }

    @Test func `an answer arrives with its status, headers and body`() async throws {
        let server = try ScriptedServer { connection in
            _ = try connection.request()
            try connection.send("HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n")
            try connection.respond("412 Precondition Failed", ["ETag:  \"x\" ", "x-goog-generation: 7"], body: "no\0")
        }
        defer { server.stop() }
        let response = try await client.send(HTTPRequest(.get, server.url()))
        #expect(response.status == 412)
        #expect(
            response.headers == [
                .init("Content-Length", "3"), .init("ETag", "\"x\""), .init("x-goog-generation", "7"),
            ])
        #expect(response.header("etag") == "\"x\"")
        #expect(response.body == Array("no\0".utf8))
    }

    @Test func `a redirect is an answer like any other`() async throws {
        let server = try Self.echo()
        defer { server.stop() }
        let other = try ScriptedServer { connection in
            _ = try connection.request()
            try connection.respond("302 Found", ["Location: \(server.url())"])
        }
        defer { other.stop() }
        let response = try await client.send(HTTPRequest(.get, other.url()))
        #expect(response.status == 302)
        #expect(server.connectionCount == 0)
    }

    @Test func `a large body goes out at once`() async throws {
        let server = try ScriptedServer { connection in
            let request = try connection.request()
            try connection.respond(body: "\(request.body.count) \(request.head.contains("Expect"))")
        }
        defer { server.stop() }
        let body = [UInt8](repeating: 7, count: 5 << 20)
        let response = try await client.send(HTTPRequest(.put, server.url(), body: body))
        #expect(String(decoding: response.body, as: UTF8.self) == "\(5 << 20) false")
    }

    @Test func `many requests at the same time all get their own answer`() async throws {
        let server = try Self.echo()
        defer { server.stop() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<40 {
                group.addTask {
                    let response = try await client.send(HTTPRequest(.get, server.url("/\(number)")))
                    #expect(String(decoding: response.body, as: UTF8.self).hasPrefix("GET /\(number) HTTP/1.1\r\n"))
                }
            }
            try await group.waitForAll()
        }
    }

    @Test(arguments: [("X\r\nY", "1"), ("X", "1\r\nY: 2"), ("", "1"), ("X", "token\n"), ("X: Y", "1"), ("X", "a\0b")])
    func `a header that would end its line is not sent`(name: String, value: String) async throws {
        let server = try Self.echo()
        defer { server.stop() }
        let (outcome, text) = await client.outcome(HTTPRequest(.get, server.url(), headers: [.init(name, value)]))
        #expect(outcome == .failed)
        #expect(text.contains("header") && !text.contains("token\n"))
        #expect(server.connectionCount == 0)
    }
}

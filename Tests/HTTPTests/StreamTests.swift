import HTTP
import Platform
import Support
import Testing

@Suite(.timeLimit(.minutes(5)))
struct StreamTests {
    let client = HTTPClient()
    static let long = Duration.seconds(600)

    private static func server(_ script: @escaping @Sendable (ServerConnection) throws -> Void) throws -> ScriptedServer
    {
        try ScriptedServer { connection in
            _ = try connection.request()
            try connection.respondInPieces("200 OK", ["X-One: 1"])
            try script(connection)
        }
    }

    @Test func `pieces arrive as they are sent, and then the end`() async throws {
        let (taken, more) = (Event(), Event())
        let server = try Self.server { connection in
            try connection.sendPiece("one\n")
            taken.wait()
            try connection.sendPiece("two\n")
            more.wait()
            try connection.sendPiece("")
        }
        defer { server.stop() }
        let stream = try await client.stream(HTTPRequest(.get, server.url()), idleTimeout: Self.long)
        #expect(stream.status == 200)
        #expect(stream.headers.contains(.init("X-One", "1")))
        #expect(try await stream.next() == Array("one\n".utf8))
        taken.happen()
        #expect(try await stream.next() == Array("two\n".utf8))
        more.happen()
        #expect(try await stream.next() == nil)
        #expect(try await stream.next() == nil)
    }

    @Test func `a stream without a body ends at once`() async throws {
        let server = try ScriptedServer { connection in
            _ = try connection.request()
            try connection.respond("410 Gone")
        }
        defer { server.stop() }
        let stream = try await client.stream(HTTPRequest(.get, server.url()), idleTimeout: Self.long)
        #expect(stream.status == 410)
        #expect(try await stream.next() == nil)
    }

    @Test func `a stream that breaks off gives what has come, and an error`() async throws {
        let server = try Self.server { try $0.sendPiece("begun") }
        defer { server.stop() }
        let stream = try await client.stream(HTTPRequest(.get, server.url()), idleTimeout: Self.long)
        let (text, error) = await stream.rest()
        #expect(text == "begun")
        #expect(error?.outcome == .unclear)
    }

    @Test func `a silent stream ends with an error and its connection`() async throws {
        let closed = Event()
        let server = try Self.server { connection in
            try connection.sendPiece("one")
            connection.waitForClose()
            closed.happen()
        }
        defer { server.stop() }
        let request = HTTPRequest(.get, server.url(), timeout: Self.long)
        let stream = try await client.stream(request, idleTimeout: .milliseconds(50))
        let (text, error) = await stream.rest()
        #expect(text == "one")
        #expect(error?.description.contains("no byte within 0.05 seconds") == true)
        await closed.happened()
    }

    @Test func `a stream whose head does not come in time is an error`() async throws {
        let server = try ScriptedServer { $0.waitForClose() }
        defer { server.stop() }
        let request = HTTPRequest(.get, server.url(), timeout: .milliseconds(50))
        await #expect(throws: HTTPError.self) {
            _ = try await HTTPClient().stream(request, idleTimeout: Self.long)
        }
    }

    @Test func `dropping a stream closes its connection`() async throws {
        let closed = Event()
        let server = try Self.server { connection in
            connection.waitForClose()
            closed.happen()
        }
        defer { server.stop() }
        _ = try await client.stream(HTTPRequest(.get, server.url()), idleTimeout: Self.long)
        await closed.happened()
    }

    @Test func `cancelling the consumer ends the stream and its connection`() async throws {
        let closed = Event()
        let server = try Self.server { connection in
            connection.waitForClose()
            closed.happen()
        }
        defer { server.stop() }
        let stream = try await client.stream(HTTPRequest(.get, server.url()), idleTimeout: Self.long)
        let task = Task { await stream.rest() }
        task.cancel()
        #expect(await task.value.error?.description.contains("it was cancelled") == true)
        await closed.happened()
        #expect(await stream.rest().error != nil)
    }

    @Test func `a server that sends faster than its pieces are taken has to wait`() async throws {
        let piece = String(repeating: "0123456789abcdef", count: 4096)
        let pieces = 1024
        let (stuck, sent) = (Event(), Locked(0))
        let server = try Self.server { connection in
            for _ in 0..<pieces {
                if !connection.isWritable { stuck.happen() }
                try connection.sendPiece(piece)
                sent.withLock { $0 += 1 }
            }
            stuck.happen()
            try connection.sendPiece("")
        }
        defer { server.stop() }
        // It would end a stream that waits for its server, but not one whose consumer is slow.
        let stream = try await client.stream(HTTPRequest(.get, server.url()), idleTimeout: .milliseconds(100))
        await stuck.happened()
        // 1 MiB waits here, and up to 10 MiB in the buffers of the two sockets (tcp_wmem, tcp_rmem) of 64 MiB.
        #expect(sent.withLock { $0 } < pieces / 2)
        var count = 0
        var isIntact = true
        while let bytes = try await stream.next() {
            #expect(bytes.count <= 1 << 20)
            for byte in bytes {
                isIntact = isIntact && byte == Array("0123456789abcdef".utf8)[count % 16]
                count += 1
            }
        }
        #expect(isIntact)
        #expect(count == pieces * 65_536)
    }

    @Test func `a stream has a connection of its own`() async throws {
        let server = try ScriptedServer { connection in
            while true {
                if try connection.request().line.contains("/watch") {
                    try connection.respondInPieces()
                    connection.waitForClose()
                }
                try connection.respond()
            }
        }
        defer { server.stop() }
        _ = try await client.send(HTTPRequest(.get, server.url()))
        let watch = HTTPRequest(.get, server.url("/watch"))
        let streams = [
            try await client.stream(watch, idleTimeout: Self.long),
            try await client.stream(watch, idleTimeout: Self.long),
        ]
        _ = try await client.send(HTTPRequest(.get, server.url()))
        #expect(streams.map(\.status) == [200, 200])
        #expect((3...4).contains(server.connectionCount))
    }
}

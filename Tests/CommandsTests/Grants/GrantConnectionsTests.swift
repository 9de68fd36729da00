import HTTP
import Support
import TLS
import Testing

@testable import Commands

/// Whatever a server may do to a webhook that asks it.
struct GrantConnectionsTests {
    private let server: ServerContext
    private let client: ClientContext
    private let connections = GrantConnections()

    init() throws {
        let authority = try CertificateAuthority.make(commonName: "grants")
        server = try ServerContext(
            identity: authority.issue(commonName: "controller", names: [.dns("leasehold-grants")], purpose: .server),
            clientAuthorities: [authority.certificate])
        client = try ClientContext(
            authorities: [authority.certificate],
            identity: authority.issue(commonName: "webhook", names: [], purpose: .client))
    }

    private func get(
        _ server: ScriptedServer, _ client: ClientContext? = nil, timeout: Duration = .seconds(60)
    ) async throws -> HTTPResponse {
        let endpoint = try #require(GrantAddress("127.0.0.1:\(server.port)"))
        return try await connections.get(
            "/v1/grants?x=y", from: endpoint, client ?? self.client, timeout: timeout, bytesMax: 1000)
    }

    private func failure(_ server: ScriptedServer, timeout: Duration = .seconds(60)) async throws -> String {
        let error = await #expect(throws: HTTPError.self) { try await get(server, timeout: timeout) }
        let text = try #require(error?.description)
        let prefix = "GET https://127.0.0.1:\(server.port)/v1/grants?x=y has no answer: "
        #expect(text.hasPrefix(prefix))
        return String(text.dropFirst(prefix.count))
    }

    @Test func `questions to one controller share a connection, until the certificates are others`() async throws {
        let controller = try ScriptedServer(tls: server) { connection in
            while true {
                let request = try connection.request()
                try connection.respond(body: request.head)
            }
        }
        defer { controller.stop() }
        let expected = "GET /v1/grants?x=y HTTP/1.1\r\nHost: 127.0.0.1:\(controller.port)"
        for _ in 0..<3 {
            #expect(try await get(controller) == HTTPResponse(status: 200, body: Array(expected.utf8)))
        }
        #expect(controller.connectionCount == 1)
        let authority = try CertificateAuthority.make(commonName: "another")
        let stranger = try ClientContext(
            authorities: [authority.certificate],
            identity: authority.issue(commonName: "webhook", names: [], purpose: .client))
        await #expect(throws: HTTPError.self) { try await get(controller, stranger) }
        #expect(controller.connectionCount == 2)
    }

    @Test func `a connection that was closed meanwhile is replaced, once`() async throws {
        let controller = try ScriptedServer(tls: server) { connection in
            _ = try connection.request()
            try connection.respond("403 Forbidden", body: "no")
        }
        defer { controller.stop() }
        for count in 1...3 {
            #expect(try await get(controller) == HTTPResponse(status: 403, body: Array("no".utf8)))
            #expect(controller.connectionCount == count)
        }
    }

    @Test func `one that says that it closes is not used again`() async throws {
        let controller = try ScriptedServer(tls: server) { connection in
            _ = try connection.request()
            try connection.respond("200 OK", ["Connection: close"], body: "yes")
            connection.waitForClose()
        }
        defer { controller.stop() }
        for count in 1...2 {
            #expect(try await get(controller).body == Array("yes".utf8))
            #expect(controller.connectionCount == count)
        }
    }

    @Test func `silence ends by the time-out, and the next question takes another connection`() async throws {
        let controller = try ScriptedServer(tls: server) { connection in
            _ = try connection.request()
            connection.waitForClose()
        }
        defer { controller.stop() }
        for count in 1...2 {
            #expect(
                try await failure(controller, timeout: .milliseconds(300)) == "no complete answer within 0.3 seconds")
            #expect(controller.connectionCount == count)
        }
    }

    @Test func `a server that does not shake hands is given up, too`() async throws {
        let controller = try ScriptedServer { $0.waitForClose() }
        defer { controller.stop() }
        #expect(try await failure(controller, timeout: .milliseconds(300)) == "no complete answer within 0.3 seconds")
    }

    @Test func `nobody there is said at once`() async throws {
        let controller = try ScriptedServer { $0.waitForClose() }
        controller.stop()
        #expect(try await failure(controller) == "no connection: Connection refused")
    }

    @Test(
        arguments: [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
                "it closed the connection before the end of its answer"
            ),
            ("HTTP/1.1 200 OK\r\nContent-Le", "it closed the connection before the end of its answer"),
            ("", "it closed the connection before the end of its answer"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "the answer has more than 1000 bytes"),
            ("HTTP/1.1 200 OK\r\n\r\nendless", "it does not say how long its answer is"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "it does not say how long its answer is"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999\r\n\r\n", "the answer has more than 1000 bytes"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
                "it does not say how long its answer is"
            ),
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "it does not answer by HTTP/1.1"),
            (
                "HTTP/1.1 200 OK\r\nX: \(String(repeating: "x", count: 20_000))\r\n\r\n",
                "the head of the answer has more than 16 KiB"
            ),
        ])
    func `an answer that is none is told apart`(answer: String, problem: String) async throws {
        let controller = try ScriptedServer(tls: server) { connection in
            _ = try connection.request()
            try connection.send(answer)
        }
        defer { controller.stop() }
        #expect(try await failure(controller) == problem)
        #expect(controller.connectionCount == 1)
    }

    @Test func `an answer may come in any number of pieces`() async throws {
        let controller = try ScriptedServer(tls: server) { connection in
            while true {
                _ = try connection.request()
                for byte in "HTTP/1.1 200 OK\r\ncontent-LENGTH:  5 \r\n\r\nworld" { try connection.send(String(byte)) }
            }
        }
        defer { controller.stop() }
        for _ in 0..<2 { #expect(try await get(controller).body == Array("world".utf8)) }
        #expect(controller.connectionCount == 1)
    }
}

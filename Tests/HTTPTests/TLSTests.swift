import HTTP
import Platform
import Support
import TLS
import Testing

@Suite(.timeLimit(.minutes(5)))
struct TLSTests {
    static let authority = try! CertificateAuthority.make(commonName: "test authority")

    static func pem(_ certificates: [Certificate]) throws -> [UInt8] {
        Array(try certificates.map { try $0.pem() }.joined().utf8)
    }

    static func server(
        names: [SubjectName] = [.ip("127.0.0.1")], clientAuthorities: [Certificate]? = nil
    ) throws -> ScriptedServer {
        let identity = try authority.issue(commonName: "server", names: names, purpose: .server)
        return try ScriptedServer(tls: ServerContext(identity: identity, clientAuthorities: clientAuthorities)) {
            connection in
            while true {
                let request = try connection.request()
                try connection.respond(body: "\(connection.clientName ?? "nobody")\r\n\(request.head)")
            }
        }
    }

    static func options(_ change: (inout HTTPClient.Options) -> Void = { _ in }) -> HTTPClient.Options {
        var options = HTTPClient.Options()
        options.trust = .authorities(try! pem([authority.certificate]))
        change(&options)
        return options
    }

    @Test func `a server with a certificate of a trusted authority is talked to`() async throws {
        let server = try Self.server()
        defer { server.stop() }
        let outcome = await HTTPClient(Self.options()).outcome(HTTPRequest(.get, server.url(scheme: "https")))
        #expect(outcome.0 == .answered(200))
        #expect(outcome.text.hasPrefix("nobody\r\nGET / HTTP/1.1"))
    }

    @Test func `a server of an unknown authority gets no request`() async throws {
        let other = try CertificateAuthority.make(commonName: "other")
        let authorities = try Self.pem([other.certificate])
        let server = try Self.server()
        defer { server.stop() }
        for options in [HTTPClient.Options(), Self.options { $0.trust = .authorities(authorities) }] {
            let request = HTTPRequest(.put, server.url(scheme: "https"), body: [1])
            let (outcome, text) = await HTTPClient(options).outcome(request)
            #expect(outcome == .failed)
            #expect(text.contains("certificate") && text.contains("check the trusted authorities"))
        }
    }

    @Test func `anybody is talked to only where that is asked for`() async throws {
        let server = try Self.server(names: [.dns("elsewhere")])
        defer { server.stop() }
        let request = HTTPRequest(.get, server.url(scheme: "https"))
        #expect(await HTTPClient(Self.options { $0.trust = .anybody }).outcome(request).0 == .answered(200))
        // The connection that is open must not serve a client that wants proof.
        #expect(await HTTPClient(Self.options()).outcome(request).0 == .failed)
        #expect(await HTTPClient().outcome(request).0 == .failed)
    }

    @Test func `a certificate is checked against another name where one is given`() async throws {
        let server = try Self.server(names: [.dns("kubernetes.default")])
        defer { server.stop() }
        let request = HTTPRequest(.get, server.url("/x?y", scheme: "https"))
        let named = HTTPClient(Self.options { $0.serverName = "kubernetes.default" })
        let (outcome, text) = await named.outcome(request)
        #expect(outcome == .answered(200))
        #expect(text.contains("GET /x?y HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\n"))
        #expect(await HTTPClient(Self.options()).outcome(request).0 == .failed)
        let wrong = HTTPClient(Self.options { $0.serverName = "kubernetes.other" })
        #expect(await wrong.outcome(request).0 == .failed)
    }

    @Test func `a client proves itself with its certificate`() async throws {
        let server = try Self.server(clientAuthorities: [Self.authority.certificate])
        defer { server.stop() }
        let identity = try Self.authority.issue(commonName: "client-1", names: [], purpose: .client)
        let key = try identity.key.withPEM { key in key.indices.map { key[$0] } }
        let chain = try Self.pem(identity.chain)
        let request = HTTPRequest(.get, server.url(scheme: "https"))
        let known = HTTPClient(Self.options { $0.identity = .init(chain: chain, key: key) })
        #expect(await known.outcome(request).text.hasPrefix("CN=client-1\r\n"))
        // Nor does one without share the connection of one with.
        guard case .answered = await HTTPClient(Self.options()).outcome(request).0 else { return }
        Issue.record("a client without a certificate got an answer")
    }

    @Test func `a key that does not fit is an error that says so`() async throws {
        let server = try Self.server()
        defer { server.stop() }
        let identity = try Self.authority.issue(commonName: "client-1", names: [], purpose: .client)
        let chain = try Self.pem(identity.chain)
        let client = HTTPClient(Self.options { $0.identity = .init(chain: chain, key: Array("no key".utf8)) })
        let (outcome, text) = await client.outcome(HTTPRequest(.get, server.url(scheme: "https")))
        #expect(outcome == .failed)
        #expect(text.contains("check the client certificate and its key") && !text.contains("no key"))
    }

    @Test func `only TLS 1_2 and 1_3 are offered`() async throws {
        let hello = Locked<[UInt8]>([])
        let server = try ScriptedServer { connection in
            let bytes = try connection.firstBytes()
            hello.withLock { $0 = bytes }
        }
        defer { server.stop() }
        #expect(await HTTPClient().outcome(HTTPRequest(.get, server.url(scheme: "https"))).0 == .failed)
        // The extension supported_versions (RFC 8446, section 4.2.1) with 1.3 and 1.2.
        #expect(hello.withLock { $0 }.contains([0, 43, 0, 5, 4, 3, 4, 3, 3]))
    }
}

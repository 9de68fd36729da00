import COpenSSL
import Support
import TLS
import Testing

@Suite struct ServerContextTests {
    let authority = TestAuthority.one

    private static let hour: Int64 = 3_600_000_000
    private static let now = Validity.days(0).notAfter

    @Test func `TLS 1_1 is refused`() throws {
        let sockets = SocketPair()
        var server = try TLSConnection(
            ServerContext(identity: authority.server()), descriptor: sockets.server)
        let client = RawClient(descriptor: sockets.client, versions: RawClient.versionsBefore12)
        #expect(client.handshake() == .waits)
        #expect(server.handshake().refusal == "unsupported protocol")
        #expect(client.handshake() == .failed("tlsv1 alert protocol version"))
    }

    @Test(arguments: [
        (TLS1_2_VERSION, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (TLS1_3_VERSION, "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
    ])
    func `TLS 1_2 and 1_3 are served with our first cipher`(version: Int32, name: String, cipher: String) throws {
        let sockets = SocketPair()
        var server = try TLSConnection(
            ServerContext(identity: authority.server()), descriptor: sockets.server)
        let client = RawClient(descriptor: sockets.client, versions: version...version)
        #expect(drive(&server, client) == .done)
        #expect(server.version == name)
        #expect(server.cipher == cipher)
    }

    @Test(arguments: ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "aNULL", "RSA"])
    func `ciphers without forward secrecy, authentication or an authenticated mode are refused`(cipher: String) throws {
        let sockets = SocketPair()
        var server = try TLSConnection(
            ServerContext(identity: authority.server()), descriptor: sockets.server)
        let client = RawClient(
            descriptor: sockets.client, versions: TLS1_2_VERSION...TLS1_2_VERSION, ciphers: cipher + ":@SECLEVEL=0")
        #expect(client.handshake() == .waits)
        #expect(server.handshake().refusal == "no shared cipher")
    }

    @Test(
        arguments: [
            (["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), (["h2"], nil), ([], nil),
        ] as [([String], String?)])
    func `http 1_1 is chosen among the protocols offered, and no overlap is no obstacle`(
        offers: [String], chosen: String?
    ) throws {
        let sockets = SocketPair()
        var server = try TLSConnection(
            ServerContext(identity: authority.server()), descriptor: sockets.server)
        let client = RawClient(descriptor: sockets.client, protocols: offers)
        #expect(drive(&server, client) == .done)
        #expect(server.applicationProtocol == chosen)
    }

    @Test func `renegotiation is refused`() throws {
        let sockets = SocketPair()
        var server = try TLSConnection(
            ServerContext(identity: authority.server()), descriptor: sockets.server)
        let client = RawClient(descriptor: sockets.client, versions: TLS1_2_VERSION...TLS1_2_VERSION)
        #expect(drive(&server, client) == .done)
        #expect(client.beginRenegotiation())
        #expect(client.handshake() == .waits)
        #expect(server.receive() == .other(.wantsRead))
        #expect(client.handshake() == .failed("no renegotiation"))
    }

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `every connection makes a full handshake`(version: Int32) throws {
        let context = try ServerContext(identity: authority.server())
        var session: RawClient.Session?
        for _ in 0..<2 {
            let sockets = SocketPair()
            var server = try TLSConnection(context, descriptor: sockets.server)
            let client = RawClient(descriptor: sockets.client, versions: version...version, session: session)
            #expect(drive(&server, client) == .done)
            // Reads what a TLS 1.3 server might send after the handshake: tickets.
            #expect(client.read() == .waits)
            #expect(!client.hasResumed)
            session = client.session
            #expect(session != nil)
        }
    }

    // MARK: Client certificates

    @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
    func `a client without a certificate is refused when one is required`(version: Int32) throws {
        let sockets = SocketPair()
        var server = try TLSConnection(mutualContext(), descriptor: sockets.server)
        let client = RawClient(descriptor: sockets.client, versions: version...version)
        #expect(drive(&server, client).refusal == "peer did not return a certificate")
    }

    @Test func `a client with a certificate of the authority is accepted and known`() throws {
        var pair = try ConnectedPair(mutualContext(), authority.clientContext(identity: authority.client()))
        #expect(pair.handshake() == (.done, .done))
        try pair.echo("hello")
        #expect(pair.server.peerCertificate?.subject == "CN=client")
    }

    @Test func `a client with a certificate of another authority is refused and learns it`() throws {
        let stranger = try TestAuthority.other.client()
        var pair = try ConnectedPair(mutualContext(), authority.clientContext(identity: stranger))
        let ends = pair.handshake()
        #expect(ends.server.refusal?.contains("certificate verify failed") == true)
        #expect(pair.client.receive().refusal?.contains("alert unknown ca") == true)
    }

    @Test(arguments: [
        (Validity(notBefore: now - 2 * hour, notAfter: now - hour), "certificate has expired"),
        (Validity(notBefore: now + hour, notAfter: now + 2 * hour), "certificate is not yet valid"),
    ])
    func `a client whose certificate is not valid now is refused`(validity: Validity, reason: String) throws {
        // The authority's own validity would cut the client's.
        let authority = try CertificateAuthority.make(
            commonName: "old", validity: Validity(notBefore: Self.now - 9 * Self.hour, notAfter: .max / 4096))
        let client = try authority.issue(commonName: "client", names: [], purpose: .client, validity: validity)
        let context = try ServerContext(
            identity: self.authority.server(), clientAuthorities: [authority.certificate])
        var pair = try ConnectedPair(context, self.authority.clientContext(identity: client))
        #expect(pair.handshake().server.refusal?.contains(reason) == true)
    }

    @Test func `a client that shows a server's certificate is refused`() throws {
        let identity = try authority.client(purpose: .server)
        var pair = try ConnectedPair(mutualContext(), authority.clientContext(identity: identity))
        #expect(pair.handshake().server.refusal?.contains("purpose") == true)
    }

    @Test func `an old and a new authority of the same name are both trusted`() throws {
        let old = TestAuthority(named: "rotated")
        let new = TestAuthority(named: "rotated")
        let context = try ServerContext(
            identity: authority.server(), clientAuthorities: [old.authority.certificate, new.authority.certificate])
        for client in try [old.client(), new.client()] {
            var pair = try ConnectedPair(context, authority.clientContext(identity: client))
            #expect(pair.handshake() == (.done, .done))
        }
    }

    @Test func `requiring client certificates without an authority is an error`() throws {
        let identity = try authority.server()
        #expect(throws: TLSError.self) { try ServerContext(identity: identity, clientAuthorities: []) }
    }

    private func mutualContext() throws -> ServerContext {
        try ServerContext(identity: authority.server(), clientAuthorities: [authority.authority.certificate])
    }

    /// Drives a handshake until the server is done or has failed.
    private func drive(_ server: inout TLSConnection, _ client: RawClient) -> TLSConnection.Progress {
        var progress = TLSConnection.Progress.wantsRead
        var turns = 0
        while progress.goesOn && turns < 100 {
            turns += 1
            _ = client.handshake()
            progress = server.handshake()
        }
        // TLS 1.2 ends with the server's message.
        if progress == .done { #expect(client.handshake() == .done) }
        return progress
    }
}

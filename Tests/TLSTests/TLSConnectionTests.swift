import TLS
import Testing

@Suite struct TLSConnectionTests {
    let authority = TestAuthority.one

    @Test func `a client that trusts the authority talks to the server`() throws {
        var pair = try ConnectedPair(ServerContext(identity: authority.server()), authority.clientContext())
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.server.version == "TLSv1.3")
        #expect(pair.server.cipher == "TLS_AES_128_GCM_SHA256")
        #expect(pair.client.peerCertificate?.subject == "CN=server")
        #expect(pair.server.peerCertificate == nil)
        try pair.echo("hello")
    }
}

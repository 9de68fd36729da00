import TLS
import Testing

@Suite struct ClientContextTests {
    let authority = TestAuthority.one

    @Test(arguments: ["a.example", "x.b.example", "10.0.0.1", "fd00::1"])
    func `a server is accepted under each name of its certificate`(name: String) throws {
        let context = try ServerContext(
            identity: authority.server([.dns("a.example"), .dns("*.b.example"), .ip("10.0.0.1"), .ip("fd00::1")]))
        var pair = try ConnectedPair(context, authority.clientContext(), serverName: name)
        #expect(pair.handshake() == (.done, .done))
    }

    @Test(arguments: ["c.example", "a.example.org", "b.example", "x.y.b.example", "10.0.0.2", "fd00::2"])
    func `a server is refused under any other name`(name: String) throws {
        let context = try ServerContext(
            identity: authority.server([.dns("a.example"), .dns("*.b.example"), .ip("10.0.0.1"), .ip("fd00::1")]))
        var pair = try ConnectedPair(context, authority.clientContext(), serverName: name)
        let ends = pair.handshake()
        #expect(ends.client.refusal?.contains("mismatch") == true)
        #expect(ends.server.refusal?.contains("alert") == true)
    }

    @Test func `a common name alone names no server`() throws {
        var pair = try ConnectedPair(
            ServerContext(identity: authority.server([])), authority.clientContext(), serverName: "server")
        #expect(pair.handshake().client.refusal?.contains("mismatch") == true)
    }

    @Test func `a server of another authority is refused`() throws {
        var pair = try ConnectedPair(
            ServerContext(identity: TestAuthority.other.server()), authority.clientContext())
        #expect(pair.handshake().client.refusal?.contains("unable to get local issuer certificate") == true)
    }

    @Test func `a server that shows a client's certificate is refused`() throws {
        let identity = try authority.authority.issue(
            commonName: "client", names: [.dns("localhost")], purpose: .client)
        var pair = try ConnectedPair(ServerContext(identity: identity), authority.clientContext())
        #expect(pair.handshake().client.refusal?.contains("purpose") == true)
    }

    @Test func `an empty server name is an error`() throws { try expectRefusal(of: "") }
    @Test func `a server name that C would cut short is an error`() throws { try expectRefusal(of: "a.example\0.org") }

    private func expectRefusal(of name: String) throws {
        let context = try authority.clientContext()
        let sockets = SocketPair()
        let descriptor = sockets.client
        #expect(throws: TLSError.self) {
            _ = try TLSConnection(context, serverName: name, descriptor: descriptor)
        }
    }
}

import Testing

@testable import Commands

struct GrantAddressTests {
    @Test(arguments: [
        ("controllers:9443", "controllers", "controllers:9443"), ("127.0.0.1:1", "127.0.0.1", "127.0.0.1:1"),
        ("[::1]:65535", "::1", "[::1]:65535"), ("[2001:DB8::0:1]:2", "2001:db8::1", "[2001:db8::1]:2"),
        ("a.b.svc.cluster.local:9443", "a.b.svc.cluster.local", "a.b.svc.cluster.local:9443"),
    ])
    func `reads host names and addresses with a port`(text: String, host: String, written: String) throws {
        let address = try #require(GrantAddress(text))
        #expect(address.host == host)
        #expect(address.description == written)
    }

    @Test(arguments: [
        "", "a", ":1", "a:", "a:0", "a:65536", "a:-1", "a:1:2", "::1:2", "[a]:1", "[127.0.0.1]:1", "[]:1", "*.a:1",
        "a b:1", "https://a:1", "a:1/x",
    ])
    func `refuses what is none`(text: String) {
        #expect(GrantAddress(text) == nil)
    }

    @Test func `a numeric address leads to itself, a name to each of its addresses with the port`() async throws {
        for text in ["127.0.0.1:7", "[::1]:7"] {
            let address = try #require(GrantAddress(text))
            #expect(address.isNumeric)
            #expect(try await address.endpoints() == [address])
        }
        let name = try #require(GrantAddress("localhost:7"))
        #expect(!name.isNumeric)
        let found = try await name.endpoints()
        #expect(!found.isEmpty)
        #expect(found.allSatisfy { ["127.0.0.1:7", "[::1]:7"].contains($0.description) })
    }

    @Test func `says when a name cannot be resolved`() async throws {
        // Reserved to have no address (RFC 6761).
        let address = try #require(GrantAddress("controllers.invalid:7"))
        let error = await #expect(throws: CommandFailure.self) { try await address.endpoints() }
        #expect(error?.description.hasPrefix("its name cannot be resolved: ") == true)
    }
}

import Glibc
import HTTP
import Support
import TLS
import Testing

@Suite(.timeLimit(.minutes(5)))
struct ProxyTests {
    /// Answers each request in its own name, and a CONNECT as the server behind it would.
    static func proxy(connectStatus: String = "200 Connected") throws -> ScriptedServer {
        let identity = try TLSTests.authority.issue(
            commonName: "server", names: [.dns("leasehold.invalid")], purpose: .server)
        let context = try ServerContext(identity: identity)
        return try ScriptedServer { connection in
            while true {
                let request = try connection.request()
                if request.line.hasPrefix("CONNECT ") {
                    try connection.send("HTTP/1.1 \(connectStatus)\r\nX-Proxy: 1\r\n\r\n")
                    guard connectStatus.hasPrefix("2") else { return }
                    try connection.startTLS(context)
                    let inner = try connection.request()
                    try connection.respond(body: "\(request.line) then \(inner.line)")
                } else {
                    try connection.respond(body: String(request.line))
                }
            }
        }
    }

    @Test func `a proxy that is given is used`() async throws {
        let proxy = try Self.proxy()
        defer { proxy.stop() }
        let client = HTTPClient(TLSTests.options { $0.proxy = proxy.url() })
        let plain = await client.outcome(HTTPRequest(.get, "http://leasehold.invalid/a"))
        #expect(plain.text == "GET http://leasehold.invalid/a HTTP/1.1")
        let response = try await client.send(HTTPRequest(.get, "https://leasehold.invalid/b"))
        #expect(
            String(decoding: response.body, as: UTF8.self)
                == "CONNECT leasehold.invalid:443 HTTP/1.1 then GET /b HTTP/1.1")
        #expect(response.header("X-Proxy") == nil)
    }

    @Test func `a proxy that refuses means that nothing was sent`() async throws {
        let proxy = try Self.proxy(connectStatus: "403 Forbidden")
        defer { proxy.stop() }
        let client = HTTPClient(TLSTests.options { $0.proxy = proxy.url(host: "user:hidden@127.0.0.1") })
        let (outcome, text) = await client.outcome(HTTPRequest(.put, "https://leasehold.invalid/", body: [1]))
        #expect(outcome == .failed)
        #expect(text.contains("403") && !text.contains("hidden"))
    }

    @Test func `the environment says which proxy to use`() async {
        await #expect(processExitsWith: .success) {
            let proxy = try ProxyTests.proxy()
            defer { proxy.stop() }
            for name in ["http_proxy", "HTTPS_PROXY"] { unsafe setenv(name, proxy.url(), 1) }
            unsafe setenv("NO_PROXY", "direct.invalid", 1)
            let client = HTTPClient(TLSTests.options())
            func outcome(_ url: String) async -> (Outcome, text: String) {
                await client.outcome(HTTPRequest(.get, url))
            }
            #expect(await outcome("http://leasehold.invalid/").text == "GET http://leasehold.invalid/ HTTP/1.1")
            #expect(await outcome("https://leasehold.invalid/").text.hasPrefix("CONNECT leasehold.invalid:443"))
            #expect(await outcome("http://direct.invalid/").0 == .failed)
            // Never to this machine itself.
            let server = try HTTPClientTests.echo()
            defer { server.stop() }
            #expect(await outcome(server.url("/x")).text.hasPrefix("GET /x HTTP/1.1"))
            let none = HTTPClient(TLSTests.options { $0.proxy = "" })
            #expect(await none.outcome(HTTPRequest(.get, "http://leasehold.invalid/")).0 == .failed)
        }
    }
}

private import CAllocations
private import COpenSSL
private import Election
private import Glibc
private import Platform
private import TLS
private import Webhook

/// Counts what the webhook's event loop takes from malloc(3) for requests over TLS, from `recv` to `send`, once warm.
///
/// A test in this place since it has to be a release build: without optimisation, going through an array allocates.
enum Allocations {
    private static let warmUp = 200
    private static let counted = 1000

    /// Sends each AdmissionReview as it is, and with white space behind it as one of 6 KB and of 500 KB; prints what was
    /// counted.
    ///
    /// - Throws: also when anything was allocated for a request, but by OpenSSL.
    static func count(_ reviews: [[UInt8]]) throws {
        // Before anything else of OpenSSL (CRYPTO_set_mem_functions(3)).
        let isCounted = unsafe CRYPTO_set_mem_functions(
            allocations_openssl_malloc, allocations_openssl_realloc, allocations_openssl_free)
        guard isCounted == 1 else { throw Failure("OpenSSL has allocated already") }
        allocations_ignore_this_thread()

        let authority = try CertificateAuthority.make(commonName: "bench")
        let identity = try authority.issue(commonName: "bench", names: [.ip("127.0.0.1")], purpose: .server)
        let context = try ServerContext(identity: identity)
        let table = LeadershipTable(
            cluster: "bench", index: NamespaceIndex(["team-a"]), anchor: .now(),
            entries: [.init(state: .own, holder: 0, term: 7, limit: 600_000_000_000)], holders: ["bench"])
        let server = try Server(
            "webhook", at: SocketAddress(host: "127.0.0.1", port: 0),
            routes: [.validate(policy: Policy(), board: LeadershipBoard(table), counters: AdmissionCounters())],
            loops: 1,
            log: Log { _ in }
        ) { context }
        defer { server.stop(within: .zero) }
        let client = try ClientConnection(
            port: server.address.port, ClientContext(authorities: [authority.certificate]))

        var bodies = reviews
        for size in [6_000, 500_000] {
            bodies += reviews.map { $0 + [UInt8](repeating: UInt8(ascii: " "), count: max(0, size - $0.count)) }
        }
        let requests = bodies.map { body in
            Array("POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body
        }
        func send(_ count: Int) throws {
            for number in 0..<count { try client.exchange(requests[number % requests.count]) }
        }
        try send(warmUp)
        guard allocations_counted() > 0 else { throw Failure("not even the start was counted") }
        let before = (allocations_counted(), allocations_counted_of_openssl())
        try send(counted)
        let (own, openssl) = (allocations_counted() - before.0, allocations_counted_of_openssl() - before.1)
        print(#"{"requests": \#(counted), "allocations": \#(own), "allocations_by_openssl": \#(openssl)}"#)
        // A counter that counts nothing would be content with anything: OpenSSL takes its two record buffers each time.
        guard openssl > 0 else { throw Failure("nothing was counted of OpenSSL") }
        // One for any of the requests would be counted so often. On a busy machine there are a few that are for none: a loop
        // gives a large buffer back that was not needed for a second, and makes another one later.
        guard own < UInt(counted / requests.count) else {
            throw Failure("\(own) allocations for \(counted) requests, where none was promised")
        }
    }
}

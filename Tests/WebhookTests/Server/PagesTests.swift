import Election
import Platform
import Testing

@testable import Webhook

/// The pages on plain ports, and real AdmissionReviews over TLS.
struct PagesTests {
    private func get(_ target: String, from server: Server) throws -> TestAnswer {
        try TestClient(server.address).request("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n")
    }

    @Test func `healthz says ok`() throws {
        let server = try Server.forTests(routes: [.healthz])
        let answer = try get("/healthz", from: server)
        #expect(answer.status == 200 && answer.text == "ok\n")
    }

    @Test func `readyz lists its checks when one fails or when asked`() throws {
        let checks = Locked([ReadinessCheck("store", problem: nil), ReadinessCheck("grants", problem: nil)])
        let server = try Server.forTests(routes: [.healthz, .readyz { checks.withLock { $0 } }])
        #expect(try get("/readyz", from: server).text == "ok\n")
        #expect(try get("/readyz?verbose", from: server).text == "[+]store ok\n[+]grants ok\nok\n")
        #expect(try get("/readyz?verbose=1", from: server).text == "[+]store ok\n[+]grants ok\nok\n")
        #expect(try get("/readyz?verbosely", from: server).text == "ok\n")
        checks.withLock { $0[1] = ReadinessCheck("grants", problem: "none since 12:00") }
        for target in ["/readyz", "/readyz?verbose"] {
            let answer = try get(target, from: server)
            #expect(answer.status == 503)
            #expect(answer.text == "[+]store ok\n[-]grants failed: none since 12:00\nnot ready\n")
        }
    }

    @Test func `metrics are those of the moment, in the Prometheus text format`() throws {
        let observed = try Server.forTests()
        let server = try Server.forTests(routes: [
            .metrics { [counters = observed.counters] in
                counters.families(server: "webhook")
            }
        ])
        let client = try TestClient(observed.address)
        #expect(try client.request(post("x")).status == 200)
        #expect(try client.request(post("")).status == 400)
        let answer = try get("/metrics", from: server)
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
        let lines = answer.text.split(separator: "\n")
        for line in [
            "# TYPE leasehold_server_requests_total counter",
            "leasehold_server_requests_total{server=\"webhook\",code=\"200\"} 1",
            "leasehold_server_requests_total{server=\"webhook\",code=\"400\"} 1",
            "leasehold_server_requests_total{server=\"webhook\",code=\"404\"} 0",
            "leasehold_server_connections{server=\"webhook\"} 1",
            "leasehold_server_connections_accepted_total{server=\"webhook\"} 1",
            "leasehold_server_received_bytes_total{server=\"webhook\"} \(post("x").utf8.count + post("").utf8.count)",
        ] {
            #expect(lines.contains { $0 == line }, "\(line)")
        }
    }

    @Test func `every status has its own counter`() {
        #expect(Status.allCases.map(\.ordinal) == Array(Status.allCases.indices))
        for status in Status.allCases { #expect(status.line.hasPrefix("HTTP/1.1 \(status.rawValue) ")) }
    }

    @Test func `an AdmissionReview over TLS is allowed where this cluster leads, and nonsense is refused`() throws {
        let table = LeadershipTable(
            cluster: "east", index: NamespaceIndex(["team-a"]), anchor: .now(),
            entries: [.init(state: .own, holder: 0, term: 7, limit: 600_000_000_000)], holders: ["east"])
        let board = LeadershipBoard(table)
        let server = try Server.forTests(
            .tls, routes: [.validate(policy: Policy(), board: board, counters: AdmissionCounters())])
        let client = try TestClient(server.address, .tls)
        let review = """
            {"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1",\
            "kind":{"group":"webapp.my.domain","version":"v1","kind":"Guestbook"},\
            "resource":{"group":"webapp.my.domain","version":"v1","resource":"guestbooks"},\
            "namespace":"team-a","name":"n","operation":"CREATE","userInfo":{"username":\
            "system:serviceaccount:team-a:operator","groups":["system:serviceaccounts"]},"object":{}}}
            """
        let allowed = try client.request(post(review))
        #expect(allowed.status == 200 && allowed.headers["content-type"] == "application/json")
        #expect(allowed.text.contains("\"allowed\":true") && allowed.text.contains("\"uid\":\"u-1\""))

        board.publish(LeadershipTable(cluster: "east"))
        for body in ["", "nonsense", "{}", review.replacing("u-1", with: "")] {
            let refused = try client.request(post(body))
            #expect(refused.status == 400 && refused.headers["connection"] == nil)
            #expect(refused.text.split(separator: "\n", omittingEmptySubsequences: false).count == 2)
        }
        #expect(try client.request(post(review)).status == 200)
    }
}

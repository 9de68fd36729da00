import Controller
import Election
import FoundationEssentials
import HTTP
import Platform
import Support
import TLS
import Testing
import Webhook

@testable import Commands

/// The port of a controller, asked as a webhook asks it, over real connections.
struct GrantServingTests {
    private let directory: TemporaryDirectory
    private let authority: CertificateAuthority
    private let board = LeadershipBoard(Self.table)

    private static let table = LeadershipTable(
        cluster: "east", mark: TableMark(incarnation: "i-1", revision: 3), isActive: true,
        index: NamespaceIndex(["team-a"]), anchor: .now(),
        entries: [.init(state: .own, holder: 0, term: 7, limit: 3_600_000_000_000)], holders: ["east"])

    init() throws {
        directory = try TemporaryDirectory()
        authority = try CertificateAuthority.make(commonName: "grants")
    }

    /// Files of an identity that `authority` signed, and of the authority to trust.
    private func files(
        _ name: String, _ names: [SubjectName], _ purpose: CertificateAuthority.Purpose,
        by authority: CertificateAuthority? = nil
    ) throws -> GrantFiles.Paths {
        let identity = try (authority ?? self.authority).issue(commonName: name, names: names, purpose: purpose)
        let paths = GrantFiles.Paths(
            authority: directory.file("ca.crt"), chain: directory.file("\(name).crt"),
            key: directory.file("\(name).key"))
        try Certificate.write([self.authority.certificate], to: paths.authority)
        try Certificate.write(identity.chain, to: paths.chain)
        try identity.key.write(to: paths.key)
        return paths
    }

    private func serve(_ names: [SubjectName] = [.dns("leasehold-grants")]) throws -> Server {
        let paths = try files("controller", names, .server)
        let certificates = try CertificateFiles(
            chain: paths.chain, key: paths.key, clientAuthorities: paths.authority)
        return try Server(
            "grants", at: SocketAddress(host: "127.0.0.1", port: 0),
            routes: [GrantServing.route(board, Timing())], loops: 1, log: Log { _ in }
        ) { certificates.context }
    }

    private func asking(_ paths: GrantFiles.Paths) throws -> GrantAsking {
        GrantAsking(credentials: try GrantCredentials(paths))
    }

    private func ask(_ asking: GrantAsking, _ server: Server, known: TableMark? = nil) async throws -> Grant {
        let endpoint = try #require(GrantAddress("\(server.address)"))
        return try await asking.ask(endpoint, known: known, timeout: .seconds(60))
    }

    @Test func `whoever has a certificate of the authority gets what the board says`() async throws {
        let server = try serve()
        let asking = try asking(files("webhook", [], .client))
        let asked = Reading.now()
        let grant = try await ask(asking, server)
        var client = GrantClient(cluster: "east")
        let table = try #require(try client.take(grant, askedAt: asked))
        #expect(table.standing(of: "team-a", at: asked) == .leads(term: 7))
        #expect(grant.elapsed >= 0)
        // The table only when it is another one.
        #expect(try await ask(asking, server, known: client.known).table == nil)
        var next = Self.table
        next.mark = TableMark(incarnation: "i-1", revision: 4)
        board.publish(next)
        #expect(try await ask(asking, server, known: client.known).table != nil)
        server.stop(within: .zero)
    }

    @Test func `a client without a certificate is refused by the handshake`() async throws {
        let server = try serve()
        var options = HTTPClient.Options()
        options.trust = .authorities(Array(try authority.certificate.pem().utf8))
        options.serverName = GrantFiles.serverName
        let request = HTTPRequest(.get, "https://\(server.address)/v1/grants", timeout: .seconds(60))
        await #expect(throws: HTTPError.self) { try await HTTPClient(options).send(request) }
        let refused = MetricFamily.text(server.counters.families(server: "grants"))
        #expect(refused.contains("leasehold_server_requests_total{server=\"grants\",code=\"200\"} 0\n"))
        server.stop(within: .zero)
    }

    @Test func `a client whose certificate another authority signed, or that is for servers, is refused`() async throws
    {
        let server = try serve()
        let stranger = try CertificateAuthority.make(commonName: "stranger")
        for paths in [
            try files("stranger", [], .client, by: stranger), try files("server", [], .server),
        ] {
            let asking = try asking(paths)
            await #expect(throws: HTTPError.self) { try await ask(asking, server) }
        }
        #expect(server.counters.answers(.ok) == 0)
        server.stop(within: .zero)
    }

    @Test func `a server is not taken for a controller without its name`() async throws {
        // Of the right authority, at the right address: a webhook's certificate, as it were.
        let server = try serve([.ip("127.0.0.1"), .dns("localhost")])
        let asking = try asking(files("webhook", [], .client))
        await #expect(throws: HTTPError.self) { try await ask(asking, server) }
        server.stop(within: .zero)
    }

    @Test func `a question that cannot be read gets 400 and why, another path 404`() async throws {
        let server = try serve()
        let asking = try asking(files("webhook", [], .client))
        let endpoint = try #require(GrantAddress("\(server.address)"))
        for (suffix, status, text) in [
            ("/v1/grants?x=1", 400, "the query is not incarnation=I&revision=N, nor empty\n"),
            ("/validate", 404, "Nothing is served at this path.\n"),
        ] {
            let answer = try await asking.get(suffix, from: endpoint, timeout: .seconds(60))
            #expect(answer.status == status)
            #expect(String(decoding: answer.body, as: UTF8.self) == text)
        }
        server.stop(within: .zero)
    }

    @Test func `a table of ten thousand namespaces arrives whole`() async throws {
        // With a sanitizer so many would not be written within the server's time for a request.
        let names = (0..<(Sanitizer.isPresent ? 1000 : 10_000)).map { "namespace-with-a-name-of-some-length-\($0)" }
        board.publish(
            LeadershipTable(
                cluster: "east", mark: TableMark(incarnation: "i-2", revision: 1), isActive: true,
                index: NamespaceIndex(names), anchor: .now(),
                entries: ContiguousArray(
                    names.indices.map {
                        .init(
                            state: .own, holder: 0, term: UInt64(1_795_370_400 + $0), limit: 14_850_000_000,
                            acquired: 1_795_370_400_123_456)
                    }), holders: ["east"]))
        let server = try serve()
        let grant = try await ask(asking(files("webhook", [], .client)), server)
        #expect(grant.table == GrantedTable(board.table()))
        server.stop(within: .zero)
    }

    @Test func `something else than a controller is told apart`() async throws {
        let paths = try files("controller", [.dns("leasehold-grants")], .server)
        let certificates = try CertificateFiles(chain: paths.chain, key: paths.key)
        let other = try Server(
            "other", at: SocketAddress(host: "127.0.0.1", port: 0),
            routes: [
                Route(.get, GrantServing.path) {
                    { _, _, answer in
                        answer.append(contentsOf: "{}".utf8)
                        return Route.Answer(.ok, "application/json")
                    }
                }
            ], loops: 1, log: Log { _ in }
        ) { certificates.context }
        let asking = try asking(files("webhook", [], .client))
        let error = await #expect(throws: CommandFailure.self) { try await ask(asking, other) }
        #expect(error?.description.contains("run the controller and the webhook in the same version") == true)
        other.stop(within: .zero)
    }

    // MARK: Files

    @Test func `new files are asked with, broken ones are said once and leave the old in use`() async throws {
        let server = try serve()
        let stranger = try CertificateAuthority.make(commonName: "stranger")
        let paths = try files("webhook", [], .client, by: stranger)
        let credentials = try GrantCredentials(paths)
        let asking = GrantAsking(credentials: credentials)
        await #expect(throws: HTTPError.self) { try await ask(asking, server) }

        let lines = Locked<[String]>([])
        let log = Log { line in lines.withLock { $0.append(line) } }
        credentials.refresh(log)
        #expect(lines.withLock { $0.isEmpty })
        _ = try files("webhook", [], .client)
        credentials.refresh(log)
        #expect(lines.withLock { $0.count } == 1)
        _ = try await ask(asking, server)

        let other = try authority.issue(commonName: "other", names: [], purpose: .client)
        try other.key.write(to: paths.key)
        for _ in 0..<3 { credentials.refresh(log) }
        #expect(lines.withLock { $0.count } == 2)
        #expect(lines.withLock { $0.last }?.contains("the old ones stay in use") == true)
        _ = try await ask(asking, server)
        try Certificate.write(other.chain, to: paths.chain)
        credentials.refresh(log)
        #expect(lines.withLock { $0.count } == 3)
        _ = try await ask(asking, server)
        server.stop(within: .zero)
    }

    @Test func `the processes of one machine make certificates that fit each other`() async throws {
        let state = try StateDirectory(directory.path, cluster: "east")
        let (paths, selfMade) = try GrantFiles().paths { state }
        #expect(try GrantFiles().paths { state }.paths == paths)
        #expect(selfMade != nil)
        let certificates = try CertificateFiles(
            chain: paths.chain, key: paths.key, clientAuthorities: paths.authority)
        let server = try Server(
            "grants", at: SocketAddress(host: "127.0.0.1", port: 0),
            routes: [GrantServing.route(board, Timing())], loops: 1, log: Log { _ in }
        ) { certificates.context }
        #expect(try await ask(asking(paths), server).cluster == "east")
        server.stop(within: .zero)
    }

    @Test(
        arguments: [
            (GrantFiles(authority: "a"), [:], "--grants-cert-file got nothing; allowed: the path of a file, as "),
            (
                GrantFiles(certificate: "c", key: "k"), [:],
                "--grants-ca-file got nothing; allowed: the path of a file, as "
            ),
            (
                GrantFiles(), ["KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"],
                "--grants-ca-file got nothing; allowed: in a pod, the path of a file, as "
            ),
        ] as [(GrantFiles, [String: String], String)])
    func `refuses some files without the others, and none in a pod`(
        files: GrantFiles, environment: [String: String], message: String
    ) throws {
        let error = #expect(throws: UsageError.self) { try files.check(environment) }
        #expect(error?.message.hasPrefix(message) == true)
        try GrantFiles(authority: "a", certificate: "c", key: "k").check(environment)
    }
}

import FoundationEssentials
import Platform
import Support
import TLS
import Testing

@testable import Kubernetes

@Suite(.timeLimit(.minutes(2)))
struct CredentialsTests {
    private static let authority = try! CertificateAuthority.make(commonName: "one")
    private static let second = 1_000_000_000 as Int64

    private static func context(_ authority: CertificateAuthority) throws -> ServerContext {
        try ServerContext(
            identity: authority.issue(commonName: "api", names: [.ip("127.0.0.1")], purpose: .server))
    }

    /// A pod's files, and an API server that knows one token.
    private struct Pod {
        let files: TemporaryDirectory
        let server: ScriptedAPIServer
        let known = Locked("first")

        init() throws {
            files = try TemporaryDirectory()
            server = try ScriptedAPIServer(CredentialsTests.context(CredentialsTests.authority)) { [known] request in
                request.headers["authorization"] == "Bearer \(known.withLock { $0 })"
                    ? .json(200, Sample.namespace("n")) : .status(401, "Unauthorized")
            }
            try files.write(CredentialsTests.authority.certificate.pem(), to: "ca.crt")
            try files.write("first\n", to: "token")
            try files.write("team-a", to: "namespace")
        }

        var environment: [String: String] {
            ["KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "\(server.port)"]
        }

        func credentials() throws -> KubernetesCredentials {
            try .inCluster(environment: environment, root: files.path)
        }
    }

    @Test func `a pod's files say who it is`() async throws {
        let pod = try Pod()
        let credentials = try pod.credentials()
        #expect(credentials.server == pod.server.url)
        #expect(credentials.namespace == "team-a")
        #expect(!"\(credentials)".contains("first"))
        let namespace = try await Sample.client(credentials).read(NamespaceObject.self, "n")
        #expect(namespace.metadata.name == "n")
    }

    @Test func `an IPv6 address of the API server is put in brackets`() throws {
        let pod = try Pod()
        let environment = ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"]
        let credentials = try KubernetesCredentials.inCluster(environment: environment, root: pod.files.path)
        #expect(credentials.server == "https://[fd00::1]:443")
    }

    @Test(arguments: ["token", "ca.crt"])
    func `a pod without a file is told which`(name: String) throws {
        let pod = try Pod()
        try pod.files.write("", to: name)
        let empty = #expect(throws: KubernetesError.self) { try pod.credentials() }
        #expect(empty?.code == .credentials && empty?.message.contains("\(pod.files.path)/\(name)") == true)
        try FileManager.default.removeItem(atPath: pod.files.file(name))
        let missing = #expect(throws: KubernetesError.self) { try pod.credentials() }
        #expect(missing?.code == .credentials)
        #expect(missing?.message.contains("\(pod.files.path)/\(name): No such file or directory") == true)
    }

    @Test func `outside a pod there are no credentials of one`() {
        #expect(!KubernetesCredentials.isInCluster(environment: [:]))
        let error = #expect(throws: KubernetesError.self) { try KubernetesCredentials.inCluster(environment: [:]) }
        #expect(error?.message.contains("KUBERNETES_SERVICE_HOST") == true)
    }

    @Test func `a token that the API server refuses is read again at once and the call sent again`() async throws {
        let pod = try Pod()
        let client = Sample.client(try pod.credentials())
        _ = try await client.read(NamespaceObject.self, "n")
        pod.known.withLock { $0 = "second" }
        try pod.files.write("second", to: "token")
        _ = try await client.read(NamespaceObject.self, "n")
        var tokens: [String?] = []
        for _ in 0..<3 { tokens.append(try await pod.server.next().headers["authorization"]) }
        #expect(tokens == ["Bearer first", "Bearer first", "Bearer second"])
    }

    @Test func `a new token keeps the client, and with it the connections`() async throws {
        let pod = try Pod()
        let keeper = AccessKeeper(try pod.credentials(), log: Sample.quiet)
        let first = try await keeper.access()
        try pod.files.write("second", to: "token")
        let second = try #require(try await keeper.renewed(after: first))
        #expect(second.authorization == "Bearer second")
        // Only trust and identity need a new one.
        #expect(second.client === first.client)
    }

    @Test func `a call that is refused twice is not sent a third time`() async throws {
        let pod = try Pod()
        pod.known.withLock { $0 = "other" }
        let client = Sample.client(try pod.credentials())
        let error = await #expect(throws: KubernetesError.self) { try await client.read(NamespaceObject.self, "n") }
        #expect(error?.code == .unauthorized)
        #expect(client.lastAnswered == nil)
        pod.known.withLock { $0 = "first" }
        _ = try await client.read(NamespaceObject.self, "last")
        _ = try await pod.server.next()
        _ = try await pod.server.next()
        #expect(try await pod.server.next().path.hasSuffix("last"))
    }

    @Test func `a token that cannot change is not tried again`() async throws {
        let server = try ScriptedAPIServer { $0.path.hasSuffix("x") ? .status(401, "Unauthorized") : .json(200, "{}") }
        let client = try Sample.client(server)
        let error = await #expect(throws: KubernetesError.self) { try await client.read(NamespaceObject.self, "x") }
        #expect(error?.code == .unauthorized)
        try await client.delete(NamespaceObject.self, "last")
        _ = try await server.next()
        #expect(try await server.next().path.hasSuffix("last"))
    }

    @Test func `the token file is read again once a minute has passed, and not before`() async throws {
        let pod = try Pod()
        let clock = Locked(Int64(0))
        let keeper = AccessKeeper(try pod.credentials(), log: Sample.quiet, now: { clock.withLock { $0 } })
        #expect(try await keeper.access().authorization == "Bearer first")
        try pod.files.write("second", to: "token")
        clock.withLock { $0 = 59 * Self.second }
        #expect(try await keeper.access().authorization == "Bearer first")
        clock.withLock { $0 = 60 * Self.second }
        #expect(try await keeper.access().authorization == "Bearer second")
    }

    @Test func `what was read before stays in use while a file is broken`() async throws {
        let pod = try Pod()
        let lines = LogLines()
        let clock = Locked(Int64(0))
        let keeper = AccessKeeper(try pod.credentials(), log: lines.log, now: { clock.withLock { $0 } })
        _ = try await keeper.access()
        try pod.files.write("a b", to: "token")
        clock.withLock { $0 = 60 * Self.second }
        #expect(try await keeper.access().authorization == "Bearer first")
        #expect(try await keeper.access().authorization == "Bearer first")
        #expect(lines.all.count == 1)
        #expect(lines.all.first?.contains("holds characters that no token has") == true)
        try pod.files.write("second", to: "token")
        clock.withLock { $0 = 70 * Self.second }
        #expect(try await keeper.access().authorization == "Bearer second")
    }

    @Test func `a new authority is trusted by connections made after it`() async throws {
        let pod = try Pod()
        let other = try CertificateAuthority.make(commonName: "two")
        let moved = try ScriptedAPIServer(Self.context(other)) { _ in .json(200, Sample.namespace("n")) }
        let clock = Locked(Int64(0))
        let environment = ["KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "\(moved.port)"]
        let client = Sample.client(
            try .inCluster(environment: environment, root: pod.files.path), now: { clock.withLock { $0 } })
        let error = await #expect(throws: KubernetesError.self) { try await client.read(NamespaceObject.self, "n") }
        #expect(error?.code == .unreachable)
        #expect(error?.message.contains("certificate") == true)
        try pod.files.write(other.certificate.pem(), to: "ca.crt")
        clock.withLock { $0 = 60 * Self.second }
        _ = try await client.read(NamespaceObject.self, "n")
    }

    @Test(arguments: ["localhost:8080", "ftp://a", "https:///x", "https://u:p@h", "https://h/?a=b", "https://h x"])
    func `an address that cannot be used is refused, without showing it`(url: String) {
        let error = #expect(throws: KubernetesError.self) {
            try KubernetesCredentials(server: url, trust: .fixed(.system), user: .certificate)
        }
        #expect(error?.code == .credentials && error?.message.contains(url) == false)
    }
}

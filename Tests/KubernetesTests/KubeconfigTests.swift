import FoundationEssentials
import Glibc
import Platform
import Support
import TLS
import Testing

@testable import Kubernetes

private let environment = ["PATH": unsafe String(cString: getenv("PATH")), "HOME": "/nonexistent"]
private let kubectl = Subprocess.find("kubectl", environment: environment)

/// Kubeconfigs, read through the real kubectl.
@Suite(.enabled("kubectl is not on PATH") { kubectl != nil }, .timeLimit(.minutes(2)))
struct KubeconfigTests {

    private let files: TemporaryDirectory

    init() throws { files = try TemporaryDirectory() }

    /// - Parameters:
    ///   - cluster, user: what YAML has below these, indented by four.
    private func config(cluster: String = "server: https://h/base/", user: String = "token: secret") -> String {
        func indented(_ text: String) -> String {
            text.split(separator: "\n").map { "    \($0)" }.joined(separator: "\n")
        }
        return """
            apiVersion: v1
            kind: Config
            current-context: one
            contexts:
            - name: one
              context: {cluster: c, user: u, namespace: team-a}
            - name: two
              context: {cluster: d, user: u}
            clusters:
            - name: c
              cluster:
            \(indented(cluster))
            - name: d
              cluster: {server: "https://other"}
            users:
            - name: u
              user:
            \(indented(user))
            """
    }

    private func load(context: String? = nil) async throws(KubernetesError) -> KubernetesCredentials {
        try await .kubeconfig(path: files.file("config"), context: context, environment: environment)
    }

    @Test func `the current context says where and who`() async throws {
        try files.write(
            config(
                cluster: """
                    server: https://h:1/base/
                    insecure-skip-tls-verify: true
                    tls-server-name: api
                    proxy-url: http://127.0.0.1:3128
                    """), to: "config")
        let credentials = try await load()
        #expect(credentials.server == "https://h:1/base")
        #expect(credentials.namespace == "team-a")
        let loaded = try await credentials.load()
        #expect(loaded.authorization == "Bearer secret")
        #expect(loaded.options.trust == .anybody)
        #expect(loaded.options.serverName == "api")
        #expect(loaded.options.proxy == "http://127.0.0.1:3128")
        #expect(!"\(credentials)".contains("secret"))
        #expect(!credentials.canChange)
    }

    @Test func `another context can be named`() async throws {
        try files.write(config(), to: "config")
        let credentials = try await load(context: "two")
        #expect(credentials.server == "https://other" && credentials.namespace == nil)
        #expect(try await credentials.load().options.trust == .system)
    }

    @Test func `the environment names the files, as for kubectl`() async throws {
        try files.write(config(user: "tokenFile: below/token"), to: "config")
        try FileManager.default.createDirectory(atPath: files.file("below"), withIntermediateDirectories: false)
        try files.write("from a file\n".replacing(" ", with: "-"), to: "below/token")
        var environment = environment
        environment["KUBECONFIG"] = "/nonexistent/config:\(files.file("config"))"
        let credentials = try await KubernetesCredentials.kubeconfig(path: nil, context: nil, environment: environment)
        #expect(try await credentials.load().authorization == "Bearer from-a-file")
        #expect(credentials.canChange)
    }

    @Test func `a name and a password are sent as such`() async throws {
        try files.write(config(user: "username: u\npassword: p:q"), to: "config")
        #expect(try await load().load().authorization == "Basic dTpwOnE=")
    }

    @Test func `files of certificates and keys are taken in, and prove who calls`() async throws {
        let authority = try CertificateAuthority.make(commonName: "authority")
        let context = try ServerContext(
            identity: authority.issue(commonName: "api", names: [.dns("api.internal")], purpose: .server),
            clientAuthorities: [authority.certificate])
        let server = try ScriptedAPIServer(context) { _ in .json(200, Sample.namespace("n")) }
        let identity = try authority.issue(commonName: "admin", names: [], purpose: .client)
        try Certificate.write([authority.certificate], to: files.file("ca.pem"))
        try Certificate.write(identity.chain, to: files.file("client.pem"))
        try identity.key.write(to: files.file("key.pem"))
        try files.write(
            config(
                cluster: "server: \(server.url)\ncertificate-authority: ca.pem\ntls-server-name: api.internal",
                user: "client-certificate: client.pem\nclient-key: key.pem"), to: "config")
        let client = Sample.client(try await load())
        #expect(try await client.read(NamespaceObject.self, "n").metadata.name == "n")
        #expect(try await server.next().headers["authorization"] == nil)
    }

    @Test(arguments: ["v1", "v1beta1"])
    func `a credential plugin beside the kubeconfig is run and told of the cluster`(version: String) async throws {
        let version = "client.authentication.k8s.io/\(version)"
        try files.write(
            """
            echo "$KUBERNETES_EXEC_INFO" > '\(files.file("seen"))'
            echo '{"apiVersion":"\(version)","kind":"ExecCredential","status":{"token":"'$1-$EXTRA'"}}'
            """, to: "script")
        // A file that was just written cannot be executed while another test forks (ETXTBSY).
        try FileManager.default.createSymbolicLink(atPath: files.file("plugin"), withDestinationPath: "/bin/sh")
        try files.write(
            config(
                cluster: """
                    server: https://h
                    certificate-authority-data: YWJj
                    extensions:
                    - name: client.authentication.k8s.io/exec
                      extension: {audience: [1, 2.5, true, null, "x"]}
                    """,
                user: """
                    exec:
                      apiVersion: \(version)
                      command: ./plugin
                      args: ['\(files.file("script"))', a]
                      env: [{name: EXTRA, value: e}]
                      provideClusterInfo: true
                      interactiveMode: IfAvailable
                    """), to: "config")
        let loaded = try await load().load()
        #expect(loaded.authorization == "Bearer a-e")
        #expect(loaded.options.trust == .authorities(Array("abc".utf8)))
        let seen = try Data(contentsOf: URL(filePath: files.file("seen")))
        let expected = """
            {"apiVersion": "\(version)", "kind": "ExecCredential", "spec": {"interactive": false, "cluster": {
              "server": "https://h", "certificate-authority-data": "YWJj",
              "config": {"audience": [1, 2.5, true, null, "x"]}}}}
            """
        let decoder = JSONDecoder()
        #expect(
            try decoder.decode(JSONValue.self, from: seen)
                == decoder.decode(JSONValue.self, from: Data(expected.utf8)))
    }

    struct Refusal: CustomTestStringConvertible, Sendable {
        let user: String
        let text: String
        var testDescription: String { text }
    }

    static let refusals: [Refusal] = [
        Refusal(
            user: "auth-provider: {name: gcp, config: {access-token: secret}}",
            text: "its auth-provider gcp is of a kind"),
        Refusal(user: "token: secret\nas: somebody", text: "its user impersonates another"),
        Refusal(
            user: "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: c, args: [secret]}",
            text: "its credential plugin c speaks \"client.authentication.k8s.io/v1alpha1\""),
        Refusal(
            user:
                "exec: {apiVersion: client.authentication.k8s.io/v1, command: c, args: [secret], interactiveMode: Always}",
            text: "its credential plugin c needs a terminal"),
    ]

    @Test(arguments: refusals)
    func `what is not supported is refused and not passed over`(refusal: Refusal) async throws {
        try files.write(config(user: refusal.user), to: "config")
        let error = await #expect(throws: KubernetesError.self) { try await load() }
        #expect(error?.code == .credentials)
        #expect(error?.message.hasPrefix("Cannot use the kubeconfig \(files.file("config")): ") == true)
        #expect(error?.message.contains(refusal.text) == true)
        #expect(error?.message.contains("secret") == false)
    }

    @Test func `a context that is not there is told in kubectl's words`() async throws {
        try files.write(config(), to: "config")
        let error = await #expect(throws: KubernetesError.self) { try await load(context: "three") }
        #expect(error?.code == .credentials)
        #expect(error?.message.contains(files.file("config")) == true)
        #expect(error?.message.contains("three") == true)
        #expect(error?.message.contains("secret") == false)
    }

    @Test func `a kubeconfig that is not there is told`() async throws {
        let error = await #expect(throws: KubernetesError.self) { try await load() }
        #expect(error?.message.contains("exit code 1: error: ") == true)
    }

    @Test func `a machine without kubectl is told`() async throws {
        let error = await #expect(throws: KubernetesError.self) {
            try await KubernetesCredentials.kubeconfig(path: nil, context: nil, environment: ["PATH": files.path])
        }
        #expect(error?.message.contains("there is no kubectl on PATH") == true)
    }
}

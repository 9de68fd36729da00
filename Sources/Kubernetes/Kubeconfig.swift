private import FoundationEssentials
private import HTTP

/// The answer of `kubectl config view --raw --minify --flatten -o json`: one context, its cluster and its user.
///
/// kubectl itself reads the files: their YAML, their merging and their defaults are its business.
struct Kubeconfig: Decodable {
    private struct NamedContext: Decodable {
        struct Context: Decodable {
            var namespace: String?
        }

        var context: Context
    }

    private struct NamedCluster: Decodable {
        var cluster: Cluster
    }

    private struct Cluster: Decodable {
        struct Extension: Decodable {
            var name: String
            var `extension`: JSONValue?
        }

        var server: String?
        var authorities: Data?
        var isInsecure: Bool?
        var serverName: String?
        var proxy: String?
        var extensions: [Extension]?

        private enum CodingKeys: String, CodingKey {
            case server
            case authorities = "certificate-authority-data"
            case isInsecure = "insecure-skip-tls-verify"
            case serverName = "tls-server-name"
            case proxy = "proxy-url"
            case extensions
        }
    }

    private struct NamedUser: Decodable {
        var user: User
    }

    private struct User: Decodable {
        struct Provider: Decodable {
            var name: String?
        }

        var certificate: Data?
        var key: Data?
        var token: String?
        var tokenFile: String?
        var username: String?
        var password: String?
        var impersonates: String?
        var provider: Provider?
        var plugin: Plugin?

        private enum CodingKeys: String, CodingKey {
            case certificate = "client-certificate-data"
            case key = "client-key-data"
            case token
            case tokenFile
            case username
            case password
            case impersonates = "as"
            case provider = "auth-provider"
            case plugin = "exec"
        }
    }

    private struct Plugin: Decodable {
        struct Variable: Decodable {
            var name: String
            var value: String
        }

        var apiVersion: String?
        var command: String
        var args: [String]?
        var env: [Variable]?
        var installHint: String?
        var provideClusterInfo: Bool?
        var interactiveMode: String?
    }

    private var contexts: [NamedContext]?
    private var clusters: [NamedCluster]?
    private var users: [NamedUser]?

    // MARK: Asking kubectl

    private static let timeout = Duration.seconds(20)
    private static let outputBytesMax = 8 << 20

    static func load(
        path: String?, context: String?, environment: [String: String]
    ) async throws(KubernetesError) -> KubernetesCredentials {
        let view = "kubectl config view"
        guard let kubectl = Subprocess.find("kubectl", environment: environment) else {
            throw KubernetesError(
                .credentials,
                "Could not read the kubeconfig: there is no kubectl on PATH, which reads it. Install kubectl")
        }
        let run = Subprocess(
            path: kubectl,
            arguments: ["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]
                + (path.map { ["--kubeconfig=\($0)"] } ?? []) + (context.map { ["--context=\($0)"] } ?? []),
            environment: environment, timeout: timeout, outputBytesMax: outputBytesMax)
        let result: Subprocess.Result
        do throws(Subprocess.Failure) { result = try await run.run() } catch {
            throw KubernetesError(
                .credentials, "Could not read the kubeconfig with `\(view)`: \(error.text(limit: timeout))")
        }
        let name = path.map { "the kubeconfig \($0)" } ?? "the kubeconfig that kubectl finds"
        guard result.code == 0 else {
            throw KubernetesError(
                .credentials,
                "Could not read \(name) with `\(view)`: \(Subprocess.ending(result.code, result.complaint))")
        }
        // Never quoted: it holds secrets.
        let config: Kubeconfig
        do { config = try JSONDecoder().decode(Kubeconfig.self, from: Data(result.output)) } catch {
            throw KubernetesError(
                .credentials,
                "Could not understand what `\(view)` says of \(name): \(APICall.reason(error)). Update kubectl, or mend it"
            )
        }
        let directories = directories(path: path, environment: environment)
        do throws(KubernetesError) {
            return try config.credentials(directories: directories, environment: environment)
        } catch { throw KubernetesError(error.code, "Cannot use \(name): \(error.message)") }
    }

    // kubectl makes no path absolute but those of files whose contents it takes in (certificates and keys).
    private static func directories(path: String?, environment: [String: String]) -> [String] {
        var files = path.map { [$0] } ?? []
        if files.isEmpty { files = (environment["KUBECONFIG"] ?? "").split(separator: ":").map(String.init) }
        if files.isEmpty, let home = environment["HOME"] { files = ["\(home)/.kube/config"] }
        return files.map { file in
            guard let slash = file.lastIndex(of: "/") else { return "." }
            return slash == file.startIndex ? "/" : String(file[..<slash])
        }
    }

    // MARK: What it means

    private func credentials(
        directories: [String], environment: [String: String]
    ) throws(KubernetesError) -> KubernetesCredentials {
        guard let cluster = clusters?.first?.cluster, let server = cluster.server, !server.isEmpty else {
            throw KubernetesError(.credentials, "its context names no cluster with a server")
        }
        let user = users?.first?.user ?? User()
        var credentials = try KubernetesCredentials(
            server: server, namespace: contexts?.first?.context.namespace, trust: .fixed(Self.trust(cluster)),
            user: try Self.user(user, cluster, directories, environment))
        credentials.serverName = cluster.serverName.flatMap { $0.isEmpty ? nil : $0 }
        credentials.proxy = cluster.proxy.flatMap { $0.isEmpty ? nil : $0 }
        switch (user.certificate, user.key) {
        case (let chain?, let key?):
            credentials.identity = HTTPClient.Options.Identity(chain: Array(chain), key: Array(key))
        case (nil, nil): break
        default: throw KubernetesError(.credentials, "its user has only one of client certificate and key")
        }
        return credentials
    }

    private static func trust(_ cluster: Cluster) -> HTTPClient.Options.Trust {
        // Both at once kubectl refuses; the stricter one is right.
        if let authorities = cluster.authorities, !authorities.isEmpty { return .authorities(Array(authorities)) }
        return cluster.isInsecure == true ? .anybody : .system
    }

    /// In kubectl's order: a file before a token, both before a plugin.
    private static func user(
        _ user: User, _ cluster: Cluster, _ directories: [String], _ environment: [String: String]
    ) throws(KubernetesError) -> KubernetesCredentials.User {
        if user.impersonates != nil {
            throw KubernetesError(.credentials, "its user impersonates another (as), which is not supported")
        }
        if let file = user.tokenFile, !file.isEmpty { return .tokenFile(resolved(file, directories)) }
        if let token = user.token, !token.isEmpty { return .token(token) }
        if let plugin = user.plugin {
            return .plugin(try Self.plugin(plugin, cluster, directories, environment))
        }
        if let name = user.username, !name.isEmpty {
            return .password(name: name, password: user.password ?? "")
        }
        if let provider = user.provider {
            throw KubernetesError(
                .credentials,
                "its auth-provider \(provider.name ?? "") is of a kind that Kubernetes removed in 1.26: use a credential "
                    + "plugin (exec) in its place, such as gke-gcloud-auth-plugin")
        }
        return .certificate
    }

    private static func resolved(_ path: String, _ directories: [String]) -> String {
        if path.hasPrefix("/") { return path }
        let candidates = directories.map { "\($0)/\(path)" }
        return candidates.first { FileManager.default.fileExists(atPath: $0) } ?? candidates.first ?? path
    }

    private static func plugin(
        _ plugin: Plugin, _ cluster: Cluster, _ directories: [String], _ environment: [String: String]
    ) throws(KubernetesError) -> ExecPlugin {
        let version = plugin.apiVersion ?? ""
        guard ExecPlugin.apiVersions.contains(version) else {
            throw KubernetesError(
                .credentials,
                "its credential plugin \(plugin.command) speaks \"\(version)\"; "
                    + "\(ExecPlugin.apiVersions.joined(separator: " and ")) are supported: update it")
        }
        guard plugin.interactiveMode != "Always" else {
            throw KubernetesError(
                .credentials,
                "its credential plugin \(plugin.command) needs a terminal (interactiveMode: Always), which a service does "
                    + "not have: use another user")
        }
        var environment = environment
        for variable in plugin.env ?? [] { environment[variable.name] = variable.value }
        return ExecPlugin(
            apiVersion: version, command: plugin.command, arguments: plugin.args ?? [], environment: environment,
            installHint: plugin.installHint,
            information: try information(version, plugin.provideClusterInfo == true ? cluster : nil),
            directories: directories)
    }

    /// `KUBERNETES_EXEC_INFO`.
    private static func information(_ version: String, _ cluster: Cluster?) throws(KubernetesError) -> String {
        var spec: [String: JSONValue] = ["interactive": .bool(false)]
        if let cluster {
            var told: [String: JSONValue] = ["server": .string(cluster.server ?? "")]
            told["tls-server-name"] = cluster.serverName.map { .string($0) }
            told["insecure-skip-tls-verify"] = cluster.isInsecure.map { .bool($0) }
            told["certificate-authority-data"] = cluster.authorities.map { .string($0.base64EncodedString()) }
            told["proxy-url"] = cluster.proxy.map { .string($0) }
            told["config"] = cluster.extensions?.first { $0.name == "client.authentication.k8s.io/exec" }?.extension
            spec["cluster"] = .object(told)
        }
        let whole = JSONValue.object([
            "apiVersion": .string(version), "kind": .string("ExecCredential"), "spec": .object(spec),
        ])
        do { return String(decoding: try JSONEncoder().encode(whole), as: UTF8.self) } catch {
            throw KubernetesError(.credentials, "what its credential plugin is to be told cannot be written as JSON")
        }
    }
}

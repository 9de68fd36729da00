internal import FoundationEssentials
private import HTTP

extension Kubeconfig {
    /// Where to go and as whom.
    ///
    /// - Parameter directories: where relative paths start.
    func credentials(
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

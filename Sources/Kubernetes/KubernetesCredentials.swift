internal import HTTP

/// How to reach one API server, and as whom. Its description shows no secret.
package struct KubernetesCredentials: Sendable, CustomStringConvertible {
    /// Whose certificate the API server may have.
    enum Trust: Sendable {
        case fixed(HTTPClient.Options.Trust)
        /// PEM; read again from time to time.
        case file(String)
    }

    enum User: Sendable {
        /// Whoever the client certificate says, or nobody.
        case certificate
        case token(String)
        /// Read again from time to time.
        case tokenFile(String)
        case password(name: String, password: String)
        case plugin(ExecPlugin)
    }

    /// The API server's URL, without a slash at its end.
    package let server: String
    /// The namespace of the pod or of the kubeconfig's context, where there is one.
    package let namespace: String?
    let trust: Trust
    let user: User
    var identity: HTTPClient.Options.Identity?
    /// What the server's certificate is made out to, where it is not the URL's host.
    var serverName: String?
    var proxy: String?

    /// - Throws: ``KubernetesError/Code/credentials`` when `server` is no URL of a server.
    init(server: String, namespace: String? = nil, trust: Trust, user: User) throws(KubernetesError) {
        self.server = try Self.checked(server)
        self.namespace = namespace.flatMap { $0.isEmpty ? nil : $0 }
        self.trust = trust
        self.user = user
    }

    package var description: String {
        let kind =
            switch user {
            case .certificate: identity == nil ? "nobody" : "a client certificate"
            case .token: "a token"
            case .tokenFile(let path): "the token in \(path)"
            case .password(let name, _): "the user \(name)"
            case .plugin(let plugin): "the plugin \(plugin.command)"
            }
        return "\(server) as \(kind)"
    }

    /// What kubectl reads (`kubectl config view --raw --minify --flatten -o json`).
    ///
    /// - Parameters:
    ///   - path: of a kubeconfig; nil: as kubectl finds it (`KUBECONFIG`, `~/.kube/config`).
    ///   - context: nil: the current one.
    package static func kubeconfig(
        path: String?, context: String?, environment: [String: String]
    ) async throws(KubernetesError) -> KubernetesCredentials {
        try await Kubeconfig.load(path: path, context: context, environment: environment)
    }

    // Errors and logs quote the URL, so it must hold no password.
    private static func checked(_ server: String) throws(KubernetesError) -> String {
        var url = server[...]
        while url.hasSuffix("/") { url.removeLast() }
        let rest = ["https://", "http://"].first { url.lowercased().hasPrefix($0) }.map { url.dropFirst($0.count) }
        guard let rest, !rest.isEmpty, !rest.hasPrefix("/"),
            url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !"@?#\"<>\\^`{|}".utf8.contains($0) })
        else {
            throw KubernetesError(
                .credentials,
                "The API server's address is no URL that can be used: give one like https://HOST:PORT, without a user, a "
                    + "query or spaces")
        }
        return String(url)
    }
}

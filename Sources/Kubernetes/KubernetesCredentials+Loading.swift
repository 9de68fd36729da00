private import FoundationEssentials
internal import HTTP

extension KubernetesCredentials {
    /// What calls carry, as of one moment.
    struct Loaded: Sendable {
        let options: HTTPClient.Options
        /// The header's value; nil: none.
        let authorization: String?
        /// When to load again; nil: never.
        var renewAfter: Duration?
        /// Until when this may be used where loading again fails; nil: there is no limit.
        var expiresAfter: Duration?
    }

    /// How often files are read again: the kubelet renews a token when a fifth of its life, ten minutes at least, is left.
    private static let filePeriod = Duration.seconds(60)

    /// Whether loading again may bring something new.
    var canChange: Bool {
        switch (trust, user) {
        case (.file, _), (_, .tokenFile), (_, .plugin): true
        case (.fixed, .certificate), (.fixed, .token), (.fixed, .password): false
        }
    }

    var isPlugin: Bool {
        if case .plugin = user { true } else { false }
    }

    func load() async throws(KubernetesError) -> Loaded {
        var options = HTTPClient.Options()
        options.serverName = serverName
        options.proxy = proxy
        options.identity = identity
        options.trust = try readAuthorities()
        let period: Duration? = canChange ? Self.filePeriod : nil
        switch user {
        case .certificate:
            return Loaded(options: options, authorization: nil, renewAfter: period)
        case .token(let token):
            return Loaded(options: options, authorization: try Self.bearer(token, "the token"), renewAfter: period)
        case .tokenFile:
            return Loaded(options: options, authorization: try readToken(), renewAfter: period)
        case .password(let name, let password):
            let basic = Data("\(name):\(password)".utf8).base64EncodedString()
            return Loaded(options: options, authorization: "Basic \(basic)", renewAfter: period)
        case .plugin(let plugin):
            let credential = try await plugin.run()
            if let identity = credential.identity { options.identity = identity }
            let authorization =
                if let token = credential.token { try Self.bearer(token, "the plugin's token") } else { String?.none }
            guard let left = credential.expiresAfter else {
                return Loaded(options: options, authorization: authorization)
            }
            // Expired by this machine's clock, which may be wrong: the API server judges, but not with a run for each call.
            guard left > .zero else {
                return Loaded(options: options, authorization: authorization, renewAfter: .seconds(10))
            }
            // Ahead of its end, since calls are under way for some time and clocks differ.
            let margin = min(.seconds(60), left / 4)
            return Loaded(
                options: options, authorization: authorization, renewAfter: left - margin, expiresAfter: left)
        }
    }

    func readAuthorities() throws(KubernetesError) -> HTTPClient.Options.Trust {
        switch trust {
        case .fixed(let trust): trust
        case .file(let path): .authorities(Array(try SmallTextFile.read(path, "the API server's authority").utf8))
        }
    }

    /// - Returns: the header's value.
    func readToken() throws(KubernetesError) -> String? {
        guard case .tokenFile(let path) = user else { return nil }
        return try Self.bearer(try SmallTextFile.read(path, "the token"), "the token in \(path)")
    }

    // A line feed in it would begin a header of its own.
    private static func bearer(_ token: String, _ what: String) throws(KubernetesError) -> String {
        guard !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw KubernetesError(
                .credentials, "\(what.capitalizedFirst) is empty or holds characters that no token has: make a new one")
        }
        return "Bearer \(token)"
    }
}

extension String {
    fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}

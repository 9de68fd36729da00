internal import Controller
internal import TLS

/// The flags for the authority that controllers keep in a Secret.
struct AuthorityOptions {
    /// nil: the certificates are made or given otherwise.
    var secret: String?
    var webhookNames: [SubjectName] = []
    var webhookConfiguration = "leader-election-webhook"
    var lifetimes = CertificateLifetimes()

    static func flags<Options>(at path: WritableKeyPath<Options, AuthorityOptions>) -> [Flag<Options>] {
        // Less than ten seconds could not be kept: files are read again each second. A century is for ever.
        let longest = Duration.seconds(876_000 * 3600)
        return [
            Flag(
                "authority-secret", path.appending(path: \.secret), .name("NAME"),
                "The Secret in --system-namespace in which controllers keep the authority that webhooks and controllers know "
                    + "each other by, and the API server the webhooks; made if there is none.",
                defaultText: "none: the files of --grants-ca-file and its like"),
            Flag(
                "webhook-tls-name", each: path.appending(path: \.webhookNames), .subjectName,
                "What the webhook's certificate, in the Secret \(AuthorityKeeper.webhookSecret), is made out to; default: the "
                    + "Service \(service) in --system-namespace."),
            Flag(
                "webhook-configuration", path.appending(path: \.webhookConfiguration), .name("NAME"),
                "The ValidatingWebhookConfiguration whose caBundle is kept to the authority in the Secret."),
            Flag(
                "authority-lifetime", path.appending(path: \.lifetimes.authority),
                .duration(.seconds(30)...longest),
                "How long an authority made for the Secret lives; after two thirds the next one is announced."),
            Flag(
                "certificate-lifetime", path.appending(path: \.lifetimes.certificate),
                .duration(.seconds(10)...longest),
                "How long the certificates that it signs live; they are made anew after two thirds."),
        ]
    }

    private static let service = "leader-election-webhook-service"

    /// - Throws: ``UsageError`` for flags that only make sense together, or contradict each other.
    func check(beside files: GrantFiles, namespaces: [String]) throws(UsageError) {
        guard let secret else {
            guard let name = webhookNames.first else { return }
            throw UsageError("--webhook-tls-name got \(name); allowed: only with --authority-secret")
        }
        if let file = files.authority ?? files.certificate ?? files.key {
            throw UsageError(
                "--authority-secret got \(secret); allowed: only without --grants-ca-file, --grants-cert-file and "
                    + "--grants-key-file, of which one is \(file)")
        }
        if let namespace = namespaces.first {
            throw UsageError(
                "--authority-secret got \(secret); allowed: only with Kubernetes, hence without --namespace, which is "
                    + namespace)
        }
        if let problem = lifetimes.problem {
            throw UsageError(
                "--authority-lifetime got \(DurationText.format(lifetimes.authority)), and --certificate-lifetime is "
                    + "\(DurationText.format(lifetimes.certificate)); allowed: \(problem)")
        }
    }

    /// What the keeper of the authority is to do; nil: there is no Secret.
    func keeping(in namespace: String, state: () throws -> StateDirectory) throws -> AuthorityKeeper.Options? {
        guard let secret else { return nil }
        // As the API server, and as people may call it.
        let names = ["\(Self.service).\(namespace).svc", "\(Self.service).\(namespace)", Self.service]
        var options = AuthorityKeeper.Options(
            secret: secret, namespace: namespace,
            webhookNames: webhookNames.isEmpty ? names.map { .dns($0) } : webhookNames,
            grantsName: .dns(GrantFiles.serverName), webhookConfiguration: webhookConfiguration,
            directory: try state().issuedForGrants())
        options.lifetimes = lifetimes
        return options
    }
}

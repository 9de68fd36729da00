/// `leasehold webhook`: an admission webhook that knows nothing but what its cluster's controllers grant.
enum WebhookCommand: Command {
    struct Options: FlagOptions {
        var cluster = ""
        var addresses: [GrantAddress] = []
        var grantFiles = GrantFiles()
        var state = StateOptions()
        var webhook = WebhookOptions()
        var policy = PolicyOptions()
        var systemNamespace = KubernetesOptions().systemNamespace
        var process = ProcessOptions()
    }

    static let name = "webhook"
    static let summary = "serves the admission webhook by the grants of its cluster's controllers"
    static let description = [
        "Any number of replicas may run for a cluster. It needs neither the store nor Kubernetes: it asks the controllers, "
            + "\"leasehold controller\", twice a second, by mutual TLS, and admits only as long as the last answer of the "
            + "active one allows. Without an answer it denies.",
        "SIGTERM and SIGINT end it when what has begun is answered; a second one at once. SIGHUP reads the certificate files "
            + "again, which also happens within a second when they change.",
    ]
    static let examples = [
        "leasehold webhook --cluster east --grants-address localhost:9443",
        "leasehold webhook --cluster east --grants-address controllers:9443 \\",
        "    --grants-ca-file ca.crt --grants-cert-file tls.crt \\",
        "    --grants-key-file tls.key",
    ]
    static let exitCodes = [
        ExitCode(code: ExitCode.done, meaning: "asked to end, and ended"),
        ExitCode(code: ExitCode.failed, meaning: "could not start, or was ended by a second signal"),
    ]
    static let holdsSignals = true

    static var flags: [FlagGroup<Options>] {
        [
            FlagGroup(
                "Grants",
                [
                    .cluster(\.cluster),
                    Flag(
                        "grants-address", each: \.addresses, .grantAddress,
                        "Where a controller serves grants; one for each replica, or one host name that leads to all of them.",
                        required: true),
                ] + GrantFiles.flags(at: \.grantFiles) + [StateOptions.flag(at: \.state)]),
            FlagGroup("Webhook", WebhookOptions.flags(at: \.webhook)),
            FlagGroup(
                "Guard",
                PolicyOptions.flags(at: \.policy) + [KubernetesOptions.systemNamespaceFlag(at: \.systemNamespace)]),
        ] + ProcessOptions.groups(at: \.process)
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        try options.webhook.check()
        try options.process.check(beside: [("--bind-address", options.webhook.bindAddress)])
        try options.grantFiles.check(console.environment)
        let policy = try options.policy.policy(electing: [], systemNamespace: options.systemNamespace)
        let log = Node.log(options.process, console)
        let state = { try options.state.open(console.environment, cluster: options.cluster) }
        let credentials = try GrantCredentials(options.grantFiles.paths(state: state).paths)
        let keeper = GrantKeeper(
            cluster: options.cluster, addresses: options.addresses, denies: policy.mode == .enforce, log: log,
            ask: GrantAsking(credentials: credentials).ask)
        let webhook = try WebhookPart(options.webhook, policy: policy, board: keeper.board, state: state, log: log)
        let node = Node(
            cluster: options.cluster, options: options.process, console: console, log: log, webhook: webhook,
            grants: GrantedPart(keeper: keeper, credentials: credentials))
        try await node.run()
        return ExitCode.done
    }
}

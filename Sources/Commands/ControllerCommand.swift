internal import Webhook

/// `leasehold controller`: one cluster's part in the election, which webhooks in other processes ask for grants.
enum ControllerCommand: Command {
    struct Options: FlagOptions {
        var election = ElectionOptions()
        /// Only what it excludes.
        var policy = PolicyOptions()
        var grantsAddress = SocketAddress(host: "", port: 9443)
        var grantFiles = GrantFiles()
        var authority = AuthorityOptions()
        var process = ProcessOptions()
    }

    static let name = "controller"
    static let summary = "takes part in the election and tells webhooks in other processes what they may admit"
    static let description = [
        "One replica for each cluster is active, others stand by and take over when it ends. Webhooks ask it twice a second "
            + "by mutual TLS: \"leasehold webhook\". Outside Kubernetes, processes that share the state directory make the "
            + "certificates for that by themselves; in Kubernetes, --authority-secret has the controllers make those of the "
            + "webhooks, and for the API server, too.",
        "SIGTERM and SIGINT end it in good order; a second one at once. SIGHUP reads the certificate files again, which "
            + "also happens within a second when they change.",
    ]
    static let examples = [
        "leasehold controller --cluster east --namespace team-a",
        "leasehold webhook --cluster east --grants-address localhost:9443",
    ]
    static let exitCodes = RunCommand.exitCodes
    static let holdsSignals = true

    static var flags: [FlagGroup<Options>] {
        ElectionOptions.groups(at: \.election) + [
            FlagGroup(
                "Grants",
                [
                    Flag(
                        "grants-bind-address", \.grantsAddress, .address,
                        "Where grants are served to webhooks, by HTTPS.")
                ] + GrantFiles.flags(at: \.grantFiles)),
            FlagGroup("Certificates", AuthorityOptions.flags(at: \.authority)),
            FlagGroup("Guard", [PolicyOptions.excludeFlag(at: \.policy)]),
        ] + ProcessOptions.groups(at: \.process)
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        let cluster = options.election.cluster
        try options.process.check(beside: [("--grants-bind-address", options.grantsAddress)])
        let log = Node.log(options.process, console)
        let controller = try ControllerPart(
            options.election, policy: options.election.policy(options.policy), console: console, log: log)
        try options.authority.check(beside: options.grantFiles, namespaces: options.election.namespaces)
        let authority = try options.authority.keeping(
            in: options.election.kubernetes.systemNamespace, state: controller.state)
        let certificate: ServingCertificate
        if let authority {
            certificate = try GrantServing.certificate(awaitedIn: authority.directory)
        } else {
            try options.grantFiles.check(console.environment)
            certificate = try GrantServing.certificate(options.grantFiles.paths(state: controller.state))
        }
        let node = Node(
            cluster: cluster, options: options.process, console: console, log: log, controller: controller,
            authority: authority,
            granting: GrantServing(options.grantsAddress, certificate, controller: controller))
        try await node.run()
        return ExitCode.done
    }
}

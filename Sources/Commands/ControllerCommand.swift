internal import Webhook

/// `leasehold controller`: one cluster's part in the election, which webhooks in other processes ask for grants.
enum ControllerCommand: Command {
    struct Options: FlagOptions {
        var election = ElectionOptions()
        /// Only what it excludes.
        var policy = PolicyOptions()
        var grantsAddress = SocketAddress(host: "", port: 9443)
        var grantFiles = GrantFiles()
        var process = ProcessOptions()
    }

    static let name = "controller"
    static let summary = "takes part in the election and tells webhooks in other processes what they may admit"
    static let description = [
        "One replica for each cluster is active, others stand by and take over when it ends. Webhooks ask it twice a second "
            + "by mutual TLS: \"leasehold webhook\". Outside Kubernetes, processes that share the state directory make the "
            + "certificates for that by themselves.",
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
            FlagGroup("Guard", [PolicyOptions.excludeFlag(at: \.policy)]),
        ] + ProcessOptions.groups(at: \.process)
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        let cluster = options.election.cluster
        try options.process.check(beside: [("--grants-bind-address", options.grantsAddress)])
        let log = Node.log(options.process, console)
        let controller = try ControllerPart(
            options.election, policy: options.election.policy(options.policy), console: console, log: log)
        try options.grantFiles.check(console.environment)
        let granting = try GrantServing(
            options.grantsAddress, options.grantFiles.paths(state: controller.state), controller: controller)
        let node = Node(
            cluster: cluster, options: options.process, console: console, log: log, controller: controller,
            granting: granting)
        try await node.run()
        return ExitCode.done
    }
}

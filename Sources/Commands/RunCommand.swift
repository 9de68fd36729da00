/// `leasehold run`: one cluster's part in the election and its admission webhook, in one process.
enum RunCommand: Command {
    typealias Options = RunOptions

    static let name = "run"
    static let summary = "takes part in the election and serves the admission webhook"
    static let description = [
        "Works without Kubernetes and without a cloud: clusters that run on one machine meet in a file store, namespaces "
            + "are named by --namespace, and certificates are made by itself. Until this cluster leads a namespace, "
            + "guarded writes to it are denied.",
        "SIGTERM and SIGINT end it in good order; a second one at once. SIGHUP reads the certificate files again, which "
            + "also happens within a second when they change.",
    ]
    static let examples = [
        "leasehold run --cluster east --namespace team-a",
        "leasehold run --cluster west --namespace team-a --bind-address :10251 \\",
        "    --health-probe-bind-address 0 --metrics-bind-address 0",
    ]
    static let exitCodes = [
        ExitCode(code: ExitCode.done, meaning: "asked to end, and ended; the log says how it left the election"),
        ExitCode(
            code: ExitCode.failed,
            meaning:
                "could not start, must not take part (another cluster has this name), or was ended by a second signal"),
    ]
    static var flags: [FlagGroup<RunOptions>] { RunOptions.groups }
    static let holdsSignals = true

    static func run(_ options: RunOptions, operands: [String], console: Console) async throws -> Int32 {
        try options.check(console.environment)
        let log = Node.log(options.process, console)
        let policy = try options.election.policy(options.policy)
        let controller = try ControllerPart(options.election, policy: policy, console: console, log: log)
        let webhook = try WebhookPart(
            options.webhook, policy: policy, board: controller.board, state: controller.state, log: log)
        let node = Node(
            cluster: options.election.cluster, options: options.process, console: console, log: log,
            controller: controller, webhook: webhook, webhookConfiguration: options.webhookConfiguration)
        try await node.run()
        return ExitCode.done
    }
}

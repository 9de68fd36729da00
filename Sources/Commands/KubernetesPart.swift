internal import Controller
internal import Election
private import FoundationEssentials
internal import Kubernetes
internal import Platform
internal import Storage
internal import Webhook

/// What a controller has beside the rest when it serves the namespaces of an API server.
struct KubernetesPart: Sendable {
    private let client: KubernetesClient
    private let log: Log
    let status: KubernetesStatus

    /// Two writes a namespace come at once when a cluster is new, and one when its leader changes. The controller has a few
    /// of them under way at a time only, so a slow API server sets the pace by itself, long before this limit does.
    private static let rate = RateLimit(callsPerSecond: 200, burst: 400)

    init(_ credentials: KubernetesCredentials, timing: Timing, log: Log) {
        client = KubernetesClient(credentials, rate: Self.rate, log: log)
        status = KubernetesStatus(client, timing: timing)
        self.log = log
    }

    /// The API server's URL, for people.
    var server: String { client.server }

    func controller(
        _ options: ElectionOptions, excluded: [Pattern], timing: Timing, board: LeadershipBoard,
        status electionStatus: ElectionStatus,
        releaseLimit: Duration, openStore: @escaping @Sendable () async throws -> any LeaseStore
    ) -> KubernetesController {
        let selector = options.kubernetes.namespaceSelector
        var settings = KubernetesController.Options(
            cluster: options.cluster, leaseSeconds: options.leaseSeconds,
            isElected: { namespace, labels in
                !excluded.contains { namespace.matches($0) } && selector?.matches(labels) ?? true
            })
        settings.leaseName = options.kubernetes.leaseName
        settings.systemNamespace = options.kubernetes.systemNamespace
        settings.apiLossTimeout = options.kubernetes.apiLossTimeout == .zero ? nil : options.kubernetes.apiLossTimeout
        settings.releaseLimit = releaseLimit
        return KubernetesController(
            settings, client: client, timing: timing, board: board, status: electionStatus, kubernetesStatus: status,
            log: log, openStore: openStore)
    }

    func authorityKeeper(_ options: AuthorityKeeper.Options) -> AuthorityKeeper {
        AuthorityKeeper(options, client: client, log: log)
    }

    /// Keeps the ValidatingWebhookConfiguration to the authority in `file`, until its task is cancelled.
    func keepAuthority(_ file: String, in configuration: String) -> Task<Void, Never> {
        let keeper = WebhookConfigurationKeeper(configuration, client: client, log: log) {
            [UInt8](try Data(contentsOf: URL(filePath: file)))
        }
        return Task { await keeper.run() }
    }
}

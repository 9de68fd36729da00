internal import Controller
internal import Election
private import Kubernetes
internal import Webhook

/// The flags of whatever takes part in the election: for which namespaces, at which pace, on which store, for which API
/// server.
struct ElectionOptions {
    var cluster = ""
    var namespaces: [String] = []
    var leaseSeconds = 15
    /// All but the request time-out, which ``StoreOptions`` holds.
    var timing = Timing()
    var releasesOnShutdown = false
    var shutdownTimeout = Duration.seconds(25)
    var store = StoreOptions()
    var kubernetes = KubernetesOptions()

    static func groups<Options>(at path: WritableKeyPath<Options, ElectionOptions>) -> [FlagGroup<Options>] {
        let interval = ValueType.duration(.milliseconds(10)...(.seconds(86_400)))
        return [
            FlagGroup(
                "Election",
                [
                    .cluster(path.appending(path: \.cluster)),
                    Flag(
                        "namespace", each: path.appending(path: \.namespaces), .name("NAMESPACE"),
                        "A namespace to compete for, where there is no Kubernetes to tell."),
                    Flag(
                        "lease-duration", path.appending(path: \.leaseSeconds),
                        .wholeSeconds(1...Timing().leaseDurationLimit),
                        "How long this cluster's leases outlive its last heartbeat."),
                    Flag(
                        "renew-interval", path.appending(path: \.timing.renewInterval), interval,
                        "Between two heartbeats."),
                    Flag(
                        "poll-interval", path.appending(path: \.timing.pollInterval), interval,
                        "Between two looks at the other clusters."),
                    Flag(
                        "relist-interval", path.appending(path: \.timing.relistInterval), interval,
                        "Between two lists of all leases when nothing else asks for one."),
                    Flag(
                        "grant-duration", path.appending(path: \.timing.grantDuration), interval,
                        "How long a webhook may act on one answer of its controller."),
                    Flag(
                        "commit-margin", path.appending(path: \.timing.commitMargin),
                        .duration(.zero...(.seconds(86_400))),
                        "Kept free at the end of a lease for the API server's write after the admission."),
                    Flag(
                        "clock-rate-bound", path.appending(path: \.timing.rho), .percent(0...100_000),
                        "How far the rate of a machine's clock may be from true time."),
                    Flag(
                        switch: "release-on-shutdown", path.appending(path: \.releasesOnShutdown),
                        "Frees all leases at the end, so that other clusters lead at once; else they wait for this "
                            + "cluster's next run until they run out."),
                    Flag(
                        "shutdown-timeout", path.appending(path: \.shutdownTimeout),
                        .duration(.seconds(1)...(.seconds(3600))),
                        "How long a shutdown may take before it is cut short; a handover to a store that does not answer "
                            + "may take two --store-timeout more."),
                ]),
            FlagGroup("Store", StoreOptions.flags(at: path.appending(path: \.store))),
            FlagGroup("Kubernetes", KubernetesOptions.flags(at: path.appending(path: \.kubernetes))),
        ]
    }

    /// What the guard and the election agree on.
    ///
    /// - Throws: ``UsageError`` when a namespace is both elected and excluded.
    func policy(_ options: PolicyOptions) throws(UsageError) -> Policy {
        try options.policy(electing: namespaces, systemNamespace: kubernetes.systemNamespace)
    }

    /// - Throws: ``UsageError`` for a combination that the election's rules forbid.
    func checkedTiming() throws(UsageError) -> Timing {
        var timing = timing
        if timing.renewInterval < store.renewIntervalMin {
            throw UsageError(
                "--renew-interval got \(DurationText.format(timing.renewInterval)); allowed: at least "
                    + "\(DurationText.format(store.renewIntervalMin)) with this store, which takes one write a second of "
                    + "each object")
        }
        timing.requestTimeout = store.timeout ?? min(StoreOptions.timeoutDefault, timing.renewInterval)
        if timing.requestTimeout > timing.renewInterval {
            throw UsageError(
                "--store-timeout got \(DurationText.format(timing.requestTimeout)); allowed: at most the "
                    + "--renew-interval, \(DurationText.format(timing.renewInterval))")
        }
        if timing.commitMargin >= timing.grantDuration {
            throw UsageError(
                "--commit-margin got \(DurationText.format(timing.commitMargin)); allowed: less than the "
                    + "--grant-duration, \(DurationText.format(timing.grantDuration))")
        }
        // What remains is checked flag by flag already; the election itself refuses it too.
        if let problem = timing.problem { throw UsageError(problem) }
        if let refusal = timing.refusal(ofSeconds: leaseSeconds) {
            throw UsageError(
                "--lease-duration \(DurationText.format(.seconds(leaseSeconds))) is too short for --commit-margin "
                    + "\(DurationText.format(timing.commitMargin)), --renew-interval "
                    + "\(DurationText.format(timing.renewInterval)), --store-timeout "
                    + "\(DurationText.format(timing.requestTimeout)) and --grant-duration "
                    + "\(DurationText.format(timing.grantDuration)): \(refusal)")
        }
        return timing
    }

    /// - Throws: ``UsageError`` when the namespaces come from nowhere, or from two places.
    func checkWhereNamespacesComeFrom(_ environment: [String: String]) throws(UsageError) {
        if let namespace = namespaces.first {
            guard let kubeconfig = kubernetes.kubeconfig else { return }
            throw UsageError(
                "--namespace \(namespace) and --kubeconfig \(kubeconfig) were both given; allowed: one of them, as with "
                    + "Kubernetes its namespaces are competed for")
        }
        guard kubernetes.kubeconfig != nil || KubernetesCredentials.isInCluster(environment: environment) else {
            throw UsageError(
                "--namespace got nothing; allowed: the name of a namespace to compete for, repeatable; or --kubeconfig, or "
                    + "to run in a pod, to serve the namespaces of an API server")
        }
        // Each cluster would have a store of its own, and lead everything in it.
        guard store.isNamed else {
            throw UsageError(
                "--lease-storage-bucket got nothing; allowed: the bucket that all clusters share, or --store with another "
                    + "store that they share")
        }
    }
}

extension Flag {
    static func cluster(_ path: WritableKeyPath<Options, String>) -> Flag {
        Flag(
            "cluster", path, .name("CLUSTER"), "This cluster's name, which no other may have.", required: true)
    }
}

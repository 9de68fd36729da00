internal import Controller
internal import Kubernetes
internal import Platform
internal import Storage

/// `leasehold doctor`: tries everything that Leasehold needs.
enum DoctorCommand: Command {
    enum Output: String, CaseIterable {
        case table
        case json
        case yaml
    }

    struct Options: FlagOptions {
        var account: String?
        var authoritySecret: String?
        var webhookConfiguration = RunOptions().webhookConfiguration
        var commitMargin = ElectionOptions().timing.commitMargin
        var clockRateBound = ElectionOptions().timing.rho
        var store = StoreOptions()
        var kubernetes = KubernetesOptions()
        var output = Output.table
    }

    static let checkFailed: Int32 = 3

    static let name = "doctor"
    static let summary = "tries everything that Leasehold needs, and says what to do about what is missing"
    static let description = [
        "Each check stands for itself; one that cannot be tried, since another failed, is skipped. The store is tried by "
            + "writing the object members/~probe, as every controller does at its start. The API server is asked with "
            + "dry-run requests only, and nothing is left behind on it.",
        "Run it with the controller's own flags or variables, as by kubectl exec in a controller's pod, to see what the "
            + "controller sees; or as an administrator with --service-account, to see what that account may do.",
        "Whether the webhook can be reached is told by the API server: it is asked for a dry-run write that it must have "
            + "admitted, in the name of a service account that does not exist (which takes the right to impersonate, as "
            + "administrators have it). Any answer of the webhook will do, a denial too.",
    ]
    static let examples = [
        "leasehold doctor --lease-storage-bucket my-bucket --context east \\",
        "    --service-account leader-election-controller-manager \\",
        "    --authority-secret leader-election-authority",
        "kubectl exec -n multi-cluster-leader-election-system \\",
        "    deploy/leader-election-controller-manager -- \\",
        "    /usr/local/bin/leasehold doctor",
    ]
    static let exitCodes = [
        ExitCode(code: ExitCode.done, meaning: "no check has failed; warnings do not count"),
        ExitCode(
            code: ExitCode.failed, meaning: "nothing could be tried; the reason is the last line on standard error"),
        ExitCode(code: checkFailed, meaning: "a check has failed"),
    ]
    static var flags: [FlagGroup<Options>] {
        [
            FlagGroup("Store", StoreOptions.flags(at: \.store)),
            FlagGroup(
                "Kubernetes",
                KubernetesOptions.accessFlags(at: \.kubernetes, otherwise: "in a pod, its service account") + [
                    KubernetesOptions.systemNamespaceFlag(at: \.kubernetes.systemNamespace),
                    Flag(
                        "service-account", \.account, .name("NAME"),
                        "Whose rights to check, of the system namespace's accounts.", defaultText: "the caller's own"),
                    Flag(
                        "authority-secret", \.authoritySecret, .name("NAME"),
                        "As for the controllers: adds the rights to the Secrets that they keep.", defaultText: "none"),
                    Flag(
                        "webhook-configuration", \.webhookConfiguration, .name("NAME"),
                        "The ValidatingWebhookConfiguration that guards."),
                    Flag(
                        "commit-margin", \.commitMargin, .duration(.zero...(.seconds(86_400))),
                        "As for the controllers: the webhook's timeoutSeconds should be below it."),
                ]),
            FlagGroup(
                "Machine",
                [
                    Flag(
                        "clock-rate-bound", \.clockRateBound, .percent(0...100_000),
                        "How far the rate of a machine's clock may be from true time.")
                ]),
            FlagGroup(
                "Output", [Flag("output", \.output, .choice("FORMAT"), "For people or for programs.")]),
        ]
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        let report = try await examine(options, console)
        switch options.output {
        case .table: console.out(report.text)
        case .json: console.out(try DocumentText.json(report))
        case .yaml: console.out(try DocumentText.yaml(report))
        }
        return report.hasFailed ? checkFailed : ExitCode.done
    }

    private static func examine(_ options: Options, _ console: Console) async throws -> DoctorReport {
        let hasKubernetes =
            options.kubernetes.isNamed || KubernetesCredentials.isInCluster(environment: console.environment)
            || console.program != Program.name
        guard hasKubernetes || options.store.isNamed else {
            throw UsageError(
                "got neither a store nor an API server to try; allowed: --lease-storage-bucket or --store, --kubeconfig or "
                    + "--context, or both")
        }
        async let machine = [MachineChecks.clockRate(ClockDiscipline.read(), bound: options.clockRateBound)]
        async let store = StoreChecks.examine(options.store, console.environment)
        async let cluster = ClusterChecks.examine(
            options, console.environment, isNamed: hasKubernetes, log: Log(write: console.err))
        return DoctorReport(checks: await machine + store + cluster)
    }
}

/// What a machine on which a controller or webhook runs must be like.
enum MachineChecks {
    /// - Parameter bound: parts per million; see the protocol's clock assumption.
    static func clockRate(_ discipline: ClockDiscipline?, bound: Int) -> Finding {
        let check = "clock-rate"
        guard let discipline else {
            return .skipped(check, "the kernel does not say how it corrects the clock (adjtimex)")
        }
        let error = Int(abs(discipline.correction).rounded())
        let found = "the clock is corrected by \(error) millionths, and may be off by \(bound)"
        if error > bound {
            return .failed(
                check, found,
                "run no controller or webhook on this machine before its clock is mended, or raise --clock-rate-bound in "
                    + "every cluster")
        }
        if !discipline.isSynchronised {
            return .warning(
                check, "nothing keeps the clock to true time, so how far its rate is off is not known",
                "run an NTP client (chrony, systemd-timesyncd) on this machine; a container has its host's clock")
        }
        return error > bound / 2
            ? .warning(check, found, "watch it: beyond the bound two clusters could lead at once") : .ok(check, found)
    }
}

/// What the election needs of its store.
enum StoreChecks {
    static func examine(_ options: StoreOptions, _ environment: [String: String]) async -> [Finding] {
        let (opening, conditions, records) = ("store", "store-conditions", "store-records")
        guard options.isNamed else {
            return [.skipped(opening, "no store was named: give --lease-storage-bucket or --store")]
        }
        let warnings = Locked<[String]>([])
        do {
            let address = try options.resolvedAddress(environment)
            let store: any LeaseStore
            do throws(StoreError) {
                store = try await address.open(
                    timeout: options.timeout ?? StoreOptions.timeoutDefault, creating: false,
                    access: options.access(environment) { text in warnings.withLock { $0.append(text) } })
                _ = try await store.read(.probe)
            } catch {
                return [
                    .failed(opening, "\(address) cannot be read: \(error.reason)"),
                    .skipped(conditions, "the store cannot be read"), .skipped(records, "the store cannot be read"),
                ]
            }
            let said = warnings.withLock { $0 }
            let opened: Finding =
                said.isEmpty
                ? .ok(opening, "\(address) is there, and its objects can be read")
                : .warning(opening, said.joined(separator: " "), "see docs/google-cloud-storage.md")
            return [opened, await probe(store, conditions), await read(store, records)]
        } catch {
            return [.failed(opening, "\(error)")]
        }
    }

    static func probe(_ store: any LeaseStore, _ check: String = "store-conditions") async -> Finding {
        do throws(StoreProbeFailure) {
            try await store.probe()
            return .ok(check, "objects can be written and listed, and a write with a wrong version is refused")
        } catch {
            return .failed(check, "\(error)")
        }
    }

    static func read(_ store: any LeaseStore, _ check: String = "store-records") async -> Finding {
        do throws(StoreError) {
            let snapshot = try await ElectionSnapshot(reading: store)
            let members = snapshot.members.filter { (try? $0.record.get()) == nil }.map { "members/\($0.cluster)" }
            let leases = snapshot.leases.filter { (try? $0.record.get()) == nil }.map { "leases/\($0.namespace)" }
            let unreadable = members + leases
            guard unreadable.isEmpty else {
                return .failed(
                    check,
                    "\(unreadable.count) objects are no records: \(unreadable.prefix(5).joined(separator: ", "))",
                    "leasehold status says what is wrong with each, and until it is mended nobody leads there; to have it made "
                        + "anew, stop the controllers of all clusters before you delete it"
                )
            }
            return .ok(check, "\(snapshot.leases.count) leases and \(snapshot.members.count) clusters, all readable")
        } catch {
            return .failed(check, "the records cannot be listed: \(error.reason)")
        }
    }
}

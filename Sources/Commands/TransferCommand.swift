internal import Controller
internal import Election
internal import Kubernetes
private import Platform
internal import Storage

/// `leasehold transfer`: moves namespaces' leadership, without waiting for a lease to run out.
enum TransferCommand: Command {
    struct Options: FlagOptions {
        var target: String?
        var clear = false
        var all = false
        var selector: LabelSelector?
        var timeout = Duration.seconds(30)
        var store = StoreOptions()
        var kubernetes = KubernetesOptions()
    }

    static let notDone: Int32 = 3

    static let name = "transfer"
    static let summary = "hands namespaces over to another cluster, or takes the wish back"
    static let operands = ["[NAMESPACE...]"]
    static let description = [
        "Writes the wish into the lease record and waits until it is fulfilled: the other cluster answers that it wants "
            + "the namespace, the leader gives it back, the other claims it. Nothing is given to a cluster that did not "
            + "ask, and no two clusters lead in between.",
        "The wish stays: the cluster gets the namespace back whenever it returns, until the wish is cleared with "
            + "--clear or replaced by another transfer. So it does when a handover was not done in time.",
        "With --kubeconfig, --context or as kubectl leasehold, and no store named, it asks that cluster's controller by an "
            + "annotation of the Lease object, for which the right to edit the object is enough.",
        "Several namespaces, --selector or --all are asked for at once, and followed together. Each that is done, and each "
            + "that is not with the reason, is told on standard error; the sum on standard output.",
    ]
    static let examples = [
        "leasehold transfer team-a --to west", "leasehold transfer team-a --clear",
        "leasehold transfer --selector tier=prod --context east --to west", "leasehold transfer --all --to west",
    ]
    static let exitCodes = [
        ExitCode(code: ExitCode.done, meaning: "every namespace is led by the cluster, or cleared"),
        ExitCode(
            code: ExitCode.failed, meaning: "nothing was asked for; the reason is the last line on standard error"),
        ExitCode(
            code: notDone, meaning: "at least one namespace was not handed over in time, or could not be asked for"),
    ]
    static var flags: [FlagGroup<Options>] {
        [
            FlagGroup(
                "Handover",
                [
                    Flag("to", \.target, .name("CLUSTER"), "The cluster that is to lead."),
                    Flag(switch: "clear", \.clear, "Removes the wish instead; whoever leads goes on."),
                    Flag(
                        "selector", \.selector, .labelSelector,
                        "The namespaces with these labels on the API server that have a lease record."),
                    Flag(
                        switch: "all", \.all,
                        "All namespaces that some cluster leads; with --clear all that have a wish."),
                    timeoutFlag(at: \.timeout),
                ]),
            FlagGroup("Store", StoreOptions.flags(at: \.store)),
            FlagGroup(
                "Kubernetes",
                KubernetesOptions.accessFlags(at: \.kubernetes, otherwise: KubernetesOptions.accessOfPeople) + [
                    KubernetesOptions.leaseNameFlag(at: \.kubernetes.leaseName)
                ]),
        ]
    }

    static func timeoutFlag<Options>(at path: WritableKeyPath<Options, Duration>) -> Flag<Options> {
        Flag(
            "timeout", path, .duration(.milliseconds(100)...(.seconds(3600))),
            "How long to wait for the handover; of several, for the next one to be done.")
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        try check(options, namespaces: operands)
        if options.kubernetes.isMeant(insteadOf: options.store, console) {
            return try await runByCluster(options, operands, console)
        }
        let store = try await options.store.open(console.environment)
        if operands.count == 1 {
            return try await run(options, namespace: operands[0], store: store, console: console)
        }
        var selected: [String]?
        if let selector = options.selector {
            selected = try await namespaces(with: selector, options, console)
        }
        return try await runMany(options, namespaces: selected ?? operands, store: store, console: console)
    }

    static func check(_ options: Options, namespaces: [String]) throws(UsageError) {
        for namespace in namespaces where !RecordName.isValid(namespace) {
            throw UsageError(
                "NAMESPACE got \(Log.quoted(namespace)); allowed: \(ValueType.name("NAMESPACE").allowed)")
        }
        let ways = [!namespaces.isEmpty, options.selector != nil, options.all].count { $0 }
        if ways != 1 {
            throw UsageError(
                "got \(ways == 0 ? "no namespace" : "namespaces in \(ways) ways"); allowed: one of NAMESPACE..., --selector "
                    + "and --all")
        }
        if options.clear, let target = options.target {
            throw UsageError("--clear and --to \(target) were both given; allowed: one of them")
        }
        if !options.clear && options.target == nil {
            throw UsageError("--to got nothing; allowed: --to CLUSTER, or --clear")
        }
    }

    // MARK: - By way of a cluster

    private static func runByCluster(_ options: Options, _ operands: [String], _ console: Console) async throws -> Int32
    {
        if options.all {
            throw UsageError(
                "--all got no store to find the namespaces in; allowed: with --store or --lease-storage-bucket")
        }
        var namespaces = Set(operands).sorted()
        if let selector = options.selector {
            namespaces = try await Self.namespaces(with: selector, options, console).sorted()
        }
        let client = try await options.kubernetes.client(console.environment, log: Log(write: console.err))
        let transfer = ClusterTransfer(
            client: client, leaseName: options.kubernetes.leaseName, target: options.target, timeout: options.timeout,
            isSelection: options.selector != nil, console: console)
        return try await transfer.run(namespaces)
    }

    // MARK: - One namespace

    static func run(
        _ options: Options, namespace: String, store: any LeaseStore, console: Console
    ) async throws -> Int32 {
        let transfer = Transfer(namespace: namespace, store: store) { console.err("\(TextTable.printable($0))\n") }
        do {
            let line =
                if let target = options.target {
                    try await transfer.run(to: target, timeout: options.timeout)
                } else {
                    try await transfer.clear()
                }
            console.out("\(TextTable.printable(line))\n")
            return ExitCode.done
        } catch let error as StoreError {
            throw CommandFailure("the store cannot be used: \(error.reason)")
        }
    }

    // MARK: - Many

    /// - Parameter namespaces: empty: with ``Options/all`` or a selector that matches none.
    static func runMany(
        _ options: Options, namespaces: [String], store: any LeaseStore, console: Console
    ) async throws -> Int32 {
        let snapshot = try await StatusCommand.snapshot(of: store)
        var chosen = Array(Set(namespaces)).sorted()
        if options.selector != nil {
            let absent = chosen.filter { name in !snapshot.leases.contains { $0.namespace == name } }
            if !absent.isEmpty {
                console.err("without a lease record, so left alone: \(absent.joined(separator: ", "))\n")
            }
            chosen.removeAll(where: absent.contains)
        }
        if options.all { chosen = all(of: snapshot, options, console) }
        guard !chosen.isEmpty else {
            if options.all {
                console.out("there is nothing to \(options.clear ? "clear" : "hand over")\n")
                return ExitCode.done
            }
            throw CommandFailure("no namespace that was selected has a lease record: check --selector and --store")
        }
        guard let target = options.target else { return try await clear(chosen, options, store, console) }
        try Transfer.requireLive(target, in: snapshot)
        var progress = TransferProgress(total: chosen.count, console: console)
        let batch = TransferBatch(store: store, timeout: options.timeout) { progress.take($0) }
        let result = try await batch.run(chosen.map { TransferBatch.Move(namespace: $0, targets: [target]) })
        progress.end()
        console.out(sum(result.done.count, of: chosen.count, to: target))
        return result.failures == 0 ? ExitCode.done : notDone
    }

    /// The last line about several, for standard output.
    ///
    /// - Parameter target: nil: the wishes were to be cleared.
    static func sum(_ done: Int, of total: Int, to target: String?) -> String {
        target.map { "\($0) leads \(done) of \(total) namespaces\n" }
            ?? "\(done) of \(total) namespaces prefer no cluster now\n"
    }

    /// What `--all` means; free leases may be of namespaces that are gone, and nobody might claim them.
    private static func all(of snapshot: ElectionSnapshot, _ options: Options, _ console: Console) -> [String] {
        var (chosen, free, unreadable) = ([String](), [String](), [String]())
        for lease in snapshot.leases {
            switch lease.record {
            case .success(let record) where options.clear:
                if record.preferredHolder != nil { chosen.append(lease.namespace) }
            case .success(let record) where record.isFree: free.append(lease.namespace)
            case .success: chosen.append(lease.namespace)
            case .failure: unreadable.append(lease.namespace)
            }
        }
        if !free.isEmpty { console.err("free, so left alone: \(free.joined(separator: ", "))\n") }
        // To be counted as what could not be asked for.
        return chosen + unreadable
    }

    private static func clear(
        _ namespaces: [String], _ options: Options, _ store: any LeaseStore, _ console: Console
    ) async throws -> Int32 {
        let batch = TransferBatch(store: store, timeout: options.timeout) { event in
            if case .failed(let namespace, let reason) = event {
                console.err("\(namespace): \(TextTable.printable(reason))\n")
            } else if case .note(let text) = event {
                console.err("\(TextTable.printable(text))\n")
            }
        }
        var cleared = 0
        let failures = try await batch.clear(namespaces) { _ in cleared += 1 }
        console.out(sum(cleared, of: namespaces.count, to: nil))
        return failures == 0 ? ExitCode.done : notDone
    }

    private static func namespaces(
        with selector: LabelSelector, _ options: Options, _ console: Console
    ) async throws -> [String] {
        let client = try await options.kubernetes.client(console.environment, log: Log(write: console.err))
        do throws(KubernetesError) {
            return try await client.list(NamespaceObject.self, labelSelector: selector.description)
                .compactMap(\.metadata.name).filter(RecordName.isValid)
        } catch {
            throw CommandFailure("the namespaces cannot be listed: \(error)")
        }
    }
}

internal import Storage

/// `leasehold drain`: hands over all that a cluster leads, before its maintenance.
enum DrainCommand: Command {
    struct Options: FlagOptions {
        var target: String?
        var dryRun = false
        var timeout = Duration.seconds(60)
        var store = StoreOptions()
    }

    static let name = "drain"
    static let summary = "hands everything that a cluster leads over to the others"
    static let operands = ["CLUSTER"]
    static let description = [
        "Finds the other clusters whose heartbeats come, chooses one for each namespace that CLUSTER leads, and hands over "
            + "as leasehold transfer does: to the cluster that the namespace prefers already, else so that in the end each "
            + "leads about as many. A cluster that does not answer, since it does not compete for that namespace, is "
            + "followed by the next. Wishes for CLUSTER in namespaces that another leads are cleared.",
        "What keeps a namespace from coming back is the wish that stays in its record: while the new leader is live it "
            + "is preferred. CLUSTER stays a candidate of last resort for as long as it runs; stop its controllers where it "
            + "must not lead at all.",
        "Standard output lists the namespaces that were handed over, one a line. Nothing else remembers them: kept in a "
            + "file, they go back with xargs leasehold transfer --to CLUSTER < FILE.",
    ]
    static let examples = [
        "leasehold drain east > moved.txt", "leasehold drain east --to west",
        "xargs leasehold transfer --to east < moved.txt",
    ]
    static let exitCodes = [
        ExitCode(code: ExitCode.done, meaning: "the cluster leads nothing and is preferred for nothing"),
        ExitCode(
            code: ExitCode.failed, meaning: "nothing was asked for; the reason is the last line on standard error"),
        ExitCode(code: TransferCommand.notDone, meaning: "some namespaces were not handed over in time"),
    ]
    static var flags: [FlagGroup<Options>] {
        [
            FlagGroup(
                "Handover",
                [
                    Flag(
                        "to", \.target, .name("CLUSTER"), "The only cluster to hand over to.",
                        defaultText: "all other live ones"),
                    Flag(switch: "dry-run", \.dryRun, "Says what would be handed over to whom, and changes nothing."),
                    TransferCommand.timeoutFlag(at: \.timeout),
                ]),
            FlagGroup("Store", StoreOptions.flags(at: \.store)),
        ]
    }

    /// New leases that the cluster takes meanwhile are handed over too, a few times.
    private static let roundsMax = 3

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        let cluster = operands[0]
        if options.target == cluster {
            throw UsageError("--to got \(cluster), the cluster to drain; allowed: another one")
        }
        let store = try await options.store.open(console.environment)
        return try await run(options, cluster: cluster, store: store, console: console)
    }

    static func run(
        _ options: Options, cluster: String, store: any LeaseStore, console: Console,
        pollInterval: Duration = .milliseconds(500)
    ) async throws -> Int32 {
        var plan = try await DrainPlan(
            of: cluster, to: options.target, store: store, pollInterval: pollInterval,
            report: { console.err("\($0)\n") })
        for line in plan.explanation { console.err("\(TextTable.printable(line))\n") }
        if options.dryRun {
            console.out(plan.table)
            return ExitCode.done
        }
        var failures = 0
        for _ in 1...roundsMax where !plan.isEmpty && failures == 0 {
            var progress = TransferProgress(total: plan.moves.count, console: console)
            let batch = TransferBatch(store: store, timeout: options.timeout, pollInterval: pollInterval) {
                progress.take($0)
            }
            let unclear = try await batch.clear(plan.wishes) { console.err("cleared the wish of \($0)\n") }
            let result = try await batch.run(plan.moves)
            if !plan.moves.isEmpty { progress.end() }
            console.out(result.done.sorted().map { "\($0)\n" }.joined())
            failures += unclear + result.failures
            plan = plan.next(try await StatusCommand.snapshot(of: store))
        }
        if failures > 0 || !plan.isEmpty {
            console.err("\(cluster) is not drained: run it again, or see leasehold status\n")
            return TransferCommand.notDone
        }
        console.err("\(cluster) leads nothing and is preferred for nothing now\n")
        return ExitCode.done
    }
}

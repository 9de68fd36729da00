internal import Election
private import Platform
internal import Storage

/// `leasehold transfer`: moves one namespace's leadership, without waiting for a lease to run out.
enum TransferCommand: Command {
    struct Options: FlagOptions {
        var target: String?
        var clear = false
        var timeout = Duration.seconds(30)
        var store = StoreOptions()
    }

    static let name = "transfer"
    static let summary = "hands a namespace over to another cluster, or takes the wish back"
    static let operands = ["NAMESPACE"]
    static let description = [
        "Writes the wish into the lease record and waits until it is fulfilled: the other cluster answers that it wants "
            + "the namespace, the leader gives it back, the other claims it. Nothing is given to a cluster that did not "
            + "ask, and no two clusters lead in between.",
        "The wish stays: the cluster gets the namespace back whenever it returns, until the wish is cleared with "
            + "--clear or replaced by another transfer.",
    ]
    static let examples = ["leasehold transfer team-a --to west", "leasehold transfer team-a --clear"]
    static var flags: [FlagGroup<Options>] {
        [
            FlagGroup(
                "Handover",
                [
                    Flag("to", \.target, .name("CLUSTER"), "The cluster that is to lead."),
                    Flag(switch: "clear", \.clear, "Removes the wish instead; whoever leads goes on."),
                    Flag(
                        "timeout", \.timeout, .duration(.milliseconds(100)...(.seconds(3600))),
                        "How long to wait for the handover."),
                ]),
            FlagGroup("Store", StoreOptions.flags(at: \.store)),
        ]
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        try check(options, namespace: operands[0])
        let store = try await options.store.open(console.environment)
        return try await run(options, namespace: operands[0], store: store, console: console)
    }

    static func check(_ options: Options, namespace: String) throws(UsageError) {
        guard RecordName.isValid(namespace) else {
            throw UsageError(
                "NAMESPACE got \(Log.quoted(namespace)); allowed: \(ValueType.name("NAMESPACE").allowed)")
        }
        if options.clear, let target = options.target {
            throw UsageError("--clear and --to \(target) were both given; allowed: one of them")
        }
        if !options.clear && options.target == nil {
            throw UsageError("--to got nothing; allowed: --to CLUSTER, or --clear")
        }
    }

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
}

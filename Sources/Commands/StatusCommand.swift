internal import Election
internal import Kubernetes
private import Platform
internal import Storage

/// `leasehold status`: who leads what, as the store or a cluster shows it.
enum StatusCommand: Command {
    enum Output: String, CaseIterable {
        case table
        case wide
        case json
        case yaml
    }

    struct Options: FlagOptions {
        var source: StatusDocument.Source?
        var store = StoreOptions()
        var kubernetes = KubernetesOptions()
        var cluster: String?
        var namespaces: [String] = []
        var watch = false
        var output = Output.table
    }

    /// Reads the election anew.
    typealias Reader = () async throws -> StatusDocument

    /// Between two snapshots of `--watch`.
    private static let watchInterval = Duration.seconds(1)
    private static let nobodyLeads: Int32 = 3

    static let name = "status"
    static let summary = "shows who leads each namespace, and the clusters that take part"
    static let description = [
        "Reads the records in the store, or the Lease objects that a cluster's controller keeps on its API server; changes "
            + "nothing. The store knows all; for a cluster the right to view is enough: who may read the Lease objects of "
            + "some namespaces only names them by --namespace.",
        "WINDOW LEFT is an estimate, marked \"~\": it is counted from the time "
            + "that the leader itself wrote at its last renewal and from this machine's clock, which may differ. The "
            + "election never compares the clocks of two machines, so only the leader knows its window for certain.",
        "In place of an estimate: \"over\" when the leader has not renewed for a whole window, \"handover\" or "
            + "\"stopped\" when it has left, \"restarted\" when a new run of it has not claimed the lease again yet, \"-\" "
            + "when a cluster cannot tell it of another. STATE is \"silent\" for a cluster that says it is live and has not "
            + "renewed for three of its renew intervals, \"observed\" for one of which a cluster only knows that it leads.",
    ]
    static let examples = [
        "leasehold status --cluster east", "leasehold status --watch --store file:///srv/leases",
        "leasehold status --source cluster --context east --output yaml",
    ]
    static let exitCodes = [
        ExitCode(code: nobodyLeads, meaning: "a namespace named by --namespace is led by nobody; not with --watch")
    ]
    static var flags: [FlagGroup<Options>] {
        [
            FlagGroup(
                "Source",
                [
                    Flag(
                        "source", \.source, .choice("SOURCE"), "What to read.",
                        defaultText: "the cluster with --kubeconfig, --context or as kubectl leasehold, else the store")
                ]),
            FlagGroup("Store", StoreOptions.flags(at: \.store)),
            FlagGroup(
                "Cluster",
                KubernetesOptions.accessFlags(at: \.kubernetes, otherwise: KubernetesOptions.accessOfPeople) + [
                    KubernetesOptions.leaseNameFlag(at: \.kubernetes.leaseName),
                    KubernetesOptions.systemNamespaceFlag(at: \.kubernetes.systemNamespace),
                ]),
            FlagGroup(
                "Output",
                [
                    Flag(
                        "cluster", \.cluster, .name("CLUSTER"),
                        "Says in a column which leases are this cluster's.",
                        defaultText: "from a cluster, itself"),
                    Flag(
                        "namespace", each: \.namespaces, .name("NAMESPACE"), "Shows these namespaces only; default all."
                    ),
                    Flag("output", \.output, .choice("FORMAT"), "For people, with all that is known, or for programs."),
                    Flag(
                        switch: "watch", \.watch,
                        "Shows it again every second until Ctrl-C: in place on a terminal, else one after the other."),
                ]),
        ]
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        switch source(options, console) {
        case .store:
            return try await run(options, store: options.store.open(console.environment), console: console)
        case .cluster:
            let client = try await options.kubernetes.client(console.environment, log: Log(write: console.err))
            return try await run(options, console: console) { try await read(client, options) }
        }
    }

    private static func source(_ options: Options, _ console: Console) -> StatusDocument.Source {
        options.source ?? (options.kubernetes.isMeant(insteadOf: options.store, console) ? .cluster : .store)
    }

    static func run(_ options: Options, store: any LeaseStore, console: Console) async throws -> Int32 {
        try await run(options, console: console) {
            StatusDocument(
                try await snapshot(of: store), cluster: options.cluster, namespaces: options.namespaces)
        }
    }

    static func run(_ options: Options, console: Console, read: Reader) async throws -> Int32 {
        guard options.watch else {
            let document = try await read()
            console.out(try text(document, options))
            return document.areLed(options.namespaces) ? ExitCode.done : nobodyLeads
        }
        // Ends by SIGINT, which needs no handling here: nothing is half done.
        while true {
            try await show(options, console, read)
            try await Task.sleep(for: watchInterval)
        }
    }

    private static func text(_ document: StatusDocument, _ options: Options) throws -> String {
        switch options.output {
        case .table: StatusReport(document: document).text
        case .wide: StatusReport(document: document, isWide: true).text
        case .json: try DocumentText.json(document, pretty: !options.watch)
        case .yaml: try (options.watch ? "---\n" : "") + DocumentText.yaml(document)
        }
    }

    private static func show(_ options: Options, _ console: Console, _ read: Reader) async throws {
        let text: String
        do {
            text = try Self.text(try await read(), options)
        } catch let error as CommandFailure where console.isTerminal {
            // A store that is down is what one watches for: it may come back.
            text = "\(TextTable.printable(error.description))\n"
        } catch let error as CommandFailure {
            console.err("\(console.program) status: \(TextTable.printable(error.description))\n")
            return
        }
        guard console.isTerminal else {
            console.out(options.output == .table || options.output == .wide ? text + "\n" : text)
            return
        }
        console.out(redraw(text, size: console.size()))
    }

    /// `text` written over the last one, line by line, without a blank moment in between (ECMA-48: cursor to the
    /// upper left, erase to the end of the line, erase to the end of the screen).
    static func redraw(_ text: String, size: (columns: Int, lines: Int)?) -> String {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        if let size {
            // As the terminal would break them, so that none is counted as one line and takes two.
            lines = lines.flatMap { pieces(of: $0, columns: size.columns) }
            if lines.count > size.lines - 1 {
                let cut = lines.count - max(size.lines - 2, 0)
                lines = lines.dropLast(cut) + ["... and \(cut) more lines; a taller window shows them"]
            }
        }
        return "\u{1B}[H" + lines.map { $0 + "\u{1B}[K\n" }.joined() + "\u{1B}[J"
    }

    private static func pieces(of line: String, columns: Int) -> [String] {
        var (pieces, rest) = ([String](), line[...])
        repeat {
            pieces.append(String(rest.prefix(columns)))
            rest = rest.dropFirst(columns)
        } while !rest.isEmpty
        return pieces
    }

    static func snapshot(of store: any LeaseStore) async throws -> ElectionSnapshot {
        do throws(StoreError) {
            return try await ElectionSnapshot(reading: store)
        } catch {
            throw CommandFailure("the store cannot be read: \(error.reason)")
        }
    }

    private static func read(_ client: KubernetesClient, _ options: Options) async throws -> StatusDocument {
        do throws(KubernetesError) {
            let snapshot = try await ClusterSnapshot(
                reading: client, namespaces: options.namespaces, options: options.kubernetes
            ) { Reading.now().realtime / 1000 }
            return StatusDocument(snapshot, cluster: options.cluster, namespaces: options.namespaces)
        } catch {
            throw CommandFailure("the election cannot be read from \(client.server): \(error)")
        }
    }
}

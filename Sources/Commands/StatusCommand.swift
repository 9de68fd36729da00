internal import Storage

/// `leasehold status`: who leads what, as the store shows it.
enum StatusCommand: Command {
    enum Output: String, CaseIterable {
        case table
        case json
    }

    struct Options: FlagOptions {
        var store = StoreOptions()
        var cluster: String?
        var namespaces: [String] = []
        var watch = false
        var output = Output.table
    }

    /// Between two snapshots of `--watch`.
    private static let watchInterval = Duration.seconds(1)
    private static let nobodyLeads: Int32 = 3

    static let name = "status"
    static let summary = "shows who leads each namespace, and the clusters that take part"
    static let description = [
        "Reads the store once; changes nothing. WINDOW LEFT is an estimate, marked \"~\": it is counted from the time "
            + "that the leader itself wrote at its last renewal and from this machine's clock, which may differ. The "
            + "election never compares the clocks of two machines, so only the leader knows its window for certain.",
        "In place of an estimate: \"over\" when the leader has not renewed for a whole window, \"handover\" or "
            + "\"stopped\" when it has left, \"restarted\" when a new run of it has not claimed the lease again yet. STATE is "
            + "\"silent\" for a cluster that says it is live and has not renewed for three of its renew intervals.",
    ]
    static let examples = ["leasehold status --cluster east", "leasehold status --watch --store file:///srv/leases"]
    static let exitCodes = [
        ExitCode(code: nobodyLeads, meaning: "a namespace named by --namespace is led by nobody; not with --watch")
    ]
    static var flags: [FlagGroup<Options>] {
        [
            FlagGroup("Store", StoreOptions.flags(at: \.store)),
            FlagGroup(
                "Output",
                [
                    Flag(
                        "cluster", \.cluster, .name("CLUSTER"),
                        "Adds a column that says which leases are this cluster's."),
                    Flag(
                        "namespace", each: \.namespaces, .name("NAMESPACE"), "Shows these namespaces only; default all."
                    ),
                    Flag("output", \.output, .choice("FORMAT"), "For people or for programs."),
                    Flag(
                        switch: "watch", \.watch,
                        "Shows it again every second until Ctrl-C: in place on a terminal, else one after the other."),
                ]),
        ]
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        try await run(options, store: options.store.open(console.environment), console: console)
    }

    static func run(_ options: Options, store: any LeaseStore, console: Console) async throws -> Int32 {
        guard options.watch else {
            let snapshot = try await snapshot(of: store)
            console.out(try text(snapshot, options))
            return options.namespaces.allSatisfy(snapshot.isLed) ? ExitCode.done : nobodyLeads
        }
        // Ends by SIGINT, which needs no handling here: nothing is half done.
        while true {
            try await show(store, options, console)
            try await Task.sleep(for: watchInterval)
        }
    }

    private static func text(_ snapshot: ElectionSnapshot, _ options: Options) throws -> String {
        let report = StatusReport(snapshot: snapshot, cluster: options.cluster, namespaces: options.namespaces)
        return switch options.output {
        case .table: report.text
        case .json: try report.json(pretty: !options.watch)
        }
    }

    private static func show(_ store: any LeaseStore, _ options: Options, _ console: Console) async throws {
        let text: String
        do {
            text = try Self.text(try await snapshot(of: store), options)
        } catch let error as CommandFailure where console.isTerminal {
            // A store that is down is what one watches for: it may come back.
            text = "\(TextTable.printable(error.description))\n"
        } catch let error as CommandFailure {
            console.err("leasehold status: \(TextTable.printable(error.description))\n")
            return
        }
        guard console.isTerminal else {
            console.out(options.output == .table ? text + "\n" : text)
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
        do {
            return try await ElectionSnapshot(reading: store)
        } catch let error as StoreError {
            throw CommandFailure("the store cannot be read: \(error.reason)")
        }
    }
}

internal import Election
private import Glibc
private import Platform
internal import Storage
internal import Webhook

/// `leasehold check`: what the webhook would say to a request, and why.
enum CheckCommand: Command {
    enum Output: String, CaseIterable {
        case text
        case json
    }

    struct Options: FlagOptions {
        var cluster = ""
        var leader: String?
        var output = Output.text
        var policy = PolicyOptions()
        var store = StoreOptions()
    }

    private static let malformed: Int32 = 4
    /// As the webhook's own `--max-body-bytes` at most allows.
    private static let bodyBytesMax = 1 << 30

    static let name = "check"
    static let summary = "tells what the webhook would say to an AdmissionReview, and why"
    static let operands = ["FILE"]
    static let description = [
        "Reads an admission.k8s.io/v1 AdmissionReview from FILE, or from standard input when FILE is -, and decides as the "
            + "webhook of --cluster does with the same flags. Who leads comes from --leader or from the store. The store "
            + "tells less than that webhook knows: its own claim is judged here by an estimate, see leasehold status.",
        "A request that --mode lets pass in spite of a denial counts as allowed.",
    ]
    static let examples = [
        "leasehold check review.json --cluster east",
        "leasehold check review.json --cluster east --leader west --output json",
    ]
    static let exitCodes = [
        ExitCode(code: ExitCode.done, meaning: "the request is allowed"),
        ExitCode(code: ExitCode.failed, meaning: "the request is denied, or check itself failed"),
        ExitCode(code: malformed, meaning: "FILE holds no AdmissionReview that can be judged"),
    ]
    static var flags: [FlagGroup<Options>] {
        [
            FlagGroup(
                "Question",
                [
                    Flag(
                        "cluster", \.cluster, .name("CLUSTER"), "The cluster whose webhook is asked.", required: true),
                    Flag(
                        "leader", \.leader, .name("CLUSTER"),
                        "Assumes that this cluster leads the namespace, and asks no store."),
                    Flag(
                        "output", \.output, .choice("FORMAT"),
                        "The reasoning for people, or the webhook's answer as it is."),
                ]),
            FlagGroup("Guard", PolicyOptions.flags(at: \.policy)),
            FlagGroup("Store", StoreOptions.flags(at: \.store)),
        ]
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        let body = try read(operands[0])
        let policy = try options.policy.policy(electing: [])
        let snapshot: ElectionSnapshot? =
            if options.leader == nil {
                try await StatusCommand.snapshot(of: try await options.store.open(console.environment))
            } else {
                nil
            }
        return decide(body, options, policy, snapshot, console)
    }

    static func decide(
        _ body: [UInt8], _ options: Options, _ policy: Policy, _ snapshot: ElectionSnapshot?, _ console: Console
    ) -> Int32 {
        unsafe body.withUnsafeBytes { bytes in
            var scanner = AdmissionScanner()
            do throws(ScanError) {
                try unsafe scanner.scan(bytes)
            } catch {
                console.err("leasehold check: the webhook answers 400 Bad Request: \(error)\n")
                return malformed
            }
            let now = Reading.now()
            let namespace =
                if case .namespace(let name) = policy.clusterScoped, scanner.request.namespace.isEmpty {
                    name
                } else {
                    scanner.request.namespace.string
                }
            let table = table(of: namespace, options, snapshot, at: now)
            let decision = Guard(policy: policy).decide(scanner.request, by: table, at: now)
            switch options.output {
            case .text:
                let explanation = Explanation(
                    decision: decision, policy: policy, table: table,
                    source: options.leader == nil ? "by the store's records" : "assumed by --leader")
                console.out(explanation.text(scanner.request))
            case .json:
                var message: [UInt8] = []
                var answer: [UInt8] = []
                decision.appendAnswer(
                    to: scanner.request, policy: policy, table: table, message: &message, into: &answer)
                console.out(String(decoding: answer, as: UTF8.self) + "\n")
            }
            return decision.isAllowed ? ExitCode.done : ExitCode.failed
        }
    }

    /// A table with the one namespace that matters, as the asked cluster's webhook may have it.
    private static func table(
        of namespace: String, _ options: Options, _ snapshot: ElectionSnapshot?, at now: Reading
    ) -> LeadershipTable {
        let entry: LeadershipTable.Entry
        var holders: [String] = []
        if let leader = options.leader {
            holders = [leader]
            entry =
                leader == options.cluster
                ? LeadershipTable.Entry(state: .own, holder: 0, term: 1, limit: .max)
                : LeadershipTable.Entry(state: .other, holder: 0, term: 1)
        } else {
            (entry, holders) = recorded(namespace, options.cluster, snapshot)
        }
        return LeadershipTable(
            cluster: options.cluster, index: NamespaceIndex([namespace]), anchor: now, entries: [entry],
            holders: holders)
    }

    private static func recorded(
        _ namespace: String, _ cluster: String, _ snapshot: ElectionSnapshot?
    ) -> (LeadershipTable.Entry, [String]) {
        guard let snapshot, let lease = snapshot.leases.first(where: { $0.namespace == namespace }) else {
            return (LeadershipTable.Entry(state: .notElected), [])
        }
        switch lease.record {
        case .failure:
            return (LeadershipTable.Entry(state: .unreadable), [])
        case .success(let record) where record.isFree:
            return (LeadershipTable.Entry(state: .free, term: record.term), [])
        case .success(let record):
            let acquired = Timestamp.parse(record.acquireTime) ?? 0
            let holders = [record.holderIdentity]
            guard record.holderIdentity == cluster else {
                return (
                    LeadershipTable.Entry(state: .other, holder: 0, term: record.term, acquired: acquired), holders
                )
            }
            let margin = Timing().commitMargin.nanoseconds
            guard case .left(let microseconds) = snapshot.window(of: record), microseconds * 1000 > margin else {
                return (
                    LeadershipTable.Entry(state: .lapsed, holder: 0, term: record.term, acquired: acquired), holders
                )
            }
            // The snapshot is a moment old; that moment is far below what the estimate can tell.
            return (
                LeadershipTable.Entry(
                    state: .own, holder: 0, term: record.term, limit: microseconds * 1000 - margin, acquired: acquired),
                holders
            )
        }
    }

    private static func read(_ path: String) throws -> [UInt8] {
        let descriptor = path == "-" ? STDIN_FILENO : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path, "opened") }
        defer { if descriptor != STDIN_FILENO { close(descriptor) } }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while bytes.count <= bodyBytesMax {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw failure(path, "read") }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
        }
        throw CommandFailure("\(path) is longer than \(bodyBytesMax) bytes, more than any API server sends")
    }

    private static func failure(_ path: String, _ done: String) -> CommandFailure {
        CommandFailure("\(path) cannot be \(done): \(unsafe String(cString: strerror(errno)))")
    }
}

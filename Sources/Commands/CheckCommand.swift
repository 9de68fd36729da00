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
        var namespaces: [String] = []
        var policy = PolicyOptions()
        var systemNamespace = KubernetesOptions().systemNamespace
        var store = StoreOptions()
    }

    private static let denied: Int32 = 3
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
        ExitCode(code: denied, meaning: "the request is denied"),
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
                        "namespace", each: \.namespaces, .name("NAMESPACE"),
                        "As in leasehold run: elected although it is excluded by default."),
                    Flag(
                        "output", \.output, .choice("FORMAT"),
                        "The reasoning for people, or the webhook's answer as it is."),
                ]),
            FlagGroup(
                "Guard",
                PolicyOptions.flags(at: \.policy) + [KubernetesOptions.systemNamespaceFlag(at: \.systemNamespace)]),
            FlagGroup("Store", StoreOptions.flags(at: \.store)),
        ]
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        let body = try read(operands[0])
        let policy = try options.policy.policy(
            electing: options.namespaces, systemNamespace: options.systemNamespace)
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
        let now = Reading.now()
        let table =
            if let leader = options.leader {
                assumed(leader, of: namespace(of: body, policy), options.cluster, at: now)
            } else {
                recorded(snapshot, options.cluster, at: now)
            }
        let check = AdmissionCheck(body, policy: policy, table: table, at: now)
        guard check.status == 200 else {
            console.err("leasehold check: the webhook answers \(check.status) Bad Request: \(check.answer)")
            return malformed
        }
        switch options.output {
        case .json: console.out(check.answer)
        case .text:
            let source =
                options.leader.map { "That \($0) leads is assumed, by --leader." }
                ?? "Who leads is told by the store's records, as far as they say."
            console.out((check.steps + [source]).map { TextTable.printable($0) + "\n" }.joined())
        }
        return check.isAllowed ? ExitCode.done : denied
    }

    /// The namespace whose lease decides on a request; nil when it cannot be read, or none does.
    private static func namespace(of body: [UInt8], _ policy: Policy) -> String? {
        unsafe body.withUnsafeBytes { bytes in
            var scanner = AdmissionScanner()
            do throws(ScanError) {
                try unsafe scanner.scan(bytes)
            } catch {
                return nil
            }
            if !scanner.request.namespace.isEmpty { return scanner.request.namespace.string }
            if case .namespace(let name) = policy.clusterScoped { return name }
            return nil
        }
    }

    /// What the asked cluster's webhook would know if `leader` led.
    private static func assumed(
        _ leader: String, of namespace: String?, _ cluster: String, at now: Reading
    ) -> LeadershipTable {
        guard let namespace else { return LeadershipTable(cluster: cluster, anchor: now) }
        let isOwn = leader == cluster
        return LeadershipTable(
            cluster: cluster, index: NamespaceIndex([namespace]), anchor: now,
            entries: [LeadershipTable.Entry(state: isOwn ? .own : .other, holder: 0, term: 1, limit: isOwn ? .max : 0)],
            holders: [leader])
    }

    /// What the asked cluster's webhook knows, as far as can be told from outside.
    static func recorded(_ snapshot: ElectionSnapshot?, _ cluster: String, at now: Reading) -> LeadershipTable {
        let leases = snapshot?.leases ?? []
        var holders: [String] = []
        func entry(_ lease: ElectionSnapshot.Lease) -> LeadershipTable.Entry {
            switch lease.record {
            case .failure:
                return LeadershipTable.Entry(state: .unreadable)
            case .success(let record) where record.isFree:
                return LeadershipTable.Entry(state: .free, term: record.term)
            case .success(let record):
                let limit = record.holderIdentity == cluster ? snapshot.flatMap { ownLimit($0, record) } : nil
                let holder = Int32(holders.firstIndex(of: record.holderIdentity) ?? holders.count)
                if holder == holders.count { holders.append(record.holderIdentity) }
                return LeadershipTable.Entry(
                    state: record.holderIdentity != cluster ? .other : limit == nil ? .lapsed : .own, holder: holder,
                    term: record.term, limit: limit ?? 0, acquired: Timestamp.parse(record.acquireTime) ?? 0)
            }
        }
        let entries = ContiguousArray(leases.map(entry))
        return LeadershipTable(
            cluster: cluster, index: NamespaceIndex(leases.map(\.namespace)), anchor: now, entries: entries,
            holders: holders)
    }

    /// For how many nanoseconds after the snapshot the asked cluster may act on its lease; nil: not at all.
    private static func ownLimit(_ snapshot: ElectionSnapshot, _ record: LeaseRecord) -> Int64? {
        guard case .left(let microseconds) = snapshot.window(of: record) else { return nil }
        let limit = microseconds * 1000 - Timing().commitMargin.nanoseconds
        return limit > 0 ? limit : nil
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

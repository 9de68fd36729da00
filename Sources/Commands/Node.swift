internal import Controller
private import Dispatch
internal import Election
private import Glibc
internal import Platform
internal import Storage
internal import TLS
internal import Webhook

/// The parts of `leasehold run` and how they meet: store, election, board, webhook and the ports beside it.
struct Node {
    private enum Happening: Sendable {
        case signal(Signals.Signal)
        case second
        case electionEnded((any Error)?)
    }

    private let options: RunOptions
    private let console: Console
    private let log: Log
    private let timing: Timing
    private let policy: Policy
    private let address: StoreAddress
    private let stateDirectoryPath: String

    private let board: LeadershipBoard
    private let status: ElectionStatus
    private let admissions = AdmissionCounters()
    /// What was warned of while the store is opened, which may take many tries; nil: it is open.
    private let openingWarnings = Locked<Set<String>?>([])

    /// - Throws: ``UsageError`` when the flags do not go together.
    init(_ options: RunOptions, console: Console) throws {
        try options.check(console.environment)
        self.options = options
        self.console = console
        timing = try options.electionTiming()
        var policy = try options.policy.policy(electing: options.namespaces)
        if options.namespaces.isEmpty {
            // The guard must never keep the cluster from mending Leasehold itself.
            policy.excludedNamespaces.append(try Pattern(options.kubernetes.systemNamespace))
        }
        self.policy = policy
        address = try options.store.resolvedAddress(console.environment)
        stateDirectoryPath = try options.store.stateDirectory(console.environment)
        log = Log(format: options.logFormat, level: options.logLevel, write: console.err)
        // Nothing is led and nothing is known: every guarded write is denied until the election says otherwise.
        board = LeadershipBoard(LeadershipTable(cluster: options.cluster))
        status = ElectionStatus(board: board, timing: timing)
    }

    /// Serves and competes until a signal ends it.
    ///
    /// - Throws: what kept it from starting or from going on, as a sentence for people.
    func run(signals: AsyncStream<Signals.Signal>?) async throws {
        let (happenings, inbox) = AsyncStream.makeStream(of: Happening.self)
        // First of all, so that a second signal also ends a start that hangs.
        watch(signals, inbox)
        raiseDescriptorLimit()
        let credentials = try await options.kubernetes.credentials(
            namespaces: options.namespaces, environment: console.environment)
        let kubernetes = credentials.map { KubernetesPart($0, timing: timing, log: log) }
        let health = try sideServer(
            "health", options.healthAddress, "--health-probe-bind-address",
            [.healthz, .readyz { [status] in status.checks() + (kubernetes?.status.checks() ?? []) }])
        defer { health?.stop(within: .zero) }

        let state = try StateDirectory(stateDirectoryPath, cluster: options.cluster)
        let (certificate, authority) = try servingCertificate(state)
        let webhook = try server(
            "webhook", options.bindAddress, "--bind-address", [admissionRoute], options.limits,
            loops: options.threads ?? Server.coreCount, context: { certificate.context })
        defer { webhook.stop(within: .zero) }
        let metrics = try sideServer(
            "metrics", options.metricsAddress, "--metrics-bind-address",
            [
                .metrics { [status, admissions] in
                    status.families() + (kubernetes?.status.families() ?? []) + admissions.families()
                        + certificate.families()
                        + webhook.counters.families(server: "webhook") + [Self.buildInfo]
                }
            ])
        defer { metrics?.stop(within: .zero) }

        let uid = kubernetes == nil ? try state.uid() : nil
        let contender = try await contender(kubernetes, uid: uid)
        announce(
            uid, webhook: webhook.address, health: health?.address, metrics: metrics?.address, authority,
            server: kubernetes?.server)
        // Given certificates are of somebody else's authority, which is told by somebody else.
        let keeper = authority.flatMap { kubernetes?.keepAuthority($0, in: options.kubernetes.webhookConfiguration) }
        defer { keeper?.cancel() }
        let end = try await compete(contender, certificate, happenings, inbox)

        // What began before the signal is still answered, with denials from now on.
        log.info("Stops serving")
        let limit = max(Duration.zero, ContinuousClock.now.duration(to: end))
        await withCheckedContinuation { continuation in
            // Waits for the loops, which must not hold up a thread of Swift's tasks: a second signal needs one.
            DispatchQueue.global().async {
                webhook.stop(within: limit)
                continuation.resume()
            }
        }
    }

    /// Passes the signals on, for ever; ends the process by the second that asks for it.
    private func watch(_ signals: AsyncStream<Signals.Signal>?, _ inbox: AsyncStream<Happening>.Continuation) {
        guard let signals else { return }
        Task { [log] in
            var isLeaving = false
            for await signal in signals {
                switch signal {
                case .hangup: break
                case .interrupt, .terminate:
                    if isLeaving {
                        log.warning(
                            "Ends at once, by a second signal; the leases of this cluster run out by themselves")
                        _exit(ExitCode.failed)
                    }
                    isLeaving = true
                }
                inbox.yield(.signal(signal))
            }
        }
    }

    /// Takes part in the election until a signal ends that or it ends by itself, and keeps the certificate fresh.
    ///
    /// - Returns: when the time for the shutdown is up.
    private func compete(
        _ contender: any Contender, _ certificate: ServingCertificate, _ happenings: AsyncStream<Happening>,
        _ inbox: AsyncStream<Happening>.Continuation
    ) async throws -> ContinuousClock.Instant {
        let election = Task {
            do {
                try await contender.run()
                inbox.yield(.electionEnded(nil))
            } catch {
                inbox.yield(.electionEnded(error))
            }
        }
        let clock = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: .seconds(1), clock: .continuous)
                inbox.yield(.second)
            }
        }
        var end: ContinuousClock.Instant?
        defer {
            election.cancel()
            clock.cancel()
        }
        for await happening in happenings {
            switch happening {
            case .second:
                certificate.refresh(log)
            case .signal(.hangup):
                log.info("Looks at the certificate files, by SIGHUP")
                certificate.refresh(log)
            case .signal(.interrupt), .signal(.terminate):
                log.info(
                    options.releasesOnShutdown
                        ? "Ends by a signal: frees all leases first"
                        : "Ends by a signal: keeps the leases in this cluster")
                end = .now + options.shutdownTimeout
                contender.leave(options.releasesOnShutdown ? .release : .handover)
            case .electionEnded(let error?):
                throw error
            case .electionEnded(nil):
                return end ?? .now
            }
        }
        throw CancellationError()
    }

    // MARK: - Parts

    /// - Parameter uid: of this cluster, without Kubernetes.
    private func contender(_ kubernetes: KubernetesPart?, uid: String?) async throws -> any Contender {
        let releaseLimit = max(
            options.shutdownTimeout / 2, options.shutdownTimeout - Candidate.handoverLimit(timing))
        guard let uid else {
            guard let kubernetes else { preconditionFailure("without Kubernetes there is a uid of this machine") }
            // Whatever is wrong with the store may be mended from outside, so this waits for it, unready.
            return kubernetes.controller(
                options, policy: policy, timing: timing, board: board, status: status, releaseLimit: releaseLimit,
                openStore: openStore)
        }
        let candidate = Candidate(
            cluster: options.cluster, uid: uid, timing: timing, store: try await openStore(), board: board,
            status: status, log: log, releaseLimit: releaseLimit)
        candidate.setWishes(options.namespaces.map { Wish($0, .lead(seconds: options.leaseSeconds)) })
        return candidate
    }

    private var admissionRoute: Route {
        Route(.post, "/validate") { [policy, board, admissions] in
            let responder = AdmissionResponder(policy: policy, board: board, counters: admissions)
            return { body, _, answer in
                let status = unsafe body.withUnsafeBytes { unsafe responder.respond(to: $0, into: &answer) }
                return status == 200
                    ? Route.Answer(.ok, "application/json") : Route.Answer(.badRequest, "text/plain; charset=utf-8")
            }
        }
    }

    private func sideServer(
        _ name: String, _ address: RunOptions.SideAddress, _ flag: String, _ routes: [Route]
    ) throws -> Server? {
        guard case .at(let address) = address else { return nil }
        var limits = Limits()
        // Probes and scrapes come a few at a time.
        limits.connectionsMax = 256
        return try server(name, address, flag, routes, limits, loops: 1, context: nil)
    }

    private func server(
        _ name: String, _ address: SocketAddress, _ flag: String, _ routes: [Route], _ limits: Limits, loops: Int,
        context: (@Sendable () -> ServerContext)?
    ) throws -> Server {
        do {
            return try Server(
                name, at: address, routes: routes, limits: limits, loops: loops, log: log, context: context)
        } catch {
            throw CommandFailure("\(flag) \(address): \(error)")
        }
    }

    /// - Returns: also the file of the authority's certificate, when that was made here.
    private func servingCertificate(_ state: StateDirectory) throws -> (ServingCertificate, authority: String?) {
        if let chain = options.tlsCertificate, let key = options.tlsKey {
            return (ServingCertificate(files: try certificateFiles(chain, key), selfMade: nil), nil)
        }
        var names: [SubjectName] = [.dns("localhost"), .ip("127.0.0.1"), .ip("::1")]
        let bound = Self.isAny(options.bindAddress) ? nil : ValueType.subjectName.parse(options.bindAddress.host)
        for name in [bound].compactMap(\.self) + options.tlsNames where !names.contains(name) { names.append(name) }
        let selfMade = SelfMadeCertificates(directory: state.certificates, names: names)
        if try selfMade.ensure() { log.info("Made a serving certificate", ["file": selfMade.chain]) }
        let files = try certificateFiles(selfMade.chain, selfMade.key)
        return (ServingCertificate(files: files, selfMade: selfMade), selfMade.authority)
    }

    private func certificateFiles(_ chain: String, _ key: String) throws -> CertificateFiles {
        do {
            return try CertificateFiles(chain: chain, key: key, clientAuthorities: options.clientCA)
        } catch {
            throw CommandFailure("the files of --tls-certificate, --tls-key or --client-ca cannot be used: \(error)")
        }
    }

    @Sendable private func openStore() async throws -> any LeaseStore {
        do {
            // A little sooner than the election gives a call up, so that it hears what the store was waiting for.
            let store = try await address.open(
                timeout: timing.requestTimeout * 9 / 10,
                access: options.store.access(console.environment, warn: warn))
            try await store.probe()
            openingWarnings.withLock { $0 = nil }
            return store
        } catch let error as StoreError {
            throw CommandFailure("the store \(address) cannot be opened: \(error.reason)")
        } catch let error as StoreProbeFailure {
            throw CommandFailure("the store \(address) cannot be used: \(error)")
        }
    }

    @Sendable private func warn(_ sentence: String) {
        let isNew = openingWarnings.withLock { $0?.insert(sentence).inserted ?? true }
        if isNew { log.warning(sentence) }
    }

    /// Each connection needs a descriptor, and the limit that shells give is often too low (setrlimit(2)).
    private func raiseDescriptorLimit() {
        let needed = rlim_t(options.limits.connectionsMax + Self.otherDescriptors)
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < needed else {
            return
        }
        limit.rlim_cur = min(needed, limit.rlim_max)
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        if limit.rlim_cur < needed {
            log.warning(
                "The limit of open files, \(limit.rlim_cur), is too low for --max-connections "
                    + "\(options.limits.connectionsMax); raise it (ulimit -Hn)")
        }
    }

    /// Beside the webhook's connections: those of the other ports, the store's files, loops, standard streams.
    private static let otherDescriptors = 1024

    private static let buildInfo = MetricFamily(
        "leasehold_build_info", .gauge, help: "Always 1; the version is a label.",
        [.init(1, labels: [("version", Program.version)])])

    // MARK: - For the one who started it

    private func announce(
        _ uid: String?, webhook: SocketAddress, health: SocketAddress?, metrics: SocketAddress?, _ authority: String?,
        server: String?
    ) {
        let url = "https://\(Self.reachable(webhook))/validate"
        let healthURL = health.map { "http://\(Self.reachable($0))/readyz" }
        let metricsURL = metrics.map { "http://\(Self.reachable($0))/metrics" }
        guard options.logFormat == .text else {
            log.info(
                "Started",
                [
                    "version": Program.version, "cluster": options.cluster, "uid": uid ?? "", "server": server ?? "",
                    "store": "\(address)", "admissions": url, "health": healthURL ?? "", "metrics": metricsURL ?? "",
                    "ca": authority ?? "",
                ])
            return
        }
        var text = "leasehold \(Program.version)\n"
        let lines: [(String, String?)] = [
            ("cluster", options.cluster + (uid.map { ", uid \($0)" } ?? "")), ("API server", server),
            ("namespaces", options.namespaces.isEmpty ? nil : options.namespaces.joined(separator: " ")),
            ("store", "\(address)"), ("admissions", url), ("health", healthURL), ("metrics", metricsURL),
            ("CA", authority),
        ]
        for case (let label, let value?) in lines {
            text += "  \(label)\(String(repeating: " ", count: 12 - label.count))\(value)\n"
        }
        if let authority, options.clientCA == nil, let namespace = options.namespaces.first {
            let review =
                #"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"UPDATE","#
                + #""namespace":"\#(namespace)","userInfo":{"username":"#
                + #""system:serviceaccount:\#(namespace):operator"}}}"#
            text += "Try it:\n  curl --cacert '\(authority)' \(url) -d '\(review)'\n"
        }
        console.err(text)
    }

    /// How a client on this machine reaches an address, by a name that the self-made certificate has.
    private static func reachable(_ address: SocketAddress) -> String {
        isAny(address) ? "localhost:\(address.port)" : address.description
    }

    private static func isAny(_ address: SocketAddress) -> Bool { ["", "0.0.0.0", "::"].contains(address.host) }
}

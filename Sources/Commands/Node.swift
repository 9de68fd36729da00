internal import Controller
private import Dispatch
internal import Election
private import Glibc
internal import Platform
internal import TLS
internal import Webhook

/// What a webhook has beside the rest when its table comes from controllers in other processes.
struct GrantedPart {
    let keeper: GrantKeeper
    let credentials: GrantCredentials
}

/// One process of a cluster: the parts that it has, the pages beside them, its signals, and how it begins and ends.
struct Node {
    private enum Happening: Sendable {
        case signal(Signals.Signal)
        case second
        case electionEnded((any Error)?)
    }

    let cluster: String
    let options: ProcessOptions
    let console: Console
    let log: Log
    /// Its parts, as far as it has them.
    var controller: ControllerPart?
    var webhook: WebhookPart?
    /// Where a webhook's table comes from, when it is not this process's own.
    var grants: GrantedPart?
    /// The authority in a Secret that is to be kept, with its certificates.
    var authority: AuthorityKeeper.Options?
    /// What gives a controller's table to webhooks.
    var granting: GrantServing?
    /// Whose caBundle is to be kept.
    var webhookConfiguration: String?
    /// Until when it serves on, once it was told to end.
    let servesUntil = Locked<ContinuousClock.Instant?>(nil)

    /// The log that a process writes as its flags say.
    static func log(_ options: ProcessOptions, _ console: Console) -> Log {
        Log(format: options.logFormat, level: options.logLevel, write: console.err)
    }

    /// Serves and competes until a signal ends it.
    ///
    /// - Throws: what kept it from starting or from going on, as a sentence for people.
    func run() async throws {
        let (happenings, inbox) = AsyncStream.makeStream(of: Happening.self)
        // First of all, so that a second signal also ends a start that hangs.
        watch(console.signals, inbox)
        for line in Program.unknownVariables(in: console.environment) { log.warning(line) }
        let ports = Ports(log: log)
        ports.raiseDescriptorLimit(connectionsMax: webhook?.options.limits.connectionsMax ?? 0)
        let kubernetes = try await controller?.kubernetes()
        let authority = authority.flatMap { kubernetes?.authorityKeeper($0) }
        let health = try ports.openPages(
            "health", options.healthAddress, "--health-probe-bind-address",
            [
                .healthz,
                .readyz {
                    (controller?.status.checks() ?? []) + (kubernetes?.status.checks() ?? [])
                        + (authority?.status.checks() ?? []) + (grants?.keeper.status.checks() ?? [])
                        + endingChecks()
                },
            ])
        defer { health?.stop(within: .zero) }
        let admissions = try webhook?.serve(ports)
        defer { admissions?.stop(within: .zero) }
        let granting = try self.granting?.serve(ports)
        defer { granting?.stop(within: .zero) }
        let metrics = try ports.openPages(
            "metrics", options.metricsAddress, "--metrics-bind-address",
            [.metrics { MetricFamily.merged(families(kubernetes, authority, admissions, granting)) }])
        defer { metrics?.stop(within: .zero) }
        let keeping = grants.map { grants in Task { await grants.keeper.run() } }
        defer { keeping?.cancel() }
        let keepingAuthority = authority.map { authority in Task { await authority.run() } }
        defer { keepingAuthority?.cancel() }

        let uid =
            try kubernetes == nil
            ? controller?.state().uid() : nil
        let contender = try await controller?.contender(kubernetes, uid: uid)
        announce(
            uid: uid, server: kubernetes?.server, admissions: admissions?.address, granting: granting?.address,
            health: health?.address, metrics: metrics?.address)
        // Given certificates are of somebody else's authority, which is told by somebody else.
        let keeper: Task<Void, Never>? =
            if let authority = webhook?.authority, let webhookConfiguration {
                kubernetes?.keepAuthority(authority, in: webhookConfiguration)
            } else {
                nil
            }
        defer { keeper?.cancel() }
        let end = try await compete(contender, admissions, happenings, inbox)
        await serveOn()

        // What began before the signal is still answered; where this process competed, with denials from now on.
        log.info("Stops serving")
        let limit = max(Duration.zero, ContinuousClock.now.duration(to: end))
        await withCheckedContinuation { continuation in
            // Waits for the loops, which must not hold up a thread of Swift's tasks: a second signal needs one.
            DispatchQueue.global().async {
                admissions?.stop(within: limit)
                granting?.stop(within: limit)
                continuation.resume()
            }
        }
    }

    @Sendable private func families(
        _ kubernetes: KubernetesPart?, _ authority: AuthorityKeeper?, _ admissions: Server?, _ granting: Server?
    ) -> [MetricFamily] {
        var families = (controller?.status.families() ?? []) + (kubernetes?.status.families() ?? [])
        families += (authority?.status.families() ?? []) + (grants?.credentials.families() ?? [])
        families +=
            (grants?.keeper.status.families() ?? []) + (webhook?.families() ?? []) + (self.granting?.families() ?? [])
        // No process has both.
        families += admissions?.counters.families(server: "webhook") ?? []
        families += granting?.counters.families(server: "grants") ?? []
        return families + ProcessMetrics.families() + [Self.buildInfo]
    }

    /// Passes the signals on, for ever; ends the process by the second that asks for it.
    private func watch(_ signals: AsyncStream<Signals.Signal>?, _ inbox: AsyncStream<Happening>.Continuation) {
        guard let signals else { return }
        Task { [log, competes = controller != nil] in
            var isLeaving = false
            for await signal in signals {
                switch signal {
                case .hangup: break
                case .interrupt, .terminate:
                    if isLeaving {
                        log.warning(
                            "Ends at once, by a second signal"
                                + (competes ? "; the leases of this cluster run out by themselves" : ""))
                        _exit(ExitCode.failed)
                    }
                    isLeaving = true
                }
                inbox.yield(.signal(signal))
            }
        }
    }

    /// Takes part in the election, if this process does, until a signal ends that or it ends by itself; keeps the
    /// certificates fresh meanwhile.
    ///
    /// - Returns: when the time for the shutdown is up.
    private func compete(
        _ contender: (any Contender)?, _ admissions: Server?, _ happenings: AsyncStream<Happening>,
        _ inbox: AsyncStream<Happening>.Continuation
    ) async throws -> ContinuousClock.Instant {
        let election = contender.map { contender in
            Task {
                do {
                    try await contender.run()
                    inbox.yield(.electionEnded(nil))
                } catch {
                    inbox.yield(.electionEnded(error))
                }
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
            election?.cancel()
            clock.cancel()
        }
        for await happening in happenings {
            switch happening {
            case .second:
                refreshCertificates()
            case .signal(.hangup):
                log.info("Looks at the certificate files, by SIGHUP")
                refreshCertificates()
            case .signal(let signal):
                beginToEnd(by: signal, admissions)
                guard let contender, let election = controller?.options else {
                    return .now + shutdownDelay + Self.drainTimeout
                }
                log.info(
                    election.releasesOnShutdown
                        ? "Ends by a signal: frees all leases first"
                        : "Ends by a signal: keeps the leases in this cluster")
                end = .now + election.shutdownTimeout
                contender.leave(election.releasesOnShutdown ? .release : .handover)
            case .electionEnded(let error?):
                throw error
            case .electionEnded(nil):
                return end ?? .now
            }
        }
        throw CancellationError()
    }

    private func refreshCertificates() {
        webhook?.certificate.refresh(log)
        granting?.certificate.refresh(log)
        grants?.credentials.refresh(log)
    }

    /// How long a webhook without a part in the election waits for what it is answering: an API server's longest time-out
    /// for a webhook is 30 s, and its default 10 s.
    private static let drainTimeout = Duration.seconds(10)

    private static let buildInfo = MetricFamily(
        "leasehold_build_info", .gauge, help: "Always 1; the versions of this program and of OpenSSL are labels.",
        [.init(1, labels: [("version", Program.version), ("openssl", openSSLVersion())])])
}

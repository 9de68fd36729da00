private import Glibc
internal import Platform
internal import Support

/// Breaks things, and mends them again. Any thread may call it.
final class Inflictor: Sendable {
    /// What was done, for the report.
    struct Mark: Hashable, Sendable {
        let fault: Fault
        /// nil: all of them.
        let cluster: String?
        let start: ContinuousClock.Instant
        let end: ContinuousClock.Instant
        /// What became of it, where that is of interest.
        let outcome: String
    }

    private let clusters: [ChaosCluster]
    private let emulator: GCSEmulator
    private let ledger: Ledger
    private let apiServer: ChaosAPIServer?
    private let directory: TemporaryDirectory
    private let say: @Sendable (String) -> Void
    private let outages = Locked(0)

    init(
        _ clusters: [ChaosCluster], _ emulator: GCSEmulator, _ ledger: Ledger, _ apiServer: ChaosAPIServer? = nil,
        in directory: TemporaryDirectory, say: @escaping @Sendable (String) -> Void
    ) {
        self.clusters = clusters
        self.emulator = emulator
        self.ledger = ledger
        self.apiServer = apiServer
        self.directory = directory
        self.say = say
    }

    /// Waits for the fault's begin, breaks what it says, and mends it after its length.
    func inflict(_ fault: Fault) async throws -> Mark {
        try await Task.sleep(for: fault.delay, clock: .continuous)
        let victim = victim(of: fault)
        let start = ContinuousClock.now
        say("\(fault)\(fault.isOfStore ? "" : ": \(victim.name)")")
        let outcome = try await inflict(fault, on: victim)
        return Mark(
            fault: fault, cluster: fault.isOfStore ? nil : victim.name, start: start, end: .now, outcome: outcome)
    }

    private func victim(of fault: Fault) -> ChaosCluster {
        switch fault.victim {
        case .cluster(let index): return clusters[index]
        case .leader(let namespace):
            let holder = ledger.holder(of: ChaosSettings.namespaces[namespace])
            // Nobody leads it: one as good as any.
            return clusters.first { $0.name == holder } ?? clusters[namespace % clusters.count]
        }
    }

    /// - Returns: ``Mark/outcome``.
    private func inflict(_ fault: Fault, on victim: ChaosCluster) async throws -> String {
        switch fault.kind {
        case .freeze(let part):
            let processes = processes(part, of: victim)
            for process in processes { process.freeze() }
            await wait(fault.length)
            for process in processes { process.thaw() }
        case .kill(let part):
            try await restart(processes(part, of: victim), by: SIGKILL, after: fault.length)
        case .leave(let part):
            return try await restart(processes(part, of: victim), by: SIGTERM, after: fault.length)
        case .partition(let link, let ways):
            var impairment = ChaosCluster.Impairment(link: link)
            if ways != .answers { impairment.requests = .blocked }
            if ways != .requests { impairment.answers = .blocked }
            await impair(victim, impairment, for: fault.length)
        case .slow(let link):
            var passage = FaultProxy.Passage()
            passage.delay = .milliseconds(400)
            passage.bytesPerSecond = 20_000
            await impair(
                victim, ChaosCluster.Impairment(link: link, requests: passage, answers: passage), for: fault.length)
        case .lossy(let link):
            var passage = FaultProxy.Passage()
            passage.lossPercent = 25
            passage.resetPercent = 3
            await impair(
                victim, ChaosCluster.Impairment(link: link, requests: passage, answers: passage), for: fault.length)
        case .reset(let link):
            victim.resetConnections(link)
        case .outage(let outage, let all):
            await fail(outage, for: fault.length, of: all ? nil : victim.name)
        case .jump(let part, let seconds):
            for process in processes(part, of: victim) { try process.jump(seconds: seconds) }
        case .transfer(let namespace):
            return try await transfer(ChaosSettings.namespaces[namespace], to: victim.name)
        case .apiServer(let isKilled):
            try await apiServer?.fail(isKilled: isKilled, for: fault.length)
        }
        return ""
    }

    private func processes(_ part: Fault.Part, of victim: ChaosCluster) -> [ChaosProcess] {
        victim.processes(part, active: ledger.activeController(of: victim.name))
    }

    /// Also when the run is given up: what was broken is mended soon enough by its end.
    private func wait(_ length: Duration) async {
        try? await Task.sleep(for: length, clock: .continuous)
    }

    // MARK: - Each kind

    @discardableResult
    private func restart(_ processes: [ChaosProcess], by signal: Int32, after length: Duration) async throws -> String {
        let ends = await withTaskGroup(of: (ChaosProcess, Int32?).self) { group in
            for process in processes { group.addTask { (process, await process.end(by: signal)) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        await wait(length)
        for (process, code) in ends where code != nil { try process.startAgain() }
        // Whoever is asked to leave while the store is down cannot say so, and may tell.
        return ends.compactMap { process, code in
            code.flatMap { $0 == 0 || signal == SIGKILL ? nil : "\(process.name) ended with \($0)" }
        }.sorted().joined(separator: ", ")
    }

    private func impair(_ victim: ChaosCluster, _ impairment: ChaosCluster.Impairment, for length: Duration) async {
        let id = victim.impair(impairment)
        await wait(length)
        victim.mend(id)
    }

    private func fail(_ outage: Fault.Outage, for length: Duration, of client: String?) async {
        if outage == .down, client == nil {
            outages.withLock { count in
                count += 1
                emulator.isDown = true
            }
            await wait(length)
            outages.withLock { count in
                count -= 1
                if count == 0 { emulator.isDown = false }
            }
            return
        }
        let gate = Gate()
        let effect: GCSEmulator.Effect =
            switch outage {
            case .down: .close
            case .unavailable: .answer(503)
            case .unavailableButDone: .answer(503, acting: true)
            case .tooMany: .answer(429)
            case .hangs: .hold(gate)
            case .answersLost: .loseAnswer
            }
        let id = emulator.inject(effect, count: nil) { request in
            // Each controller has a name of its own, which begins with the cluster's.
            client.map { request.client.hasPrefix("\($0)-") } ?? true
        }
        await wait(length)
        emulator.removeFault(id)
        // What hung takes effect now, long after its client gave up.
        gate.open()
    }

    /// A handover as an administrator asks for it; the wish is taken back after, whatever became of it.
    private func transfer(_ namespace: String, to cluster: String) async throws -> String {
        var codes: [Int32] = []
        for what in [["--to", cluster, "--timeout", "20s"], ["--clear"]] {
            let process = try ChildProcess(
                leasehold: ["transfer", namespace, "--store", "gs://\(ChaosSettings.bucket)"] + what,
                environment: ["STORAGE_EMULATOR_HOST": emulator.url(for: "administrator")], in: directory)
            codes.append(await process.exitCode())
        }
        return codes[0] == 0 ? "done" : "not done (exit code \(codes[0]))"
    }
}

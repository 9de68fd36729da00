internal import Platform
internal import Support

/// One cluster: its processes, and the ways from its controllers to the store.
final class ChaosCluster: Sendable {
    let name: String
    let processes: [ChaosProcess]
    let doors: [Door]
    private let proxies: [FaultProxy]
    private let impairments = Locked<(last: Int, now: [Int: Impairment])>((0, [:]))

    /// What is wrong with the way to the store.
    struct Impairment: Sendable {
        var requests = FaultProxy.Passage()
        var answers = FaultProxy.Passage()
    }

    /// What all clusters share.
    struct Site {
        let emulator: GCSEmulator
        let ledger: Ledger
        let certificates: ChaosCertificates
        let directory: TemporaryDirectory
        /// nil: in `directory`.
        let logs: String?
        let seed: UInt64
    }

    init(_ name: String, at site: Site) throws {
        self.name = name
        let proxy = try FaultProxy(to: site.emulator.port, seed: site.seed)
        let port = try FreePort.any()
        let process = try ChaosProcess(
            name, of: name, .run,
            [
                "--cluster", name, "--store", "gs://\(ChaosSettings.bucket)", "--state-directory",
                site.directory.file(name), "--bind-address", "127.0.0.1:\(port)", "--health-probe-bind-address", "0",
                "--metrics-bind-address", "0", "--tls-certificate", site.certificates.chain, "--tls-key",
                site.certificates.key,
            ] + ChaosSettings.namespaces.flatMap { ["--namespace", $0] } + ChaosSettings.timing,
            environment: ["STORAGE_EMULATOR_HOST": "http://127.0.0.1:\(proxy.port)/client/\(name)"], logs: site.logs,
            in: site.directory)
        proxies = [proxy]
        processes = [process]
        doors = [
            try Door(name, of: name, port: port, authority: site.certificates.authority, ledger: site.ledger)
        ]
    }

    func processes(_ part: Fault.Part) -> [ChaosProcess] {
        let controllers = processes.filter { $0.role == .controller }
        let webhooks = processes.filter { $0.role == .webhook }
        // Where controller and webhook are one process, it is every part.
        if controllers.isEmpty { return processes }
        return switch part {
        case .everything: processes
        case .controller: Array(controllers.prefix(1))
        case .controllers: controllers
        case .webhook: Array(webhooks.prefix(1))
        }
    }

    // MARK: - The way to the store

    /// - Returns: a number for ``mend(_:)``.
    func impair(_ impairment: Impairment) -> Int {
        let (id, all) = impairments.withLock { state in
            state.last += 1
            state.now[state.last] = impairment
            return (state.last, Array(state.now.values))
        }
        apply(all)
        return id
    }

    func mend(_ id: Int) {
        apply(
            impairments.withLock { state in
                state.now[id] = nil
                return Array(state.now.values)
            })
    }

    func resetConnections() {
        for proxy in proxies { proxy.resetConnections() }
    }

    /// The worst of all.
    private func apply(_ all: [Impairment]) {
        for proxy in proxies {
            proxy.requests = all.reduce(FaultProxy.Passage()) { $0.worse(of: $1.requests) }
            proxy.answers = all.reduce(FaultProxy.Passage()) { $0.worse(of: $1.answers) }
        }
    }
}

extension FaultProxy.Passage {
    fileprivate func worse(of other: Self) -> Self {
        var worse = self
        worse.isBlocked = isBlocked || other.isBlocked
        worse.delay = max(delay, other.delay)
        worse.bytesPerSecond = [bytesPerSecond, other.bytesPerSecond].compactMap { $0 }.min()
        worse.lossPercent = max(lossPercent, other.lossPercent)
        worse.resetPercent = max(resetPercent, other.resetPercent)
        return worse
    }
}

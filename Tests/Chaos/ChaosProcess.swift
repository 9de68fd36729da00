private import Glibc
internal import Platform
internal import Support

/// One of a cluster's processes, over all its starts. Any thread may call it.
final class ChaosProcess: Sendable {
    enum Role: String, Hashable, Sendable {
        case controller
        case webhook
        /// Both in one.
        case run
    }

    private struct State {
        /// nil: down, on purpose.
        var process: ChildProcess?
        var starts = 0
        /// Faults that want it stopped now.
        var freezes = 0
        /// Whether a fault has it down, or is about to.
        var isTaken = false
    }

    let name: String
    let cluster: String
    let role: Role
    /// Where it tells its metrics; nil: nowhere.
    let metricsPort: UInt16?
    private let arguments: [String]
    private let environment: [String: String]
    private let clock: WallClock
    private let logs: String?
    private let directory: TemporaryDirectory
    private let state = Locked(State())

    /// - Parameters:
    ///   - logs: a folder for its logs, one a start; nil: `directory`.
    init(
        _ name: String, of cluster: String, _ role: Role, _ arguments: [String], environment: [String: String],
        logs: String?, tellsMetrics: Bool = false, in directory: TemporaryDirectory
    ) throws {
        self.name = name
        self.cluster = cluster
        self.role = role
        metricsPort = tellsMetrics ? try FreePort.any() : nil
        self.arguments =
            [role.rawValue] + arguments
            + ["--metrics-bind-address", metricsPort.map { "127.0.0.1:\($0)" } ?? "0"]
        self.logs = logs
        self.directory = directory
        clock = try WallClock(file: directory.file("\(name).clock"))
        self.environment = environment.merging(clock.environment) { $1 }
    }

    /// Starts it. Every second start of a controller leaves with `--release-on-shutdown`.
    func start() throws {
        let starts = state.withLock { state in
            state.starts += 1
            return state.starts
        }
        let releases = role == .controller && starts % 2 == 0 ? ["--release-on-shutdown"] : []
        let process = try ChildProcess(
            leasehold: arguments + releases, environment: environment, log: logs.map { "\($0)/\(name).\(starts).log" },
            in: directory)
        state.withLock { state in
            state.process = process
            if state.freezes > 0 { process.send(SIGSTOP) }
        }
    }

    /// The process as it runs now, and the number of its start; nil: it is down, on purpose.
    var running: (process: ChildProcess, start: Int)? {
        state.withLock { state in state.process.map { ($0, state.starts) } }
    }

    /// SIGHUP, by which it reads its certificates again.
    ///
    /// Not while it starts: SIGHUP ends a process that does not hold it yet. When its metrics are served, it does.
    func hangUp() {
        guard let metricsPort, let process = running?.process, FreePort.isServed(metricsPort) else { return }
        process.send(SIGHUP)
    }

    /// The end of its log, for people.
    var log: String {
        let process = state.withLock { $0.process }
        return String(process?.err.suffix(4000) ?? "")
    }

    // MARK: - Faults

    func freeze() {
        state.withLock { state in
            state.freezes += 1
            if state.freezes == 1 { state.process?.send(SIGSTOP) }
        }
    }

    func thaw() {
        state.withLock { state in
            state.freezes -= 1
            if state.freezes == 0 { state.process?.send(SIGCONT) }
        }
    }

    /// Ends it, for ``start()`` to follow.
    ///
    /// - Returns: how; nil: another fault had it down already, and will start it again.
    func end(by signal: Int32) async -> Int32? {
        let process = state.withLock { state -> ChildProcess? in
            guard !state.isTaken else { return nil }
            state.isTaken = true
            return state.process
        }
        guard let process else { return nil }
        process.send(signal)
        let code = await process.exitCode()
        state.withLock { $0.process = nil }
        return code
    }

    /// Starts it again after ``end(by:)``.
    func startAgain() throws {
        try start()
        state.withLock { $0.isTaken = false }
    }

    func jump(seconds: Int) throws { try clock.jump(seconds: seconds) }

    /// How it ended if nobody had ended it; the next call to ``start()`` replaces it.
    ///
    /// - Returns: its exit code, or the negative number of a signal, and the end of its log.
    func takeUnexpectedEnd() async -> (code: Int32, log: String)? {
        let process = state.withLock { state -> ChildProcess? in
            guard !state.isTaken, let process = state.process, process.hasExited else { return nil }
            state.process = nil
            return process
        }
        guard let process else { return nil }
        return (await process.exit(), String(process.err.suffix(4000)))
    }

    /// Ends it for good.
    func finish() async {
        let process = state.withLock { state in
            state.isTaken = true
            return state.process
        }
        guard let process else { return }
        process.send(SIGKILL)
        _ = await process.exit()
    }
}

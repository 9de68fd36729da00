import Dispatch
import FoundationEssentials
import Glibc
import Platform
import Support

/// The built `leasehold` as a process of its own; killed with this object when it still runs.
final class ChildProcess: Sendable {
    private let pid: pid_t
    private let exit: Task<Int32, Never>
    private let ended = Locked(false)
    private let outFile: String
    private let errFile: String

    /// The environment is empty but for what is given.
    init(_ arguments: [String], environment: [String: String] = [:], in directory: TemporaryDirectory) throws {
        let name = UUID().uuidString
        outFile = "\(directory.path)/\(name).out"
        errFile = "\(directory.path)/\(name).err"
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, outFile, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        unsafe posix_spawn_file_actions_addopen(&actions, 2, errFile, O_WRONLY | O_CREAT | O_EXCL, 0o600)

        // Whatever this thread holds or ignores: a child begins with every signal as usual.
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let binary = try Self.binary()
        var argv = unsafe ([binary] + arguments).map { unsafe strdup($0) } + [nil]
        var envp = unsafe environment.map { unsafe strdup("\($0)=\($1)") } + [nil]
        defer {
            for index in unsafe argv.indices { unsafe free(argv[index]) }
            for index in unsafe envp.indices { unsafe free(envp[index]) }
        }
        var pid: pid_t = 0
        let code = unsafe posix_spawn(&pid, binary, &actions, &attributes, &argv, &envp)
        guard code == 0 else { throw Failure(description: "cannot start \(binary): error \(code)") }
        self.pid = pid
        exit = Task { [pid, ended] in
            await withCheckedContinuation { continuation in
                // Waits for as long as the process lives, so not on a thread of Swift's tasks.
                DispatchQueue(label: "leasehold.test.process").async {
                    // Left in the process table until the lock is held: nobody may signal a pid that is free again.
                    var info = unsafe siginfo_t()
                    while unsafe waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR {}
                    let status = ended.withLock { ended in
                        var status: Int32 = 0
                        while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
                        ended = true
                        return status
                    }
                    let signal = status & 0x7F
                    continuation.resume(returning: signal != 0 ? -signal : status >> 8 & 0xFF)
                }
            }
        }
    }

    deinit { send(SIGKILL) }

    var hasExited: Bool { ended.withLock { $0 } }

    var out: String { (try? String(contentsOfFile: outFile, encoding: .utf8)) ?? "" }
    var err: String { (try? String(contentsOfFile: errFile, encoding: .utf8)) ?? "" }

    /// Does nothing once it was waited for: its pid may be another's.
    func send(_ signal: Int32) {
        ended.withLock { ended in
            if !ended { kill(pid, signal) }
        }
    }

    /// - Returns: the exit code, or the negative number of the signal that ended it; SIGKILL's when it did not end in a
    ///   long time.
    func exitCode() async -> Int32 {
        DispatchQueue.global().asyncAfter(deadline: .now() + 120) { [weak self] in
            self?.send(SIGKILL)
        }
        return await exit.value
    }

    /// Beside the test's own executable, where SwiftPM builds everything.
    private static func binary() throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path = own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/leasehold"
        guard FileManager.default.isExecutableFile(atPath: path) else { throw Failure(description: "no \(path)") }
        return path
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }
}

/// Waits until another process has done something; for what sends no event here. Gives up after a long time.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let limit = ContinuousClock.now + .seconds(120)
    while try await !condition() {
        guard .now < limit else { throw ChildProcess.Failure(description: "waited in vain: \(what)") }
        try await Task.sleep(for: .milliseconds(20))
    }
}

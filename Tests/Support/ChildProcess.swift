private import CLinux
private import Dispatch
private import FoundationEssentials
private import Glibc
private import Platform

/// A process of its own. When this object is gone, so is the process; when this program is killed, so is the process.
///
/// Any thread may call it.
package final class ChildProcess: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String

        package init(_ description: String) { self.description = description }
    }

    package let pid: Int32
    /// nil while it runs.
    private let code: Locked<Int32?>
    private let end: DispatchGroup
    private let outFile: String
    private let errFile: String

    /// - Parameters:
    ///   - binary: its path.
    ///   - environment: all of it.
    ///   - input: what it reads from standard input; not for secrets of long life, since it is kept in a file (0600).
    ///   - log: a file for what it writes to standard error, made anew; nil: one in `directory`.
    ///   - directory: for files of what it writes.
    package init(
        _ binary: String, _ arguments: [String] = [], environment: [String: String] = [:], input: String? = nil,
        log: String? = nil, in directory: TemporaryDirectory
    ) throws {
        let name = UUID().uuidString
        let launch = Launch(
            arguments: [Self.leash, "--pdeathsig", "KILL", "--", binary] + arguments,
            environment: environment.merging(Self.sanitizerOptions) { given, _ in given }.map { "\($0)=\($1)" },
            input: input == nil ? "/dev/null" : directory.file("\(name).in"), out: directory.file("\(name).out"),
            err: log ?? directory.file("\(name).err"))
        for file in [Self.leash, binary] where !FileManager.default.isExecutableFile(atPath: file) {
            throw Failure("cannot start \(file): no such program; install it")
        }
        if let input { try SecretFile.write(input, to: launch.input) }
        outFile = launch.out
        errFile = launch.err

        let code = Locked<Int32?>(nil)
        let end = DispatchGroup()
        let started = DispatchSemaphore(value: 0)
        let spawned = Locked<(pid: Int32, error: Int32)>((0, 0))
        end.enter()
        // The kernel ends the process when the *thread* that started it ends: one of its own, which waits for it.
        DispatchQueue(label: "leasehold.test.process").async {
            let (pid, error) = launch.spawn()
            spawned.withLock { $0 = (pid, error) }
            started.signal()
            if error == 0 { Self.wait(for: pid, code) }
            end.leave()
        }
        started.wait()
        let (pid, error) = spawned.withLock { $0 }
        guard error == 0 else { throw Failure("cannot start \(binary): \(unsafe String(cString: strerror(error)))") }
        (self.pid, self.code, self.end) = (pid, code, end)
    }

    /// The built `leasehold`.
    package convenience init(
        leasehold arguments: [String], environment: [String: String] = [:], log: String? = nil,
        in directory: TemporaryDirectory
    ) throws {
        try self.init(try Self.leasehold(), arguments, environment: environment, log: log, in: directory)
    }

    /// The path of the built `leasehold`.
    package static func leasehold() throws -> String { "\(try productDirectory())/leasehold" }

    /// Where SwiftPM builds everything: beside this program's own executable.
    package static func productDirectory() throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
    }

    deinit {
        send(SIGKILL)
        // Nothing holds up a process that was killed for long.
        end.wait()
    }

    /// What a sanitizer that this program is built with was told, and is to be told in its children.
    private static let sanitizerOptions = ProcessInfo.processInfo.environment.filter {
        ["ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"].contains($0.key)
    }

    /// util-linux's program that sets what the kernel does when the parent ends and then becomes the program.
    private static let leash = "/usr/bin/setpriv"

    private static func wait(for pid: Int32, _ code: Locked<Int32?>) {
        // Left in the process table until the lock is held: nobody may signal a pid that is free again.
        var info = unsafe siginfo_t()
        while unsafe waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR {}
        code.withLock { code in
            var status: Int32 = 0
            while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
            let signal = status & 0x7F
            code = signal != 0 ? -signal : status >> 8 & 0xFF
        }
    }

    package var hasExited: Bool { code.withLock { $0 != nil } }

    package var out: String { (try? String(contentsOfFile: outFile, encoding: .utf8)) ?? "" }
    package var err: String { (try? String(contentsOfFile: errFile, encoding: .utf8)) ?? "" }

    /// Does nothing once it has ended: its pid may be another's.
    package func send(_ signal: Int32) {
        code.withLock { code in
            if code == nil { _ = kill(pid, signal) }
        }
    }

    /// Waits for its end, for ever.
    ///
    /// - Returns: the exit code, or the negative number of the signal that ended it.
    package func exit() async -> Int32 {
        await withCheckedContinuation { continuation in
            end.notify(queue: .global()) { continuation.resume() }
        }
        // There is one: the group is left after it was set.
        return code.withLock { $0 } ?? -SIGKILL
    }

    /// As ``exit()``, for one that must end by itself: after a long time it is killed.
    package func exitCode() async -> Int32 {
        DispatchQueue.global().asyncAfter(deadline: .now() + 120) { [weak self] in
            self?.send(SIGKILL)
        }
        return await exit()
    }
}

/// What posix_spawn(3) needs to know.
private struct Launch: Sendable {
    let arguments: [String]
    let environment: [String]
    let input: String
    let out: String
    let err: String

    func spawn() -> (pid: Int32, error: Int32) {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        unsafe posix_spawn_file_actions_addopen(&actions, 2, err, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        // libcurl's sockets are not closed by exec.
        unsafe posix_spawn_file_actions_addclosefrom_np(&actions, 3)

        // Whatever this thread holds or ignores: a child begins with every signal as usual. And in a process group of its
        // own: a Ctrl-C is for this program, which ends its children in its own order.
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        unsafe posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

        var argv = unsafe arguments.map { unsafe strdup($0) } + [nil]
        var envp = unsafe environment.map { unsafe strdup($0) } + [nil]
        defer {
            for index in unsafe argv.indices { unsafe free(argv[index]) }
            for index in unsafe envp.indices { unsafe free(envp[index]) }
        }
        var pid: Int32 = 0
        let error = unsafe posix_spawn(&pid, arguments[0], &actions, &attributes, &argv, &envp)
        return (pid, error)
    }
}

/// Waits until another process has done something; for what sends no event here. Gives up after a long time.
package func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let limit = ContinuousClock.now + .seconds(120)
    while try await !condition() {
        guard .now < limit else { throw ChildProcess.Failure("waited in vain: \(what)") }
        try await Task.sleep(for: .milliseconds(20))
    }
}

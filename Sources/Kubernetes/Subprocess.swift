private import CLinux
private import Dispatch
private import Glibc

/// Runs a program to its end: nothing on its standard input, bounded output, a bounded time.
struct Subprocess: Sendable {
    /// How a program that could be started has ended.
    struct Result: Sendable {
        /// The exit code, or the negative number of the signal that ended it.
        let code: Int32
        let output: [UInt8]
        /// The end of what it wrote to standard error, for people.
        let complaint: String
    }

    enum Failure: Error, Hashable {
        /// By errno(3).
        case notStarted(Int32)
        case timedOut(complaint: String)
        case tooMuchOutput
    }

    /// A path with a slash.
    let path: String
    let arguments: [String]
    let environment: [String: String]
    let timeout: Duration
    let outputBytesMax: Int

    /// The first program of this name on `PATH`, or `name` itself when it has a slash; nil: there is none.
    static func find(_ name: String, environment: [String: String]) -> String? {
        let candidates =
            name.contains("/")
            ? [name]
            : (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":").map { "\($0)/\(name)" }
        return candidates.first { unsafe access($0, X_OK) == 0 }
    }

    func run() async throws(Failure) -> Result {
        // Blocks for as long as the program runs, so not on a thread of Swift's tasks.
        let result = await withCheckedContinuation { continuation in
            DispatchQueue(label: "leasehold.subprocess").async { continuation.resume(returning: runBlocking()) }
        }
        return try result.get()
    }

    private func runBlocking() -> Swift.Result<Result, Failure> {
        do throws(Failure) {
            var child = try Child(self)
            return .success(try child.finish(within: timeout, outputBytesMax: outputBytesMax))
        } catch { return .failure(error) }
    }
}

/// A running program, the first of a process group of its own. Confined to one thread.
private struct Child: ~Copyable {
    private static let complaintBytesMax = 2048

    private let pid: pid_t
    /// The reading ends of its standard output and standard error; -1: closed.
    private var pipes: [Int32]
    private var output: [UInt8] = []
    private var complaint: [UInt8] = []
    private var isReaped = false

    init(_ program: Subprocess) throws(Subprocess.Failure) {
        let output = try Self.pipe()
        let complaint: [Int32]
        do throws(Subprocess.Failure) { complaint = try Self.pipe() } catch {
            for end in output { close(end) }
            throw error
        }
        defer {
            close(output[1])
            close(complaint[1])
        }
        var pid: pid_t = 0
        let code = Self.spawn(program, output: output[1], complaint: complaint[1], &pid)
        guard code == 0 else {
            close(output[0])
            close(complaint[0])
            throw .notStarted(code)
        }
        self.pid = pid
        pipes = [output[0], complaint[0]]
    }

    deinit {
        for end in pipes where end >= 0 { close(end) }
        guard !isReaped else { return }
        // With all that it has started. The pid is still its own, as nobody has waited for it.
        kill(-pid, SIGKILL)
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    }

    mutating func finish(
        within limit: Duration, outputBytesMax: Int
    ) throws(Subprocess.Failure) -> Subprocess.Result {
        let deadline = ContinuousClock.now + limit
        while pipes.contains(where: { $0 >= 0 }) {
            try wait(until: deadline)
            guard output.count <= outputBytesMax else { throw .tooMuchOutput }
        }
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, WNOHANG) != pid {
            // It has closed its outputs and is about to end; a program that only pretends to is ended by the deadline.
            guard ContinuousClock.now < deadline else { throw timedOut }
            _ = poll(nil, 0, 5)
        }
        isReaped = true
        let signal = status & 0x7F
        return Subprocess.Result(
            code: signal != 0 ? -signal : status >> 8 & 0xFF, output: output, complaint: complaintText)
    }

    private var timedOut: Subprocess.Failure { .timedOut(complaint: complaintText) }

    private var complaintText: String {
        String(decoding: complaint.suffix(Self.complaintBytesMax), as: UTF8.self).trimmed
    }

    private mutating func wait(until deadline: ContinuousClock.Instant) throws(Subprocess.Failure) {
        let left = deadline - .now
        guard left > .zero else { throw timedOut }
        var polled = pipes.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let ready = unsafe poll(&polled, nfds_t(polled.count), Int32(clamping: Int64(left / .milliseconds(1)) + 1))
        guard ready > 0 else { return }
        for index in polled.indices where polled[index].revents != 0 { read(index) }
    }

    private mutating func read(_ index: Int) {
        var piece = [UInt8](repeating: 0, count: 65536)
        let count = unsafe piece.withUnsafeMutableBytes {
            unsafe Glibc.read(pipes[index], $0.baseAddress, $0.count)
        }
        if count < 0 && errno == EINTR { return }
        guard count > 0 else {
            close(pipes[index])
            pipes[index] = -1
            return
        }
        if index == 0 {
            output += piece[..<count]
        } else {
            complaint = complaint.suffix(Self.complaintBytesMax) + piece[..<count]
        }
    }

    private static func pipe() throws(Subprocess.Failure) -> [Int32] {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe2(&ends, O_CLOEXEC) == 0 else { throw .notStarted(errno) }
        return ends
    }

    /// - Returns: an errno(3); 0: it runs.
    private static func spawn(
        _ program: Subprocess, output: Int32, complaint: Int32, _ pid: inout pid_t
    ) -> Int32 {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        unsafe posix_spawn_file_actions_adddup2(&actions, complaint, 2)
        // libcurl's sockets are not closed by exec, and a program of somebody else's must not have them.
        unsafe posix_spawn_file_actions_addclosefrom_np(&actions, 3)

        // Whatever this process holds or ignores: the program begins with every signal as usual.
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

        var argv = unsafe ([program.path] + program.arguments).map { unsafe strdup($0) } + [nil]
        var envp = unsafe program.environment.map { unsafe strdup("\($0)=\($1)") } + [nil]
        defer {
            for index in unsafe argv.indices { unsafe free(argv[index]) }
            for index in unsafe envp.indices { unsafe free(envp[index]) }
        }
        return unsafe posix_spawn(&pid, program.path, &actions, &attributes, &argv, &envp)
    }
}

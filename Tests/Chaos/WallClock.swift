private import FoundationEssentials
private import Glibc
internal import Platform
internal import Support

/// The wall clock of one process, which can be set while it runs; all other clocks stay as they are. By libfaketime.
final class WallClock: Sendable {
    private static let library = "/usr/lib/\(machine)-linux-gnu/faketime/libfaketimeMT.so.1"
    #if arch(x86_64)
        private static let machine = "x86_64"
    #else
        private static let machine = "aarch64"
    #endif

    private let file: String
    private let offset = Locked(0)

    /// - Parameter file: where the offset is kept.
    init(file: String) throws {
        guard unsafe access(Self.library, R_OK) == 0 else {
            throw ChildProcess.Failure("\(Self.library) is missing; install the package libfaketime")
        }
        self.file = file
        try write(0)
    }

    /// What makes a process use it.
    var environment: [String: String] {
        [
            "LD_PRELOAD": Self.library, "FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        ]
    }

    /// Twelve hours: certificates are made out for longer.
    private static let offsetMax = 12 * 3600

    /// Sets it forward or back; not beyond twelve hours from the truth.
    func jump(seconds: Int) throws {
        let offset = offset.withLock { offset in
            if abs(offset + seconds) > Self.offsetMax { offset -= seconds } else { offset += seconds }
            return offset
        }
        try write(offset)
    }

    private func write(_ offset: Int) throws {
        // In one step: it is read at any time.
        try Data("\(offset < 0 ? "" : "+")\(offset)\n".utf8).write(to: URL(filePath: file), options: .atomic)
    }

    /// Removes what the library leaves behind of a process that was killed.
    static func cleanUp(after pid: Int32) {
        for prefix in ["faketime_shm_", "sem.faketime_sem_"] { unsafe unlink("/dev/shm/\(prefix)\(pid)") }
    }

    // MARK: - The probe

    /// Fails unless a step of the wall clock of a running process is seen there, and leaves its other clocks alone.
    ///
    /// - Parameter binary: `leasehold-chaos`.
    static func check(with binary: String, in directory: TemporaryDirectory) async throws {
        let clock = try WallClock(file: directory.file("probe.clock"))
        let before = ClockProbe.Clocks.now()
        let process = try ChildProcess(
            binary, [ClockProbe.argument], environment: clock.environment, in: directory)
        defer { cleanUp(after: process.pid) }
        try await eventually("the clocks are read") { process.out.contains("\n") || process.hasExited }
        try clock.jump(seconds: 3600)
        guard await process.exitCode() == 0 else {
            throw ChildProcess.Failure("libfaketime cannot be used: \(process.out)\(process.err)")
        }
        let after = ClockProbe.Clocks.now()
        let seen = process.out.split(separator: "\n").compactMap { ClockProbe.Clocks($0) }
        guard seen.count == 2 else { throw ChildProcess.Failure("the clocks cannot be read: \(process.out)") }
        let all = [before, seen[0], seen[1], after]
        let areTrue = zip(all, all.dropFirst()).allSatisfy { earlier, later in
            earlier.boottime <= later.boottime && earlier.monotonic <= later.monotonic
                && earlier.monotonicRaw <= later.monotonicRaw
        }
        let hour = Int64(3600) * 1_000_000_000
        let ahead = seen[1].realtime - after.realtime
        guard areTrue, seen[0].realtime <= after.realtime, ahead <= hour, ahead > hour / 2 else {
            throw ChildProcess.Failure(
                "libfaketime sets clocks that it was not to set, or does not set the wall clock: \(all)")
        }
    }
}

private import FoundationEssentials
private import Glibc
internal import Platform
internal import Support

/// The wall clock of one process, which can be set while it runs; its other clocks and timers stay as they are.
final class WallClock: Sendable {
    /// Takes the place of libc's functions: Tests/WallClock.
    private static let library = "libleasehold-wall-clock.so"
    /// Less than certificates are good for.
    private static let offsetMax = 12 * 3600

    private let libraryPath: String
    private let file: String
    /// In seconds.
    private let offset = Locked(0)

    /// - Parameter file: where the offset is kept.
    init(file: String) throws {
        libraryPath = try BuiltFile.path(Self.library)
        self.file = file
        try Data(repeating: 0, count: 8).write(to: URL(filePath: file))
    }

    /// What makes a process use it.
    var environment: [String: String] { ["LD_PRELOAD": libraryPath, "LEASEHOLD_WALL_CLOCK": file] }

    /// Sets it forward or back; never further than twelve hours from the truth: it goes the other way then.
    func jump(seconds: Int) throws {
        let failed: Int32? = offset.withLock { offset in
            offset += abs(offset + seconds) > Self.offsetMax ? -seconds : seconds
            var nanoseconds = Int64(offset) * 1_000_000_000
            // In place, as processes have it mapped; eight bytes are written in one step.
            let descriptor = unsafe open(file, O_WRONLY | O_CLOEXEC)
            defer { close(descriptor) }
            return unsafe pwrite(descriptor, &nanoseconds, 8, 0) == 8 ? nil : errno
        }
        if let failed { throw ChildProcess.Failure("\(file) cannot be written: errno \(failed)") }
    }

    // MARK: - The probe

    /// Fails unless a running process sees a step of its wall clock forward and one back, and its other clocks and its
    /// timers stay true.
    static func check(in directory: TemporaryDirectory) async throws {
        let clock = try WallClock(file: directory.file("probe.clock"))
        let process = try ChildProcess(
            BuiltFile.path("leasehold-chaos"), [ClockProbe.argument], environment: clock.environment, in: directory)
        var readings = [ClockProbe.Clocks.now()]
        for (index, seconds) in [0, 3600, -7200].enumerated() {
            if seconds != 0 { try clock.jump(seconds: seconds) }
            try await eventually("the probe reads its clocks") {
                process.hasExited || process.out.split(separator: "\n").count > index
            }
            guard let line = process.out.split(separator: "\n").dropFirst(index).first,
                let reading = ClockProbe.Clocks(line)
            else { throw ChildProcess.Failure("the clocks cannot be read: \(process.out)\(process.err)") }
            readings.append(reading)
        }
        let code = await process.exitCode()
        readings.append(.now())
        let areTrue = zip(readings, readings.dropFirst()).allSatisfy { earlier, later in
            earlier.boottime <= later.boottime && earlier.monotonic <= later.monotonic
                && earlier.monotonicRaw <= later.monotonicRaw
        }
        let hours = readings.map { reading in
            let sinceStart = reading.realtime - reading.boottime - readings[0].realtime + readings[0].boottime
            return (Double(sinceStart) / 3.6e12).rounded()
        }
        guard code == 0, areTrue, hours == [0, 0, 1, -1, 0] else {
            throw ChildProcess.Failure(
                "the wall clock of a process cannot be set alone: exit code \(code), clocks \(readings)")
        }
    }
}

private import FoundationEssentials
private import Glibc
private import Support

/// What the kernel says that a process takes.
struct ProcessFigures: Codable, Sendable {
    /// All of it in memory, and its most since the start.
    let residentBytes: Int
    let residentBytesMax: Int
    /// Of that, its own: not of files, such as the program and its libraries.
    let anonymousBytes: Int
    /// Of all its threads, since its start.
    let cpuSeconds: Double

    /// - Throws: when there is no such process any more.
    init(of pid: Int32) throws {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        func bytes(_ name: String) throws -> Int {
            guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("\(name):") }),
                let number = line.split(whereSeparator: \.isWhitespace).dropFirst().first, let kilobytes = Int(number)
            else { throw ChildProcess.Failure("/proc/\(pid)/status has no \(name); has the process ended?") }
            return kilobytes * 1024
        }
        (residentBytes, residentBytesMax) = (try bytes("VmRSS"), try bytes("VmHWM"))
        anonymousBytes = try bytes("RssAnon")
        // In nanoseconds, where /proc has hundredths of a second.
        var clock = clockid_t()
        var time = timespec()
        guard unsafe clock_getcpuclockid(pid, &clock) == 0, unsafe clock_gettime(clock, &time) == 0 else {
            throw ChildProcess.Failure("the processor time of process \(pid) cannot be read; has it ended?")
        }
        cpuSeconds = Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

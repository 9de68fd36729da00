private import FoundationEssentials
private import Glibc

/// What the kernel says of a process at one moment (proc(5)).
package struct ProcessStatus: Sendable {
    /// The program's name, at most 15 bytes of it.
    package let name: String
    /// Of all its threads, since its start.
    package let cpuSeconds: Double
    /// Open ones.
    package let descriptors: Int
    private let pid: Int32
    private let fields: [Substring: Substring]

    /// - Throws: when there is no such process any more, or it is another user's.
    package init(of pid: Int32) throws {
        self.pid = pid
        let text = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        fields = Dictionary(
            text.split(separator: "\n").compactMap { line in
                let parts = line.split(separator: ":", maxSplits: 1)
                return parts.count == 2 ? (parts[0], parts[1]) : nil
            }, uniquingKeysWith: { first, _ in first })
        name = fields["Name"].map { String($0.drop(while: \.isWhitespace)) } ?? ""
        descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
        // In nanoseconds, where /proc has hundredths of a second.
        var clock = clockid_t()
        var time = timespec()
        guard unsafe clock_getcpuclockid(pid, &clock) == 0, unsafe clock_gettime(clock, &time) == 0 else {
            throw ChildProcess.Failure("the processor time of process \(pid) cannot be read; has it ended?")
        }
        cpuSeconds = Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    package var threads: Int { get throws { try number("Threads") } }
    /// Memory that it may use.
    package var virtualBytes: Int { get throws { try number("VmSize") * 1024 } }
    /// All of it that is in memory.
    package var residentBytes: Int { get throws { try number("VmRSS") * 1024 } }
    /// The most of that since its start.
    package var residentBytesMax: Int { get throws { try number("VmHWM") * 1024 } }
    /// Of what is in memory its own: not of files, such as the program and its libraries.
    package var anonymousBytes: Int { get throws { try number("RssAnon") * 1024 } }

    private func number(_ field: Substring) throws -> Int {
        guard let number = fields[field]?.split(whereSeparator: \.isWhitespace).first.flatMap({ Int($0) }) else {
            throw ChildProcess.Failure("/proc/\(pid)/status has no \(field); has the process ended?")
        }
        return number
    }
}

extension ChildProcess {
    package var status: ProcessStatus { get throws { try ProcessStatus(of: pid) } }
}

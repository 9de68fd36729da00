private import CLinux
private import Election
private import Glibc

/// This process's own metrics under the names that Prometheus's client libraries give them, from `/proc/self` (proc(5)).
package enum ProcessMetrics {
    /// As of now; what the system does not tell is left out. Reads files, but none on a disk.
    package static func families() -> [MetricFamily] {
        let fields = statFields()
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        let pageBytes = Double(sysconf(Int32(_SC_PAGESIZE)))
        func one(_ name: String, _ kind: MetricFamily.Kind, _ help: String, _ value: Double?) -> MetricFamily? {
            value.map { MetricFamily(name, kind, help: help, [.init($0)]) }
        }
        let processorSeconds = fields.map { ($0[Field.userTicks.rawValue] + $0[Field.systemTicks.rawValue]) / ticks }
        return [
            one(
                "process_cpu_seconds_total", .counter, "Processor time, of the program and of the kernel for it.",
                processorSeconds),
            one(
                "process_resident_memory_bytes", .gauge, "Memory that it has in use.",
                fields.map { $0[Field.residentPages.rawValue] * pageBytes }),
            one("process_open_fds", .gauge, "File descriptors that are open.", openDescriptors()),
            one("process_max_fds", .gauge, "File descriptors that may be open.", descriptorLimit()),
            one(
                "process_start_time_seconds", .gauge, "When it was started, in seconds since 1970.",
                startTime),
        ].compactMap(\.self)
    }

    /// Places of `/proc/self/stat`, counted from the field behind the program's name.
    private enum Field: Int {
        case userTicks = 11
        case systemTicks = 12
        case startTicks = 19
        case residentPages = 21
    }

    /// Once: the same for the whole life of the process, whoever sets the wall clock meanwhile.
    private static let startTime: Double? = statFields().map { fields in
        let now = Reading.now()
        let age = Double(now.boottime) / 1e9 - fields[Field.startTicks.rawValue] / Double(sysconf(Int32(_SC_CLK_TCK)))
        return Double(now.realtime) / 1e9 - age
    }

    private static func statFields() -> [Double]? {
        let file = unsafe open("/proc/self/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        // One read(2) gives all of it, as the kernel makes it at that moment.
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
        // The program's name, in parentheses, may hold anything.
        guard count > 0, let end = bytes[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = bytes[(end + 1)..<count].split(whereSeparator: {
            $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n")
        })
        // The first is a letter, the state.
        .map { Double(String(decoding: $0, as: UTF8.self)) ?? 0 }
        return fields.count > Field.residentPages.rawValue ? fields : nil
    }

    private static func openDescriptors() -> Double? {
        guard let directory = unsafe opendir("/proc/self/fd") else { return nil }
        defer { unsafe closedir(directory) }
        var count = 0
        while unsafe readdir(directory) != nil { count += 1 }
        // Without ".", ".." and the descriptor that reads the directory.
        return Double(count - 3)
    }

    private static func descriptorLimit() -> Double? {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return limit.rlim_cur == rlim_t.max ? .infinity : Double(limit.rlim_cur)
    }
}

private import Glibc

/// What a crash of this process leaves in a file.
package enum CoreDump {
    /// Keeps the memory of this process, in which keys and tokens are, out of core dumps, whoever writes them.
    ///
    /// By `/proc/self/coredump_filter` (core(5)), not by RLIMIT_CORE, which a `core_pattern` with a pipe does not heed, nor by
    /// PR_SET_DUMPABLE, which would take `/proc/self/fd` away from a process that is not root's. What is left are registers,
    /// and the headers that tell which build it was.
    /// - Returns: false: there is no such file, or it cannot be written.
    @discardableResult
    package static func leaveOutMemory() -> Bool {
        let file = unsafe open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        // Bit 4: the first page of mapped programs.
        let filter = "0x10"
        return unsafe filter.utf8.withContiguousStorageIfAvailable { unsafe write(file, $0.baseAddress, $0.count) } == 4
    }
}

private import Glibc

/// Writes a line at once, also into a pipe.
func print(_ line: String) { write(line, to: 1) }

func printError(_ line: String) { write(line, to: 2) }

/// Ends the process.
func finish(_ code: Int32) -> Never { exit(code) }

private func write(_ line: String, to descriptor: Int32) {
    var rest = Array("\(line)\n".utf8)[...]
    while !rest.isEmpty {
        let written = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        // Nobody reads any more.
        guard written > 0 else { return }
        rest = rest.dropFirst(written)
    }
}

/// The processor time of this process, in nanoseconds.
func processorTime() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

private import Glibc
private import Webhook

/// Measures how fast AdmissionReviews are scanned, for `make bench`; not shipped.
///
/// `leasehold-bench FILE` scans the AdmissionReview in FILE again and again and prints one JSON object: its size in bytes
/// and the rate of each run in GB/s (10^9 bytes a second). Rates count the thread's own CPU time, so that what else
/// the machine does is not measured.
@main enum Main {
    private static let runs = 21
    /// Long enough that the clock's cost and resolution do not matter.
    private static let nanosecondsPerRun = 20_000_000

    static func main() {
        guard CommandLine.arguments.count == 2 else { fail("usage: leasehold-bench FILE", status: 2) }
        let path = CommandLine.arguments[1]
        let review = contents(of: path)
        var scanner = AdmissionScanner()
        let warmUp = unsafe review.withUnsafeBytes { unsafe time(&scanner, $0, path, times: 1) }
        let times = max(1, nanosecondsPerRun / max(1, warmUp))
        var rates: [Double] = []
        for _ in 0..<runs {
            let nanoseconds = unsafe review.withUnsafeBytes { unsafe time(&scanner, $0, path, times: times) }
            rates.append(Double(review.count * times) / Double(nanoseconds))
        }
        print(#"{"bytes": \#(review.count), "gigabytes_per_second": \#(rates)}"#)
    }

    /// - Returns: the CPU time in nanoseconds that `times` scans took, at least 1.
    private static func time(
        _ scanner: inout AdmissionScanner, _ review: UnsafeRawBufferPointer, _ path: String, times: Int
    ) -> Int {
        let start = threadCPUTime()
        for _ in 0..<times {
            do throws(ScanError) {
                try unsafe scanner.scan(review)
            } catch {
                fail("cannot measure with \(path): \(error)", status: 1)
            }
        }
        return max(1, threadCPUTime() - start)
    }

    private static func threadCPUTime() -> Int {
        var time = timespec()
        let failed = unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        precondition(failed == 0, "clock_gettime refused CLOCK_THREAD_CPUTIME_ID")
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    private static func contents(of path: String) -> [UInt8] {
        guard let file = unsafe fopen(path, "r") else { fail("cannot open \(path): \(lastError())", status: 1) }
        defer { unsafe fclose(file) }
        var contents: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = unsafe fread(&chunk, 1, chunk.count, file)
            contents.append(contentsOf: chunk[..<count])
            if count < chunk.count { break }
        }
        guard unsafe ferror(file) == 0 else { fail("cannot read \(path): \(lastError())", status: 1) }
        return contents
    }

    private static func lastError() -> String { unsafe String(cString: strerror(errno)) }

    private static func fail(_ message: String, status: Int32) -> Never {
        let line = "leasehold-bench: \(message)\n"
        _ = unsafe write(STDERR_FILENO, line, line.utf8.count)
        exit(status)
    }
}

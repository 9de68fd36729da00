private import Glibc
private import Webhook

/// How fast AdmissionReviews are scanned.
///
/// Rates count the thread's own CPU time, so that what else the machine does is not measured.
enum ScannerRate {
    private static let runs = 21
    /// Long enough that the clock's cost and resolution do not matter.
    private static let nanosecondsPerRun = 20_000_000

    /// Scans the AdmissionReview in a file again and again; prints its size in bytes and the rate of each run in GB/s
    /// (10^9 bytes a second).
    static func measure(path: String) throws(Failure) {
        let review = try Main.contents(of: path)
        var scanner = AdmissionScanner()
        let warmUp = try time(&scanner, review, path, times: 1)
        let times = max(1, nanosecondsPerRun / max(1, warmUp))
        var rates: [Double] = []
        for _ in 0..<runs {
            rates.append(Double(review.count * times) / Double(try time(&scanner, review, path, times: times)))
        }
        print(#"{"bytes": \#(review.count), "gigabytes_per_second": \#(rates)}"#)
    }

    /// - Returns: the CPU time in nanoseconds that `times` scans took, at least 1.
    private static func time(
        _ scanner: inout AdmissionScanner, _ review: [UInt8], _ path: String, times: Int
    ) throws(Failure) -> Int {
        var problem: ScanError?
        let start = threadCPUTime()
        unsafe review.withUnsafeBytes { bytes in
            do throws(ScanError) {
                for _ in 0..<times { try unsafe scanner.scan(bytes) }
            } catch {
                problem = error
            }
        }
        if let problem { throw Failure("cannot measure with \(path): \(problem)") }
        return max(1, threadCPUTime() - start)
    }

    private static func threadCPUTime() -> Int {
        var time = timespec()
        let failed = unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        precondition(failed == 0, "clock_gettime refused CLOCK_THREAD_CPUTIME_ID")
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}

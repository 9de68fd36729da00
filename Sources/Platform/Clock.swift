private import CLinux
package import Election

extension Reading {
    /// Reads the clocks (clock_gettime(2); vDSO, no system call). Any thread may call it.
    ///
    /// A suspend in the midst of it gives a reading from before or from after it, in whichever order the clocks are read.
    package static func now() -> Reading {
        Reading(
            boottime: nanoseconds(CLOCK_BOOTTIME), monotonic: nanoseconds(CLOCK_MONOTONIC),
            realtime: nanoseconds(CLOCK_REALTIME), raw: nanoseconds(CLOCK_MONOTONIC_RAW))
    }

    /// - Parameters:
    ///   - boottime, monotonic: slewed alike; they differ by the time for which the machine has been suspended.
    ///   - raw: stands still in a suspend.
    init(boottime: Int64, monotonic: Int64, realtime: Int64, raw: Int64) {
        self.init(boottime: boottime, realtime: realtime, monotonicRaw: raw + (boottime - monotonic))
    }

    /// `CLOCK_MONOTONIC_RAW` alone, in nanoseconds, to measure how long something takes. Any thread may call it.
    package static func monotonicRawNow() -> Int64 { nanoseconds(CLOCK_MONOTONIC_RAW) }

    private static func nanoseconds(_ clock: Int32) -> Int64 {
        var time = timespec()
        let failed = unsafe clock_gettime(clock, &time)
        // Without a clock no lease can be judged; the three exist on every Linux that this program supports.
        precondition(failed == 0, "clock_gettime refused clock \(clock)")
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

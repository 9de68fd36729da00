private import CLinux
package import Election

extension Reading {
    /// Reads the three clocks (clock_gettime(2); vDSO, no system call). Any thread may call it.
    package static func now() -> Reading {
        Reading(
            boottime: nanoseconds(CLOCK_BOOTTIME),
            realtime: nanoseconds(CLOCK_REALTIME),
            monotonicRaw: nanoseconds(CLOCK_MONOTONIC_RAW)
        )
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

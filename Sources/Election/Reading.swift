/// This machine's three clocks, taken together: the only notion of time that the protocol knows.
///
/// Readings are compared with readings of the same machine only, never between machines. All arithmetic saturates.
package struct Reading: Hashable, Sendable {
    /// `CLOCK_BOOTTIME` in nanoseconds: goes on during a suspend, slewed by NTP.
    package var boottime: Int64
    /// `CLOCK_REALTIME` in nanoseconds since 1970: may be set, slewed by NTP.
    package var realtime: Int64
    /// `CLOCK_MONOTONIC_RAW` in nanoseconds, plus the time for which the machine has been suspended: never slewed, goes on
    /// during a suspend.
    ///
    /// The raw clock alone will not do: over a time in which the machine was slewed to run slow *and* suspended, the boot-time
    /// clock shows too little for the one reason and the raw clock for the other, so that not even the largest difference
    /// is within rho of true time.
    package var monotonicRaw: Int64

    package init(boottime: Int64, realtime: Int64, monotonicRaw: Int64) {
        self.boottime = boottime
        self.realtime = realtime
        self.monotonicRaw = monotonicRaw
    }

    /// Time since `earlier` for whoever **uses** a right (a window, a grant): the largest of the three differences, so
    /// that a step forward, a suspend or a slewed clock can only end the right early.
    package func elapsedForUse(since earlier: Reading) -> Duration {
        .nanoseconds(nanosecondsForUse(since: earlier))
    }

    /// ``elapsedForUse(since:)`` in nanoseconds, for the hot path.
    package func nanosecondsForUse(since earlier: Reading) -> Int64 {
        let (boottime, realtime, monotonicRaw) = differences(from: earlier)
        return Rule.windowsCountTheLargestDifference.isKept
            ? max(boottime, realtime, monotonicRaw) : min(boottime, monotonicRaw)
    }

    /// Time since `earlier` for whoever **waits** for another's right to end: the smaller difference of the boot-time
    /// and the raw clock. The wall clock has no say here: setting it forward must not shorten a wait.
    package func elapsedForWait(since earlier: Reading) -> Duration {
        let (boottime, realtime, monotonicRaw) = differences(from: earlier)
        return .nanoseconds(
            Rule.waitsCountTheSmallerDifference.isKept
                ? min(boottime, monotonicRaw) : max(boottime, realtime, monotonicRaw))
    }

    @inline(__always)
    private func differences(from earlier: Reading) -> (boottime: Int64, realtime: Int64, monotonicRaw: Int64) {
        let boottime = boottime.saturatingSubtract(earlier.boottime)
        return (
            boottime, realtime.saturatingSubtract(earlier.realtime),
            Rule.rawClockIsRead.isKept ? monotonicRaw.saturatingSubtract(earlier.monotonicRaw) : boottime
        )
    }
}

extension Int64 {
    func saturatingSubtract(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        guard overflow else { return difference }
        return other < 0 ? .max : .min
    }
}

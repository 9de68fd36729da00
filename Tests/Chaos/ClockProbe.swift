private import Election
private import Glibc
private import Platform

/// The other side of ``WallClock/check(in:)``: a process that tells what its clocks say.
package enum ClockProbe {
    package static let argument = "probe-clocks"

    /// In nanoseconds.
    struct Clocks: Sendable, CustomStringConvertible {
        let boottime: Int64
        let monotonic: Int64
        let monotonicRaw: Int64
        let realtime: Int64

        static func now() -> Clocks {
            let reading = Reading.now()
            var time = timespec()
            unsafe clock_gettime(CLOCK_MONOTONIC, &time)
            return Clocks(
                boottime: reading.boottime, monotonic: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec),
                monotonicRaw: reading.monotonicRaw, realtime: reading.realtime)
        }

        private init(boottime: Int64, monotonic: Int64, monotonicRaw: Int64, realtime: Int64) {
            self.boottime = boottime
            self.monotonic = monotonic
            self.monotonicRaw = monotonicRaw
            self.realtime = realtime
        }

        init?(_ line: Substring) {
            let numbers = line.split(separator: " ").compactMap { Int64($0) }
            guard numbers.count == 4 else { return nil }
            self.init(
                boottime: numbers[0], monotonic: numbers[1], monotonicRaw: numbers[2], realtime: numbers[3])
        }

        var description: String { "\(boottime) \(monotonic) \(monotonicRaw) \(realtime)" }
    }

    /// Prints the clocks at the begin and after each of two steps of the wall clock, for which it waits.
    ///
    /// A timer is set between looks: one that follows the wall clock would wait for an hour.
    ///
    /// - Returns: the exit code.
    package static func run() async -> Int32 {
        var last = Clocks.now()
        tell(last)
        var steps = 0
        let end = ContinuousClock.now + .seconds(60)
        while steps < 2, ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(5), clock: .continuous)
            let clocks = Clocks.now()
            if abs(clocks.realtime - clocks.boottime - last.realtime + last.boottime) > 1000 * 1_000_000_000 {
                tell(clocks)
                last = clocks
                steps += 1
            }
        }
        return steps == 2 ? 0 : 1
    }

    private static func tell(_ clocks: Clocks) {
        print(clocks)
        fflush(nil)
    }
}

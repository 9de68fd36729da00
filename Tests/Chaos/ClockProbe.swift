private import Election
private import Glibc
private import Platform

/// The other side of ``WallClock/check(with:in:)``: a process that tells what its clocks say.
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

    /// Prints the clocks, waits until the wall clock has been set forward, and prints them again.
    ///
    /// - Returns: the exit code.
    package static func run() -> Int32 {
        let first = Clocks.now()
        print(first)
        fflush(nil)
        // By a clock that is to stay true; if it does not, the lines show it.
        let end = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < end {
            let clocks = Clocks.now()
            if clocks.realtime - first.realtime > 1000 * 1_000_000_000 {
                print(clocks)
                fflush(nil)
                return 0
            }
            usleep(1000)
        }
        print("the wall clock was not seen to change")
        fflush(nil)
        return 1
    }
}

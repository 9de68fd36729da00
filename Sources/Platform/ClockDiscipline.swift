private import CLinux
private import Glibc

/// How the kernel corrects this machine's clock (adjtimex(2)); what is corrected away is how far the clock's own rate is off.
package struct ClockDiscipline: Hashable, Sendable {
    /// Parts per million by which the clock is made faster; with a synchronised clock, minus the error of its own rate.
    package let correction: Double
    /// Whether something, such as an NTP client, keeps the clock to true time.
    package let isSynchronised: Bool

    package init(correction: Double, isSynchronised: Bool) {
        self.correction = correction
        self.isSynchronised = isSynchronised
    }

    /// - Returns: nil when the kernel does not say, as in a sandbox that forbids the question.
    package static func read() -> ClockDiscipline? {
        var state = timex()
        state.modes = 0
        guard unsafe adjtimex(&state) >= 0 else { return nil }
        // The frequency has a 16-bit fraction; a tick is 10,000 microseconds at the clock's own rate (USER_HZ 100).
        let frequency = Double(state.freq) / 65_536
        let tick = Double(state.tick - 10_000) * 100
        return ClockDiscipline(
            correction: frequency + tick, isSynchronised: state.status & STA_UNSYNC == 0)
    }
}

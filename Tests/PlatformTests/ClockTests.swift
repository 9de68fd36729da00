import Election
import Testing

@testable import Platform

@Suite struct ClockTests {
    private let second: Int64 = 1_000_000_000

    /// Slewed by 8 % to run slow for 60 s, then suspended for 40 s: every clock of the machine shows too little.
    @Test func `a suspend does not hide what a slewed clock has lost`() {
        let before = Reading(boottime: 0, monotonic: 0, realtime: 0, raw: 0)
        let slewed = 60 * second / 100 * 92
        let after = Reading(
            boottime: slewed + 40 * second, monotonic: slewed, realtime: slewed + 40 * second, raw: 60 * second)
        #expect(after.elapsedForUse(since: before) == .seconds(100))
        #expect(after.elapsedForWait(since: before) <= .seconds(100))
    }

    @Test func `readings never go back`() {
        var last = Reading.now()
        for _ in 0..<1000 {
            let next = Reading.now()
            #expect(next.boottime >= last.boottime)
            #expect(next.elapsedForUse(since: last) >= .zero)
            last = next
        }
    }
}

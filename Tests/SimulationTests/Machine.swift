import Election
import Support

let second: Int64 = 1_000_000_000

/// The clocks of one machine as functions of true time: the raw one runs at a constant wrong rate, the others are
/// slewed, and the wall clock is stepped.
struct MachineClocks {
    private var since: Int64 = 0
    private var atSince: Reading
    /// Parts per million; the raw clock's never changes.
    private let rawRate: Int64
    private var slew: Int64 = 0

    init(random: inout SeededRandom) {
        rawRate = random.within(-9_900...9_900)
        atSince = Reading(
            boottime: random.within(0...1_000 * second), realtime: 1_790_000_000 * second + random.within(0...second),
            monotonicRaw: random.within(0...1_000 * second))
    }

    func reading(at time: Int64) -> Reading {
        let elapsed = time - since
        let raw = elapsed + elapsed / 1_000_000 * rawRate
        let slewed = raw + raw / 1_000_000 * slew
        return Reading(
            boottime: atSince.boottime + slewed, realtime: atSince.realtime + slewed,
            monotonicRaw: atSince.monotonicRaw + raw)
    }

    private mutating func settle(at time: Int64) {
        atSince = reading(at: time)
        since = time
    }

    mutating func stepWallClock(by step: Int64, at time: Int64) {
        settle(at: time)
        atSince.realtime += step
    }

    /// NTP slews the boot-time and the wall clock by up to 8 %.
    mutating func setSlew(_ partsPerMillion: Int64, at time: Int64) {
        settle(at: time)
        slew = partsPerMillion
    }
}

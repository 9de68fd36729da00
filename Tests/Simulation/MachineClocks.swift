package import Election
package import Support

package let second: Int64 = 1_000_000_000
package let millisecond: Int64 = 1_000_000

/// The clocks of one machine as functions of true time: the raw one runs at a constant wrong rate, the others are slewed,
/// the wall clock is stepped, and nothing runs while the machine is suspended.
package final class MachineClocks {
    private var since: Int64 = 0
    private var atSince: Reading
    /// How fast the clocks run: 1 is right.
    private let rate: Double
    private var slew = 0.0
    private var isSuspended = false

    package init(random: inout SeededRandom, rateMax: Int64, clusterRate: Int64?) {
        // Mostly at the ends of what is allowed: that is where an error in the arithmetic shows.
        let own = random.chance(60) ? (random.chance(50) ? rateMax : -rateMax) : random.within(-rateMax...rateMax)
        let partsPerMillion = clusterRate ?? own
        rate = 1 + Double(partsPerMillion) / 1e6
        atSince = Reading(
            boottime: random.within(0...1_000 * second), realtime: 1_790_000_000 * second + random.within(0...second),
            monotonicRaw: random.within(0...1_000 * second))
    }

    /// The time of a suspend is added to all clocks when it ends, as the hardware clock measured it: nothing slews that.
    private var rawRate: Double { isSuspended && !Rule.rawClockCountsSuspends.isKept ? 0 : rate }
    private var slewedRate: Double { isSuspended ? rate : rate * (1 + slew) }

    package func reading(at time: Int64) -> Reading {
        let elapsed = Double(time - since)
        let slewed = Int64(elapsed * slewedRate)
        return Reading(
            boottime: atSince.boottime + slewed, realtime: atSince.realtime + slewed,
            monotonicRaw: atSince.monotonicRaw + Int64(elapsed * rawRate))
    }

    /// The true time until which a right that began at `anchor` and lasts `limit` nanoseconds by these clocks may be used,
    /// if nothing happens to them; nil: it is over.
    func end(of limit: Int64, from anchor: Reading, at time: Int64) -> Int64? {
        let now = reading(at: time)
        guard now.nanosecondsForUse(since: anchor) < limit else { return nil }
        let slewed = Double(limit - max(now.boottime - anchor.boottime, now.realtime - anchor.realtime)) / slewedRate
        let raw = Double(limit - (now.monotonicRaw - anchor.monotonicRaw)) / rawRate
        // One nanosecond on the safe side of rounding.
        return time + max(1, Int64(min(slewed, raw)) - 1)
    }

    private func settle(at time: Int64) {
        atSince = reading(at: time)
        since = time
    }

    func stepWallClock(by step: Int64, at time: Int64) {
        settle(at: time)
        atSince.realtime += step
    }

    /// NTP slews the boot-time and the wall clock by up to 8 %.
    func setSlew(_ slew: Double, at time: Int64) {
        settle(at: time)
        self.slew = slew
    }

    func setSuspended(_ isSuspended: Bool, at time: Int64) {
        settle(at: time)
        self.isSuspended = isSuspended
    }
}

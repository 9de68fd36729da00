import Election
import Testing

struct TimingTests {
    private let timing = Timing()

    @Test func `the durations that follow from rho`() {
        #expect(timing.window(ofSeconds: 15) == .milliseconds(14_850))
        #expect(timing.staleness(ofSeconds: 15) == .milliseconds(15_150))
        #expect(timing.grantsEnd == .milliseconds(3060))
        #expect(timing.inheritedWait(ofSeconds: 300) == .seconds(306))
        #expect(timing.freeingWait(ofSeconds: 15) == .milliseconds(15_150))
        #expect(timing.freeingWait(ofSeconds: 1) == .milliseconds(3060))
        #expect(timing.deletionWait(ofSeconds: 15) == .milliseconds(136_350))
    }

    @Test func `the standby time is the larger of three renew intervals and the time-out plus two seconds, doubled`() {
        #expect((0...3).map { timing.standbyTakeover(after: $0) } == [9, 18, 36, 72].map { .seconds($0) })
        var quick = timing
        quick.renewInterval = .milliseconds(500)
        quick.requestTimeout = .milliseconds(500)
        #expect(quick.standbyTakeover(after: 0) == .milliseconds(2500))
        #expect(quick.standbyTakeover(after: .max) == quick.standbyTakeover(after: 10))
        #expect(quick.standbyTakeover(after: -1) == quick.standbyTakeover(after: 0))
    }

    /// Needed: more than margin 2 + two renew intervals 6 + time-out 3 = 11 s, and more than the grants' end.
    @Test(arguments: [(11, false), (12, true), (15, true), (300, true), (301, false), (0, false), (-5, false)])
    func `a lease duration is accepted only if its window outlives the grants and a late heartbeat`(
        seconds: Int, isAccepted: Bool
    ) {
        #expect((timing.refusal(ofSeconds: seconds) == nil) == isAccepted)
    }

    @Test func `a window that is just as long as the grants is refused`() {
        var timing = Timing()
        timing.rho = 0
        timing.grantDuration = .seconds(20)
        #expect(timing.refusal(ofSeconds: 20)?.contains("grants") == true)
        #expect(timing.refusal(ofSeconds: 21) == nil)
        timing.grantDuration = .seconds(3)
        #expect(timing.refusal(ofSeconds: 11)?.contains("margin") == true)
        #expect(timing.refusal(ofSeconds: 12) == nil)
    }

    @Test func `the defaults fit together`() { #expect(timing.problem == nil) }

    private static let misfits: [(String, @Sendable (inout Timing) -> Void)] = [
        ("renew interval", { $0.renewInterval = .zero }),
        ("poll interval", { $0.pollInterval = .seconds(-1) }),
        ("request time-out", { $0.requestTimeout = .seconds(100_000) }),
        ("request time-out", { $0.requestTimeout = $0.renewInterval + .nanoseconds(1) }),
        ("grant duration", { $0.grantDuration = .milliseconds(9) }),
        ("re-list interval", { $0.relistInterval = .seconds(Int64.max) }),
        ("commit margin", { $0.commitMargin = .seconds(-1) }),
        ("rho", { $0.rho = -1 }), ("rho", { $0.rho = 100_001 }),
        ("limit", { $0.leaseDurationLimit = 0 }), ("limit", { $0.leaseDurationLimit = .max }),
    ]

    @Test(arguments: misfits.indices) func `durations that do not fit together are named`(index: Int) {
        let (word, change) = Self.misfits[index]
        var timing = Timing()
        change(&timing)
        #expect(timing.problem?.contains(word) == true)
    }

    @Test func `an elector does not start with durations that do not fit together`() async {
        await #expect(processExitsWith: .failure) {
            var timing = Timing()
            timing.rho = -1
            _ = Elector(identity: .init(cluster: "east", uid: "u", incarnation: "i"), timing: timing)
        }
    }

    @Test func `conversions of durations round and saturate`() {
        #expect(Duration.milliseconds(3001).secondsRoundedUp == 4)
        #expect(Duration.seconds(3).secondsRoundedUp == 3)
        #expect(Duration.nanoseconds(7).nanoseconds == 7)
        #expect(Duration.seconds(Int64.max).nanoseconds == .max)
        #expect(Duration.seconds(Int64.min).nanoseconds == .min)
        #expect(Duration.milliseconds(-1500).nanoseconds == -1_500_000_000)
    }
}

struct ReadingTests {
    private let zero = Reading(boottime: 0, realtime: 0, monotonicRaw: 0)

    @Test func `a right is used by the largest difference and waited for by the smaller of two`() {
        let now = Reading(boottime: 5, realtime: 9, monotonicRaw: 3)
        #expect(now.elapsedForUse(since: zero) == .nanoseconds(9))
        #expect(now.elapsedForWait(since: zero) == .nanoseconds(3))
        let stepped = Reading(boottime: 5, realtime: -100, monotonicRaw: 7)
        #expect(stepped.elapsedForUse(since: zero) == .nanoseconds(7))
        #expect(stepped.elapsedForWait(since: zero) == .nanoseconds(5))
    }

    @Test func `differences saturate`() {
        let least = Reading(boottime: .min, realtime: .min, monotonicRaw: .min)
        let most = Reading(boottime: .max, realtime: .max, monotonicRaw: .max)
        #expect(most.nanosecondsForUse(since: least) == .max)
        #expect(least.nanosecondsForUse(since: most) == .min)
        #expect(most.elapsedForWait(since: least) == .nanoseconds(Int64.max))
        #expect(least.elapsedForWait(since: most) == .nanoseconds(Int64.min))
    }
}

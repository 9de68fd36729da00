import Support
import Testing

@testable import Webhook

struct TimeoutsTests {
    private static func duration(_ kind: Timeouts.Kind) -> Duration {
        switch kind {
        case .request: .milliseconds(50)
        case .idle: .milliseconds(300)
        case .linger: .milliseconds(10)
        }
    }

    /// The slow and obvious model: everyone's deadline in a dictionary.
    @Test(arguments: UInt64(0)..<20) func `expire as in a plain list of deadlines`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var timeouts = Timeouts(Self.duration)
        var model: [Int: Int64] = [:]
        var now: Int64 = 1000
        for _ in 0..<2000 {
            now += Int64(random.below(8))
            let index = random.below(12)
            switch random.below(3) {
            case 0:
                timeouts.cancel(index)
                model[index] = nil
            default:
                let kind = Timeouts.Kind.allCases[random.below(3)]
                timeouts.start(kind, for: index, at: now)
                model[index] = now + Timeouts.milliseconds(Self.duration(kind))
                #expect(timeouts.kind(of: index) == kind)
            }
            #expect(timeouts.next == model.values.min())
            var expired: Set<Int> = []
            while let (index, _) = timeouts.popExpired(at: now) { #expect(expired.insert(index).inserted) }
            #expect(expired == Set(model.filter { $0.value <= now }.keys))
            for index in expired { model[index] = nil }
        }
    }
}

import Testing

@testable import Chaos

struct ScheduleTests {
    private func rounds(_ count: Int, seed: UInt64) -> [Schedule.Round] {
        var schedule = Schedule(seed: seed)
        return (0..<count).map { _ in schedule.next() }
    }

    @Test func `the same seed makes the same faults, and another seed others`() {
        #expect(rounds(50, seed: 1) == rounds(50, seed: 1))
        #expect(rounds(50, seed: 1) != rounds(50, seed: 2))
    }

    @Test func `every kind of fault has its turn alone within 75 rounds`() {
        let labels = rounds(75, seed: 4).compactMap { $0.single?.label }
        let all = Set(rounds(2000, seed: 5).flatMap(\.faults).map(\.label))
        #expect(Set(labels) == all)
        #expect(all.count > 20)
    }

    @Test func `a soak has faults of every kind but clock jumps, and ends processes of the last cluster only`() {
        var schedule = Schedule(
            seed: 1, soak: Soak.Plan(interval: .seconds(1), hasAPIServer: true, tolerance: .long))
        let faults = (0..<100).flatMap { _ in schedule.next().faults }
        let ended = faults.filter { fault in
            switch fault.kind {
            case .kill, .leave: true
            default: false
            }
        }
        #expect(ended.count >= 10)
        #expect(ended.allSatisfy { $0.victim == .cluster(ChaosSettings.clusters.count - 1) })
        #expect(Set(faults.map(\.label)).count == 42)
    }
}

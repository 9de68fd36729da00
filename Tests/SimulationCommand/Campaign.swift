import FoundationEssentials
import Simulation
import Synchronization

/// Many runs, on several threads, in the order of their seeds.
struct Campaign {
    let jobs: Int
    var makeWorld: @Sendable (_ seed: UInt64) -> World = { World(seed: $0) }
    /// Whether to go on after a violation.
    var countsViolations = false
    var showsProgress = true

    struct Totals {
        var seeds: UInt64 = 0
        var simulated: Int64 = 0
        var faults = 0
        var leaderChanges = 0
        var violations = 0
        /// The violation with the lowest seed.
        var first: (seed: UInt64, violation: Violation)?
        fileprivate var shown = ContinuousClock.now

        var line: String {
            "\(seeds) seeds, \(simulated / second / 3600) simulated hours, \(faults) faults, \(leaderChanges) changes of "
                + "leader, \(violations) violations"
        }
    }

    /// What the threads have in common.
    private final class Shared: Sendable {
        let next: Atomic<UInt64>
        let totals = Mutex(Totals())

        init(from seed: UInt64) { next = Atomic(seed) }
    }

    /// Runs the seeds, and explains the first violation.
    ///
    /// - Returns: whether every promise was kept.
    func run(_ seeds: Range<UInt64>, explaining: Bool) async -> Bool {
        let start = ContinuousClock.now
        let totals = await totals(of: seeds)
        let took = (ContinuousClock.now - start) / .seconds(1)
        print("\(totals.line), in \(rounded(took)) s")
        guard let (seed, violation) = totals.first else { return true }
        if explaining { explain(seed, violation) }
        return false
    }

    func totals(of seeds: Range<UInt64>) async -> Totals {
        let shared = Shared(from: seeds.lowerBound)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<jobs {
                group.addTask { [makeWorld, countsViolations, showsProgress] in
                    while true {
                        let seed = shared.next.add(1, ordering: .relaxed).oldValue
                        guard seed < seeds.upperBound else { return }
                        // A lower seed may still be under way elsewhere; higher ones need not begin.
                        if !countsViolations, shared.totals.withLock({ $0.first != nil }) { return }
                        let world = makeWorld(seed)
                        var violation: Violation?
                        do throws(Violation) { try world.run() } catch { violation = error }
                        shared.totals.withLock { totals in
                            totals.seeds += 1
                            totals.simulated += world.time
                            totals.faults += world.faults
                            totals.leaderChanges += world.leaderChanges
                            if let violation {
                                totals.violations += 1
                                if seed < totals.first?.seed ?? .max { totals.first = (seed, violation) }
                            }
                            if showsProgress, totals.shown.duration(to: .now) > .seconds(10) {
                                totals.shown = .now
                                print("  \(totals.line)")
                            }
                        }
                    }
                }
            }
        }
        return shared.totals.withLock { $0 }
    }

    /// Looks for the shortest prefix of the run's faults with which it still fails, and draws that run.
    private func explain(_ seed: UInt64, _ violation: Violation) {
        print("\nSeed \(seed) breaks the promise of \(violation.promise): \(violation)")
        func fails(with faults: Int) -> Bool {
            do {
                try World(seed: seed, faultLimit: faults).run()
                return false
            } catch { return error.promise == violation.promise }
        }
        let whole = World(seed: seed)
        try? whole.run()
        var (passing, failing) = (-1, whole.faults)
        while failing - passing > 1 {
            let middle = (passing + failing) / 2
            if fails(with: middle) { failing = middle } else { passing = middle }
        }
        // Fewer faults are not always more harmless: some lower ones may fail, too.
        if let lower = (max(0, failing - 60)..<failing).first(where: fails) { failing = lower }
        let world = World(seed: seed, faultLimit: failing, isTraced: true)
        try? world.run()
        let namespace = world.violation?.namespace ?? world.history.namespaces[0]
        let timeline = Timeline(
            of: world.history, namespace: namespace,
            leaseDuration: Int64(world.setting.durations.max() ?? 15) * second)
        print("It still does with the first \(failing) of its \(whole.faults) faults. \(namespace):\n")
        print(timeline.text())
        print("\nAs a picture: leasehold-sim show --seed \(seed) --faults \(failing) --svg seed-\(seed).svg")
    }
}

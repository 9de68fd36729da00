import Election
import Simulation
import Testing

/// A few runs of the simulation, so that a change which breaks the election shows within seconds; `make simulate-seeds` runs
/// thousands, optimised, and breaks each rule on purpose.
@Suite struct SimulationTests {
    @Test(arguments: UInt64(0)..<12) func `never admits two clusters, and always finds a leader again`(seed: UInt64)
        throws
    {
        let world = World(seed: seed)
        try world.run()
        #expect(world.admissions > 0)
    }

    @Test(arguments: [UInt64(3), 10]) func `the same seed is the same run, to the byte`(seed: UInt64) {
        func run() -> String {
            let world = World(seed: seed, isTraced: true)
            try? world.run()
            return world.history.entries.map { "\($0)" }.joined(separator: "\n")
        }
        let first = run()
        #expect(!first.isEmpty)
        #expect(run() == first)
    }

    @Test func `a run leaves nothing behind, of which the runs of a night would fill the memory`() throws {
        weak var world: World?
        do {
            let run = World(seed: 1)
            world = run
            try run.run()
        }
        #expect(world == nil)
    }

    @Test func `tracing a run does not change it`() throws {
        let (plain, traced) = (World(seed: 5), World(seed: 5, isTraced: true))
        try plain.run()
        try traced.run()
        #expect(plain.admissions == traced.admissions && plain.faults == traced.faults)
    }

    @Test func `without faults nothing goes wrong, and faults beyond the limit do not happen`() throws {
        let calm = World(seed: 2, faultLimit: 0, isTraced: true)
        try calm.run()
        #expect(calm.leaderChanges <= calm.setting.namespaces.count)
        #expect(
            !calm.history.entries.contains {
                switch $0.kind {
                case .stopped, .heldUp, .suspended, .cutOff: true
                default: false
                }
            })
    }

    /// What the checker must see, or no run of it proves anything.
    @Test(arguments: RenewedLease.Scheme.allCases) func `a scheme that is not safe is caught`(
        scheme: RenewedLease.Scheme
    ) {
        let caught = (UInt64(0)..<40).contains { seed in
            let world = World(seed: seed, ignoresLeaseVersions: scheme == .unconditional) { identity, timing, _ in
                RenewedLease(scheme, identity: identity, timing: timing)
            }
            do throws(Violation) {
                try world.run()
                return false
            } catch { return error.promise == .exclusion }
        }
        #expect(caught)
    }
}

import FoundationEssentials
import Testing

/// `LEASEHOLD_SEEDS=2000` runs more than the usual number.
private let seeds = ProcessInfo.processInfo.environment["LEASEHOLD_SEEDS"].flatMap(UInt64.init) ?? 60

@Suite(.serialized) struct SimulationTests {
    @Test(arguments: 0..<seeds) func `never admits two clusters, and always finds a leader again`(seed: UInt64)
        throws
    {
        try check(Simulation(seed: seed))
    }

    /// `LEASEHOLD_SEED=13 swift test --filter SimulationTests.replay` prints what happened in one run.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["LEASEHOLD_SEED"] != nil)) func replay() throws {
        let seed = try #require(UInt64(ProcessInfo.processInfo.environment["LEASEHOLD_SEED"] ?? ""))
        let simulation = Simulation(seed: seed, traced: true)
        defer { for line in simulation.trace { print(line) } }
        try check(simulation)
    }

    private func check(_ simulation: Simulation) throws {
        try simulation.run()
        #expect(simulation.admissionsChecked > 0)
    }
}

import Simulation

/// Simpler schemes in the same trouble.
enum Comparison {
    static func world(
        seed: UInt64, scheme: RenewedLease.Scheme?, clockRateMax: Int64? = nil, faultLimit: Int = .max,
        isTraced: Bool = false
    ) -> World {
        guard let scheme else {
            return World(seed: seed, clockRateMax: clockRateMax, faultLimit: faultLimit, isTraced: isTraced)
        }
        return World(
            seed: seed, clockRateMax: clockRateMax, faultLimit: faultLimit, isTraced: isTraced,
            ignoresLeaseVersions: scheme == .unconditional
        ) { identity, timing, _ in RenewedLease(scheme, identity: identity, timing: timing) }
    }

    static func run(_ seeds: Range<UInt64>, jobs: Int) async {
        print("| scheme | clocks wrong by | faults | runs | broken |\n|---|---|---|---|---|")
        for (rates, faults) in [(Int64(50), 0), (50, 10), (50, .max), (9_900, .max)] {
            for scheme in [RenewedLease.Scheme.wallClock, .unconditional, nil] {
                var campaign = Campaign(jobs: jobs, showsProgress: false)
                campaign.countsViolations = true
                campaign.makeWorld = { world(seed: $0, scheme: scheme, clockRateMax: rates, faultLimit: faults) }
                let totals = await campaign.totals(of: seeds)
                print(
                    "| \(scheme?.rawValue ?? "Leasehold") | \(rates) ppm | \(faults == .max ? "all" : "\(faults)") | "
                        + "\(totals.seeds) | \(totals.violations) |")
            }
        }
    }
}

import Election
import Simulation

/// Breaks one safety rule after the other, and looks for a run that notices.
enum Mutants {
    /// - Returns: whether every broken rule was noticed.
    static func run(seedsMax: UInt64, jobs: Int) async -> Bool {
        #if BREAKABLE_RULES
            var survivors: [Rule] = []
            print("| broken rule | caught by seed | promise | what happened |\n|---|---|---|---|")
            for rule in Rule.allCases {
                // No elector exists between two campaigns.
                unsafe Rule.broken = rule
                let campaign = Campaign(jobs: jobs, showsProgress: false)
                guard let (seed, violation) = await campaign.totals(of: 0..<seedsMax).first else {
                    survivors.append(rule)
                    print("| `\(rule.rawValue)` | none of \(seedsMax) | | |")
                    continue
                }
                print("| `\(rule.rawValue)` | \(seed) | \(violation.promise) | \(violation) |")
            }
            unsafe Rule.broken = nil
            print(
                survivors.isEmpty
                    ? "\nAll \(Rule.allCases.count) broken rules were caught."
                    : "\nNOT caught within \(seedsMax) seeds: \(survivors.map(\.rawValue).joined(separator: ", "))")
            return survivors.isEmpty
        #else
            print("This build cannot break rules: use `make mutants`.")
            return false
        #endif
    }
}

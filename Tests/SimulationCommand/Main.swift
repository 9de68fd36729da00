import Election
import FoundationEssentials
import Simulation
@main struct Main {
    static func main() {
        let a = CommandLine.arguments
        let from = UInt64(a[1])!, to = UInt64(a[2])!
        if a.count > 3, a[3] != "-" {
            #if BREAKABLE_RULES
            guard let rule = Rule(rawValue: a[3]) else { fatalError("no rule \(a[3])") }
            unsafe Rule.broken = rule
            #endif
        }
        if a.count > 4 {
            let world = World(seed: from, isTraced: true)
            do { try world.run() } catch { }
            print("DIRECTED", world.setting.isDirected, world.setting.durations); for e in world.history.entries { print(Double(e.time) / 1e9, e.who, e.kind) }
            return
        }
        var bad = 0
        let start = ContinuousClock.now
        var changes = 0, faults = 0
        for seed in from..<to {
            let world = World(seed: seed)
            do { try world.run() } catch { bad += 1; print("seed \(seed): \(error.promise) \(error)"); if a.count > 3 { break } }
            changes += world.leaderChanges
            faults += world.faults
        }
        print("\(to - from) seeds, \(bad) violations, \(changes) changes, \(faults) faults, \(ContinuousClock.now - start)")
    }
}

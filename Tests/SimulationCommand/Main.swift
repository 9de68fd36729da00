import Election
import FoundationEssentials
import Simulation

/// Runs simulated elections: `leasehold-sim help`.
@main enum Main {
    private static let help = """
        Runs whole elections in simulated time, and checks the promises of the protocol.

          leasehold-sim run [--seeds FROM..TO] [--jobs N] [--break RULE]   many runs; exit 1 if a promise is broken
          leasehold-sim forever [--seeds FROM..] [--jobs N]                until stopped, or a promise is broken
          leasehold-sim show --seed N [--svg FILE] [--namespace NAME] [--from S] [--to S] [--faults N] [--break RULE]
                             [--scheme wallClock|unconditional] [--rates PPM]     one run as a timeline
          leasehold-sim mutants [--seeds N] [--jobs N]                     breaks each rule; exit 1 if nobody notices
          leasehold-sim compare [--seeds FROM..TO] [--jobs N]              simpler schemes, in the same trouble
          leasehold-sim speed                                             simulated time per second on one core
        """

    static func main() async {
        do {
            let arguments = try Arguments(Array(CommandLine.arguments.dropFirst()))
            try await run(arguments)
        } catch let error as UsageError {
            printError("leasehold-sim: \(error.text)")
            finish(2)
        } catch {
            printError("leasehold-sim: \(error)")
            finish(1)
        }
    }

    private static func run(_ arguments: Arguments) async throws {
        try breakRule(arguments["break"])
        let jobs = try arguments.number("jobs") ?? ProcessInfo.processInfo.activeProcessorCount
        switch arguments.verb {
        case "run":
            let seeds = try arguments.seeds ?? 0..<2000
            finish(await Campaign(jobs: jobs).run(seeds, explaining: true) ? 0 : 1)
        case "forever":
            let start = try arguments.seeds?.lowerBound ?? UInt64(Date().timeIntervalSince1970) * 1_000_000
            finish(await Campaign(jobs: jobs).run(start..<UInt64.max, explaining: true) ? 0 : 1)
        case "show": try show(arguments)
        case "mutants":
            finish(await Mutants.run(seedsMax: UInt64(try arguments.number("seeds") ?? 2000), jobs: jobs) ? 0 : 1)
        case "compare": await Comparison.run(try arguments.seeds ?? 0..<300, jobs: jobs)
        case "speed": measureSpeed()
        default: print(help)
        }
    }

    private static func breakRule(_ name: String?) throws(UsageError) {
        guard let name else { return }
        guard let rule = Rule(rawValue: name) else {
            throw UsageError(
                "there is no rule \(name); there are \(Rule.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        #if BREAKABLE_RULES
            unsafe Rule.broken = rule
        #else
            throw UsageError("this build cannot break \(rule.rawValue): build it as `make simulate` does")
        #endif
    }

    private static func show(_ arguments: Arguments) throws {
        guard let seed = try arguments.number("seed").map(UInt64.init) else { throw UsageError("show needs --seed N") }
        let scheme = try arguments["scheme"].map { name in
            guard let scheme = RenewedLease.Scheme(rawValue: name) else {
                throw UsageError("there is no scheme \(name)")
            }
            return scheme
        }
        let world = Comparison.world(
            seed: seed, scheme: scheme, clockRateMax: try arguments.number("rates").map(Int64.init),
            faultLimit: try arguments.number("faults") ?? .max, isTraced: true)
        var title = "Seed \(seed)"
        do { try world.run() } catch { title += ": \(error)" }
        let namespace =
            arguments["namespace"] ?? world.violation?.namespace ?? Timeline.namespaceWithOverlap(in: world.history)
            ?? world.history.namespaces[0]
        let timeline = Timeline(
            of: world.history, namespace: namespace, from: try arguments.number("from").map { Int64($0) * second },
            to: try arguments.number("to").map { Int64($0) * second },
            leaseDuration: Int64(world.setting.durations.max() ?? 15) * second)
        if let file = arguments["svg"] {
            try Data(timeline.svg(title: title).utf8).write(to: URL(filePath: file))
            print("\(title)\nThe timeline of \(namespace) is in \(file).")
        } else {
            print("\(title)\n\(timeline.text())")
        }
    }

    /// Three clusters with ten namespaces each, in ordinary trouble.
    private static func measureSpeed() {
        var setting = Setting()
        setting.clusters = 3
        setting.namespaces = (0..<10).map { "n\($0)" }
        var simulated: Int64 = 0
        let start = processorTime()
        for seed in UInt64(0)..<50 {
            let world = World(seed: seed, setting: setting)
            do { try world.run() } catch { print("seed \(seed): \(error)") }
            simulated += world.time
        }
        let took = Double(processorTime() - start) / 1e9
        print(
            "\(Int(Double(simulated) / 1e9 / took)) times real time: \(simulated / second) s in \(rounded(took)) s of one core's time"
        )
    }
}

func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

struct UsageError: Error {
    let text: String
    init(_ text: String) { self.text = text }
}

/// `VERB --name value ...`
struct Arguments {
    let verb: String
    private var values: [String: String] = [:]

    init(_ arguments: [String]) throws(UsageError) {
        verb = arguments.first ?? "help"
        var rest = arguments.dropFirst()
        while let name = rest.popFirst() {
            guard name.hasPrefix("--"), let value = rest.popFirst() else {
                throw UsageError("\(name) is not a flag with a value; see `leasehold-sim help`")
            }
            values[String(name.dropFirst(2))] = value
        }
    }

    subscript(_ name: String) -> String? { values[name] }

    func number(_ name: String) throws(UsageError) -> Int? {
        guard let text = values[name] else { return nil }
        guard let number = Int(text), number >= 0 else {
            throw UsageError("--\(name) is \(text), which is not a number")
        }
        return number
    }

    /// `--seeds FROM..TO`, TO not included, or `--seeds N` for 0..N.
    var seeds: Range<UInt64>? {
        get throws(UsageError) {
            guard let text = values["seeds"] else { return nil }
            let parts = text.split(separator: ".", omittingEmptySubsequences: true).map { UInt64($0) }
            if parts.count == 1, let only = parts[0] { return text.hasSuffix(".") ? only..<UInt64.max : 0..<only }
            guard parts.count == 2, let from = parts[0], let to = parts[1], from < to else {
                throw UsageError("--seeds is \(text), which is not FROM..TO")
            }
            return from..<to
        }
    }
}

/// What one process used, over time.
struct Usage: Hashable, Sendable {
    struct Sample: Hashable, Sendable {
        /// In seconds since the begin of the run.
        let time: Double
        /// The number of the process's start.
        let start: Int
        /// Memory that no file is behind (RssAnon), and with that (VmRSS).
        let anonymousBytes: Int
        let residentBytes: Int
        let descriptors: Int
        let threads: Int
    }

    enum Quantity: String, Hashable, Sendable, CaseIterable {
        case memory = "MiB"
        case descriptors = "descriptors"
        case threads = "threads"

        func value(_ sample: Sample) -> Double {
            switch self {
            case .memory: Double(sample.anonymousBytes) / 1_048_576
            case .descriptors: Double(sample.descriptors)
            case .threads: Double(sample.threads)
            }
        }
    }

    /// What counts as flat, though it is more at the end.
    struct Tolerance: Hashable, Sendable {
        var memory: Double
        let descriptors: Double
        let threads: Double

        /// Of a run in which warming up is over after the first quarter. What leaks 8 KiB with each of the certificates of
        /// an hour, or 200 bytes with each connection, is beyond it.
        static let long = Tolerance(memory: 2, descriptors: 4, threads: 2)
        /// Of a few minutes, all of which are warming up: also, connections that were made with former certificates end
        /// after two minutes.
        static let short = Tolerance(memory: 8, descriptors: 24, threads: 6)

        func of(_ quantity: Quantity) -> Double {
            switch quantity {
            case .memory: memory
            case .descriptors: descriptors
            case .threads: threads
            }
        }
    }

    /// From the second quarter of the run to the last one, by what three of four samples of it exceed: what leaks is never
    /// given back, whereas what faults take comes and goes, some dozen connections at a time.
    struct Growth: Hashable, Sendable {
        let quantity: Quantity
        let early: Double
        let late: Double
        let isGrowing: Bool
    }

    let process: String
    var samples: [Sample] = []
    /// Its own counters as it told them last, all labels together.
    var counters: [String: Double] = [:]

    /// Whether it was one process all the time, so that its end can be compared with its begin.
    var isWhole: Bool { Set(samples.map(\.start)).count == 1 && samples.count >= 8 }

    func growth(_ tolerance: Tolerance) -> [Growth] {
        let quarter = samples.count / 4
        return Quantity.allCases.map { quantity in
            let values = samples.map { quantity.value($0) }
            let early = Self.low(values[quarter..<2 * quarter])
            let late = Self.low(values[(values.count - quarter)...])
            return Growth(
                quantity: quantity, early: early, late: late, isGrowing: late - early > tolerance.of(quantity))
        }
    }

    private static func low(_ values: ArraySlice<Double>) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 4]
    }
}

import FoundationEssentials
import Support

/// What `make abuse` measures: printed as a table, and kept as JSON.
enum AbuseReport {
    struct Row: Codable {
        var crowd: String
        var connections: Int
        /// Connections that have come and gone meanwhile.
        var finished: Int
        /// Of good clients before the crowd came.
        var p99AloneMilliseconds: Double
        /// Beside the crowd.
        var p99BesideMilliseconds: Double
        /// Of another webhook that has no crowd, in turn with those beside it.
        var p99ElsewhereMilliseconds: Double
        /// Beside the crowd, as a multiple of elsewhere.
        var p99Ratio: Double
        var memoryMiB: Int
        var memoryPeakMiB: Int
        var memoryAfterMiB: Int

        init(
            crowd: String, connections: Int, finished: Int, alone: GoodClients.Latencies,
            beside: GoodClients.Latencies, elsewhere: GoodClients.Latencies, memoryMiB: Int, memoryPeakMiB: Int,
            memoryAfterMiB: Int
        ) {
            func rounded(_ number: Double) -> Double { (number * 100).rounded() / 100 }
            self.crowd = crowd
            self.connections = connections
            self.finished = finished
            p99AloneMilliseconds = rounded(alone.percentile(0.99))
            p99BesideMilliseconds = rounded(beside.percentile(0.99))
            p99ElsewhereMilliseconds = rounded(elsewhere.percentile(0.99))
            p99Ratio = rounded(beside.percentile(0.99) / elsewhere.percentile(0.99))
            self.memoryMiB = memoryMiB
            self.memoryPeakMiB = memoryPeakMiB
            self.memoryAfterMiB = memoryAfterMiB
        }
    }

    /// Prints a row, and adds it to the file that LEASEHOLD_ABUSE_REPORT names.
    static func add(_ row: Row) throws {
        print(
            "| \(row.crowd) | \(row.connections) | \(row.finished) | \(row.p99AloneMilliseconds) | "
                + "\(row.p99ElsewhereMilliseconds) | \(row.p99BesideMilliseconds) | \(row.p99Ratio) | \(row.memoryMiB) | \(row.memoryPeakMiB) | \(row.memoryAfterMiB) |"
        )
        guard let path = ProcessInfo.processInfo.environment["LEASEHOLD_ABUSE_REPORT"] else { return }
        let file = URL(filePath: path)
        var rows = (try? JSONDecoder().decode([Row].self, from: Data(contentsOf: file))) ?? []
        rows.removeAll { $0.crowd == row.crowd }
        rows.append(row)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(rows).write(to: file)
    }
}

internal import FoundationEssentials
private import Glibc

/// What one number of namespaces cost.
struct ScaleFigures: Codable, Sendable {
    /// While nothing happened, for one cluster.
    struct Rest: Codable, Sendable {
        let cluster: String
        let seconds: Double
        /// Heartbeats and lists of the members, within ``storeSeconds``.
        let storeRequests: Int
        /// Pages of the list of all leases, once a minute.
        let storeLeaseLists: Int
        let storeSeconds: Double
        let kubernetesHeartbeats: Int
        let kubernetesOtherWrites: Int
        let kubernetesReads: Int
        /// Milliseconds a second.
        let controllerCPU: Double
        let webhookCPU: Double
        let controller: ProcessFigures
        let webhook: ProcessFigures
        /// Answers to webhooks, and what they weighed; of the one that leads.
        let grants: Int?
        let grantsBytes: Int?

        var storeRequestsPerInterval: Double {
            Double(storeRequests) * ScaleRun.renewInterval.inSeconds / storeSeconds
        }
    }

    struct Takeover: Codable, Sendable {
        /// From the kill until the store had the last claim.
        let seconds: Double
        /// From the first claim until then, and what the store alone would have taken with all claims that may be in flight.
        let claimingSeconds: Double
        let claimingSecondsLeast: Double
        /// Until the webhook admitted a write in the last namespace.
        let admittedSeconds: Double
        let controllerResidentBytesMax: Int
        let webhookResidentBytesMax: Int
    }

    let namespaces: Int
    /// From the start of the first controller until it led everything.
    let ledSeconds: Double
    /// Until the Lease objects of both clusters said so.
    let toldSeconds: Double
    let rest: [Rest]
    /// With the whole table, which is sent when it has changed, and without.
    let grantTableBytes: Int
    let grantTimeBytes: Int
    let takeover: Takeover
}

/// All sizes, and whether the bounds hold.
struct ScaleReport {
    static let controllerBytesMax = 96 << 20
    static let webhookBytesMax = 32 << 20
    private static let trickleMax = 5

    let sizes: [ScaleFigures]

    /// As sentences; empty: all hold.
    var brokenBounds: [String] {
        sizes.flatMap { size in size.rest.flatMap { Self.brokenBounds($0, namespaces: size.namespaces) } }
    }

    private static func brokenBounds(_ rest: ScaleFigures.Rest, namespaces: Int) -> [String] {
        let place = "\(rest.cluster) with \(namespaces) namespaces:"
        func intervals(_ seconds: Double) -> Int { Int(seconds / ScaleRun.renewInterval.inSeconds) + 1 }
        var broken: [String] = []
        func check(_ value: Int, _ most: Int, _ what: String) {
            if value > most { broken.append("\(place) \(what): \(value), at most \(most) is promised") }
        }
        check(rest.storeRequests, 2 * intervals(rest.storeSeconds), "requests to the store in \(rest.storeSeconds) s")
        check(rest.kubernetesHeartbeats, intervals(rest.seconds), "heartbeats to the API server in \(rest.seconds) s")
        check(
            rest.kubernetesOtherWrites, trickleMax * (Int(rest.seconds) + 1),
            "other writes to the API server in \(rest.seconds) s")
        check(rest.controller.residentBytes, controllerBytesMax, "resident bytes of the controller")
        check(rest.webhook.residentBytes, webhookBytesMax, "resident bytes of the webhook")
        return broken
    }

    // MARK: - For people

    var text: String {
        var lines = ["What namespaces cost, with the leading cluster's figures / the other's:", ""]
        lines += table + [""]
        lines += brokenBounds.isEmpty ? ["All bounds hold."] : brokenBounds.map { "BROKEN: \($0)" }
        return lines.joined(separator: "\n")
    }

    private var table: [String] {
        func row(_ title: String, _ cell: (ScaleFigures) -> String) -> [String] { [title] + sizes.map(cell) }
        func pair(_ size: ScaleFigures, _ text: (ScaleFigures.Rest) -> String) -> String {
            size.rest.map(text).joined(separator: " / ")
        }
        func mebibytes(_ bytes: Int) -> String { Self.decimal(Double(bytes) / 1_048_576, 1) }
        let rows = [
            row("namespaces") { "\($0.namespaces)" },
            row("all led after, s") { Self.decimal($0.ledSeconds, 1) },
            row("all Lease objects say so after, s") { Self.decimal($0.toldSeconds, 1) },
            row("store requests per renew interval") { pair($0) { Self.decimal($0.storeRequestsPerInterval, 1) } },
            row("API heartbeats per renew interval") {
                pair($0) { Self.decimal(Double($0.kubernetesHeartbeats) * 3 / $0.seconds, 1) }
            },
            row("other API writes a second") {
                pair($0) { Self.decimal(Double($0.kubernetesOtherWrites) / $0.seconds, 1) }
            },
            row("controller CPU, ms a second") { pair($0) { Self.decimal($0.controllerCPU, 1) } },
            row("webhook CPU, ms a second") { pair($0) { Self.decimal($0.webhookCPU, 1) } },
            row("controller resident, MiB") { pair($0) { mebibytes($0.controller.residentBytes) } },
            row("controller's own memory, MiB") { pair($0) { mebibytes($0.controller.anonymousBytes) } },
            row("webhook resident, MiB") { pair($0) { mebibytes($0.webhook.residentBytes) } },
            row("webhook's own memory, MiB") { pair($0) { mebibytes($0.webhook.anonymousBytes) } },
            row("webhook resident at most, MiB") { pair($0) { mebibytes($0.webhook.residentBytesMax) } },
            row("grant with the table, KB") { Self.decimal(Double($0.grantTableBytes) / 1000, 1) },
            row("grant without, bytes") { "\($0.grantTimeBytes)" },
            row("grants a second at rest") {
                Self.decimal(Double($0.rest[0].grants ?? 0) / $0.rest[0].seconds, 1)
            },
            row("grants at rest, bytes each") { "\(($0.rest[0].grantsBytes ?? 0) / max(1, $0.rest[0].grants ?? 0))" },
            row("taken over after the kill, s") { Self.decimal($0.takeover.seconds, 1) },
            row("of that claiming, s") { Self.decimal($0.takeover.claimingSeconds, 2) },
            row("the store alone, s") { Self.decimal($0.takeover.claimingSecondsLeast, 2) },
            row("last one admitted after, s") { Self.decimal($0.takeover.admittedSeconds, 1) },
        ]
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + space : space + cell
            }.joined(separator: "  ")
        }
    }

    static func decimal(_ value: Double, _ digits: Int) -> String {
        let scale = digits == 0 ? 1 : digits == 1 ? 10 : 100
        let number = Int((value * Double(scale)).rounded())
        return digits == 0 ? "\(number)" : "\(number / scale)." + "\(scale + number % scale)".dropFirst()
    }

    // MARK: - For programs

    private struct Document: Encodable {
        struct Bounds: Encodable {
            let storeRequestsPerInterval = 2
            let controllerResidentBytes = ScaleReport.controllerBytesMax
            let webhookResidentBytes = ScaleReport.webhookBytesMax
        }
        let renewIntervalSeconds = ScaleRun.renewInterval.inSeconds
        let storeDelaySeconds = ScaleRun.storeDelay.inSeconds
        let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        let bounds = Bounds()
        let broken: [String]
        let sizes: [ScaleFigures]
    }

    /// - Parameter path: of both files, without their ends.
    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let json = String(decoding: try encoder.encode(Document(broken: brokenBounds, sizes: sizes)), as: UTF8.self)
        try Data((json + "\n").utf8).write(to: URL(filePath: path + ".json"))
        try Data(ScalePicture(sizes).svg.utf8).write(to: URL(filePath: path + ".svg"))
    }
}

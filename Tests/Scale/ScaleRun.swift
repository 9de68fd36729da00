private import Glibc
internal import Support

/// Measures one size after the other: two clusters share a store that takes its time, and one of them leads everything
/// until it is killed.
struct ScaleRun {
    /// What every request to the store takes at least, about as long as in a region's bucket.
    static let storeDelay = Duration.milliseconds(50)
    /// The product's default.
    static let renewInterval = Duration.seconds(3)
    private static let restLength = renewInterval * 6
    /// Claims in flight at once.
    static let claimsMax = 64

    /// - Parameter path: of the report's files, without their ends; written after each size, as a larger one may be more than
    ///   the machine can do.
    func measure(_ sizes: [Int], writingTo path: String) async throws -> ScaleReport {
        say("Starts two API servers ...")
        let east = try await ScaleCluster.start("east")
        let west = try await ScaleCluster.start("west")
        let emulator = try GCSEmulator()
        emulator.inject(.delay(Self.storeDelay), count: nil)
        var figures: [ScaleFigures] = []
        for size in sizes {
            say("\(size) namespaces: makes them ...")
            try await west.makeNamespaces((figures.last?.namespaces ?? 0)..<size)
            try await east.makeNamespaces((figures.last?.namespaces ?? 0)..<size)
            // Made anew: an empty one.
            emulator.deleteBucket(ScaleCluster.bucket)
            emulator.makeBucket(ScaleCluster.bucket)
            figures.append(try await Measurement(size: size, east: east, west: west, emulator: emulator).run())
            for cluster in [east, west] { await cluster.kill() }
            try ScaleReport(sizes: figures).write(to: path)
        }
        return ScaleReport(sizes: figures)
    }

    /// One size.
    private struct Measurement {
        let size: Int
        let east: ScaleCluster
        let west: ScaleCluster
        let emulator: GCSEmulator

        func run() async throws -> ScaleFigures {
            let start = ContinuousClock.now
            try east.start(store: emulator)
            try await wait("east leads all") { try await number("leasehold_leases_led", of: east) == size }
            let ledAfter = ContinuousClock.now - start
            say("  east led all after \(ledAfter.inSeconds) s")
            try west.start(store: emulator)
            try await wait("west follows") { try await number("leasehold_leases_led_elsewhere", of: west) == size }
            let told = try await settle(since: start)
            say(
                "  the Lease objects of both said so after \(told.inSeconds) s; rests for \(ScaleRun.restLength.inSeconds) s"
            )
            let rest = try await rest()
            let grant = try await east.grantBytes()
            let takeover = try await takeOver()
            say(
                "  killed; west led all after \(takeover.ledAll.inSeconds) s, \(takeover.claiming.inSeconds) s of that with claims"
            )
            return ScaleFigures(
                namespaces: size, ledSeconds: ledAfter.inSeconds, toldSeconds: told.inSeconds, rest: rest,
                grantTableBytes: grant.table, grantTimeBytes: grant.time,
                takeover: ScaleFigures.Takeover(
                    seconds: takeover.ledAll.inSeconds, claimingSeconds: takeover.claiming.inSeconds,
                    claimingSecondsLeast: (ScaleRun.storeDelay * ((size + ScaleRun.claimsMax - 1) / ScaleRun.claimsMax))
                        .inSeconds,
                    admittedSeconds: takeover.admitted.inSeconds,
                    controllerResidentBytesMax: try ProcessFigures(of: west.processes().controller.pid)
                        .residentBytesMax,
                    webhookResidentBytesMax: try ProcessFigures(of: west.processes().webhook.pid).residentBytesMax))
        }

        private func wait(_ what: String, _ condition: () async throws -> Bool) async throws {
            let limit = ContinuousClock.now + .seconds(300)
            while try await !condition() {
                guard .now < limit else { throw ChildProcess.Failure("waited in vain: \(what) (\(size) namespaces)") }
                try await Task.sleep(for: .milliseconds(100))
            }
        }

        private func number(_ name: Substring, of cluster: ScaleCluster) async throws -> Int? {
            try await cluster.metrics()?[name].map { Int($0) }
        }

        /// Waits until what is left of the writes to the API servers is the trickle.
        private func settle(since start: ContinuousClock.Instant) async throws -> Duration {
            func writes() async throws -> Double {
                var sum = 0.0
                for cluster in [east, west] {
                    for (series, value) in try await cluster.metrics() ?? [:]
                    where series.hasPrefix("leasehold_kubernetes_writes_total{") { sum += value }
                }
                return sum
            }
            var before = try await writes()
            var end = ContinuousClock.now - start
            var calm = 0
            while calm < 3 {
                try await Task.sleep(for: .seconds(1))
                let now = try await writes()
                // Of each a heartbeat, and five others; a second may be a little longer.
                if now - before <= 14 { calm += 1 } else { (calm, end) = (0, ContinuousClock.now - start) }
                before = now
            }
            return end
        }

        private struct Moment {
            let time: ContinuousClock.Instant
            let controllers: [ProcessFigures]
            let webhooks: [ProcessFigures]
            let apiRequests: [[ControlPlane.RequestCount]]
            let grantsBytes: Double
            let grants: Double
        }

        private func moment() async throws -> Moment {
            let clusters = [east, west]
            var apiRequests: [[ControlPlane.RequestCount]] = []
            for cluster in clusters { apiRequests.append(try await cluster.plane.requestCounts()) }
            let metrics = try await east.metrics() ?? [:]
            return Moment(
                time: .now,
                controllers: try clusters.map { try ProcessFigures(of: $0.processes().controller.pid) },
                webhooks: try clusters.map { try ProcessFigures(of: $0.processes().webhook.pid) },
                apiRequests: apiRequests,
                grantsBytes: metrics[#"leasehold_server_sent_bytes_total{server="grants"}"#] ?? 0,
                grants: metrics.reduce(0) { sum, series in
                    series.key.hasPrefix(#"leasehold_server_requests_total{server="grants""#) ? sum + series.value : sum
                })
        }

        /// What it costs when nothing happens.
        private func rest() async throws -> [ScaleFigures.Rest] {
            let before = try await moment()
            let mark = emulator.mark
            try await Task.sleep(for: ScaleRun.restLength)
            let store = emulator.requests(since: mark)
            let after = try await moment()
            let seconds = (after.time - before.time).inSeconds
            return [east, west].enumerated().map { at, cluster in
                func counts(_ moment: Moment, _ wanted: (ControlPlane.RequestCount) -> Bool) -> Int {
                    moment.apiRequests[at].filter(wanted).reduce(0) { $0 + $1.count }
                }
                func difference(_ wanted: (ControlPlane.RequestCount) -> Bool) -> Int {
                    counts(after, wanted) - counts(before, wanted)
                }
                func cpu(_ path: KeyPath<Moment, [ProcessFigures]>) -> Double {
                    (after[keyPath: path][at].cpuSeconds - before[keyPath: path][at].cpuSeconds) * 1000 / seconds
                }
                let own = store.filter { $0.client == cluster.name }
                return ScaleFigures.Rest(
                    cluster: cluster.name, seconds: seconds,
                    // The list of all leases comes once a minute, so it is told apart.
                    storeRequests: own.count { !($0.kind == .list && $0.object == "leases/") },
                    storeLeaseLists: own.count { $0.kind == .list && $0.object == "leases/" },
                    storeSeconds: ScaleRun.restLength.inSeconds,
                    kubernetesHeartbeats: difference { $0.isWrite && $0.group == "coordination.k8s.io" },
                    kubernetesOtherWrites: difference { $0.isWrite && $0.group != "coordination.k8s.io" },
                    // This program's own questions for metrics have no resource.
                    kubernetesReads: difference { !$0.isWrite && !$0.resource.isEmpty && $0.verb != "WATCH" },
                    controllerCPU: cpu(\.controllers), webhookCPU: cpu(\.webhooks), controller: after.controllers[at],
                    webhook: after.webhooks[at], grants: at == 0 ? Int(after.grants - before.grants) : nil,
                    grantsBytes: at == 0 ? Int(after.grantsBytes - before.grantsBytes) : nil)
            }
        }

        /// Kills the leader's controller.
        private func takeOver() async throws -> (ledAll: Duration, claiming: Duration, admitted: Duration) {
            var mark = emulator.mark
            let start = ContinuousClock.now
            try await east.killController()
            var taken: Set<String> = []
            var (first, last) = (start, start)
            try await wait("west takes all over") {
                let new = emulator.requests(since: mark)
                mark += new.count
                for request in new
                where request.client == "west" && request.kind == .write && request.status == 200
                    && request.object.hasPrefix("leases/") && taken.insert(request.object).inserted
                {
                    if taken.count == 1 { first = request.time }
                    last = max(last, request.time)
                }
                return taken.count == size
            }
            try await wait("west leads all") { try await number("leasehold_leases_led", of: west) == size }
            // Claims are made in one order, hence the last one is the one that waited longest.
            try await wait("west's webhook admits") { try await west.admits(size - 1) }
            // The log has when requests came, not when they were answered.
            return (last + ScaleRun.storeDelay - start, last + ScaleRun.storeDelay - first, ContinuousClock.now - start)
        }
    }
}

extension Duration {
    /// To hundredths.
    var inSeconds: Double { (self / .milliseconds(10)).rounded() / 100 }
}

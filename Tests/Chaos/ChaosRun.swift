private import FoundationEssentials
internal import Platform
internal import Support

/// Three clusters of real processes that share an emulated store, broken in every way round after round, and asked for
/// admission all the time.
package final class ChaosRun: Sendable {
    private let settings: ChaosSettings
    private let directory: TemporaryDirectory
    private let emulator: GCSEmulator
    private let ledger = Ledger()
    private let stalls = Stalls()
    private let clusters: [ChaosCluster]
    private let inflictor: Inflictor
    private let start: ContinuousClock.Instant

    package init(_ settings: ChaosSettings) throws {
        self.settings = settings
        // Before anything is timed.
        _ = ContinuousClock.Instant.origin
        let start = ContinuousClock.now
        self.start = start
        if let folder = settings.folder { try Self.makeEmpty(folder) }
        directory = try TemporaryDirectory()
        let emulator = try GCSEmulator(bucket: ChaosSettings.bucket)
        emulator.watchWrites { [ledger] request, body in
            ledger.addWrite(of: request.object, body, by: request.client)
        }
        let site = ChaosCluster.Site(
            emulator: emulator, ledger: ledger, certificates: try ChaosCertificates(in: directory),
            directory: directory, logs: settings.folder, seed: settings.seed)
        let clusters = try ChaosSettings.clusters.map { try ChaosCluster($0, at: site) }
        (self.emulator, self.clusters) = (emulator, clusters)
        inflictor = Inflictor(clusters, emulator, ledger, in: directory) { [settings, start] fault in
            settings.say("\(Self.time(since: start))   \(fault)")
        }
    }

    /// What an earlier run left there goes.
    private static func makeEmpty(_ folder: String) throws {
        let files = FileManager.default
        try files.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        for name in try files.contentsOfDirectory(atPath: folder)
        where name.hasSuffix(".log") || name.hasPrefix("report.") {
            try files.removeItem(atPath: "\(folder)/\(name)")
        }
    }

    private static func time(since start: ContinuousClock.Instant) -> String {
        let seconds = String(Int((ContinuousClock.now - start) / .seconds(1)))
        return String(repeating: " ", count: max(0, 5 - seconds.count)) + seconds + " s"
    }

    private func say(_ text: String) { settings.say("\(Self.time(since: start)) \(text)") }

    private var processes: [ChaosProcess] { clusters.flatMap(\.processes) }

    // MARK: - The run

    /// - Throws: when it cannot be started, or when the clusters recover from something no more.
    package func run() async throws -> ChaosReport {
        try await WallClock.check(in: directory)
        for process in processes { try process.start() }
        let background = Task { await watch() }
        var rounds: [ChaosReport.Round] = []
        do {
            say("seed \(settings.seed): \(clusters.count) clusters start")
            _ = try await recover(from: "the start")
            var schedule = Schedule(seed: settings.seed)
            while ContinuousClock.now - start < settings.duration {
                rounds.append(try await play(schedule.next()))
            }
        } catch is CancellationError {
            say("ended by a signal")
        } catch {
            // The report shows how far it came.
            ledger.report("\(error)")
        }
        let end = ContinuousClock.now
        for cluster in clusters { for door in cluster.doors { door.stop() } }
        stalls.stop()
        await background.value
        for process in processes { await process.finish() }
        return ChaosReport(
            settings: settings, start: start, end: end, rounds: rounds, ledger: ledger, stalls: stalls)
    }

    /// All that goes on beside the rounds.
    private func watch() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.stalls.run() }
            group.addTask { await self.revive() }
            for door in clusters.flatMap(\.doors) { group.addTask { await door.run() } }
        }
    }

    /// Starts again what ended by itself, as Kubernetes would; no process may.
    private func revive() async {
        while !stalls.isStopped {
            for process in processes {
                guard let (code, log) = await process.takeUnexpectedEnd() else { continue }
                ledger.report("\(process.name) ended by itself with \(code): \(log)")
                do { try process.start() } catch { ledger.report("\(process.name) cannot be started again: \(error)") }
            }
            try? await Task.sleep(for: .milliseconds(100), clock: .continuous)
        }
    }

    private func play(_ round: Schedule.Round) async throws -> ChaosReport.Round {
        say("round \(round.number)\(round.single == nil ? ", \(round.faults.count) faults at once" : "")")
        let begin = ContinuousClock.now
        let marks = try await withThrowingTaskGroup(of: Inflictor.Mark.self) { group in
            for fault in round.faults { group.addTask { try await self.inflictor.inflict(fault) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let mended = ContinuousClock.now
        let recovery = try await recover(from: "round \(round.number)")
        let (violations, counts) = (ledger.violations, ledger.counts)
        let outcomes = marks.map(\.outcome).filter { !$0.isEmpty }
        say(
            "  all well \(recovery.short) later\(outcomes.isEmpty ? "" : " (\(outcomes.joined(separator: "; ")))"); "
                + "\(counts.all) answers, \(violations.listed.count + violations.more) violations")
        try await Task.sleep(for: round.calm, clock: .continuous)
        return ChaosReport.Round(round: round, start: begin, mended: mended, recovery: recovery, marks: marks)
    }

    /// Waits until every namespace has a leader again, every cluster takes part and every webhook answers.
    ///
    /// - Returns: how long that took.
    private func recover(from what: String) async throws -> Duration {
        let start = ContinuousClock.now
        var isLate = false
        while true {
            let missing = ledger.missing(
                since: start, namespaces: ChaosSettings.namespaces, clusters: clusters.map(\.name),
                doors: clusters.flatMap(\.doors).map(\.name))
            let passed = ContinuousClock.now - start
            if missing.isEmpty { return passed }
            let limit = ChaosSettings.progressMax + stalls.total(since: start)
            if !isLate, passed > limit {
                isLate = true
                ledger.report(
                    "\(passed.short) after \(what), with nothing broken any more: \(missing.joined(separator: ", "))")
            }
            guard passed < limit + .seconds(60) else {
                throw ChildProcess.Failure("the clusters do not recover from \(what): the run is given up")
            }
            try await Task.sleep(for: .milliseconds(50), clock: .continuous)
        }
    }
}

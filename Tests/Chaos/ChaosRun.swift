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
    /// Of a soak: those that share a directory.
    private let fileClusters: [ChaosCluster]
    private let fileLedger = Ledger(seesStore: false)
    private let certificates: ChaosCertificates
    private let samples: Samples
    private let inflictor: Inflictor
    private let start: ContinuousClock.Instant
    /// How often certificates were made anew.
    private let reloads = Locked(0)

    package convenience init(_ settings: ChaosSettings) throws { try self.init(settings, apiServer: nil) }

    init(_ settings: ChaosSettings, apiServer: ChaosAPIServer?) throws {
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
        certificates = try ChaosCertificates(in: directory)
        let site = ChaosCluster.Site(
            emulator: emulator, ledger: ledger, fileLedger: fileLedger, apiServer: apiServer,
            tellsMetrics: settings.soak != nil, certificates: certificates, directory: directory, logs: settings.folder,
            seed: settings.seed)
        let clusters = try ChaosSettings.clusters.map { try ChaosCluster($0, at: site) }
        let fileClusters =
            settings.soak == nil ? [] : try ChaosSettings.fileClusters.map { try ChaosCluster(ofFiles: $0, at: site) }
        (self.emulator, self.clusters, self.fileClusters) = (emulator, clusters, fileClusters)
        samples = Samples(of: (clusters + fileClusters).flatMap(\.processes), since: start)
        inflictor = Inflictor(clusters + fileClusters, emulator, ledger, apiServer, in: directory) {
            [settings, start] fault in
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

    private var processes: [ChaosProcess] { (clusters + fileClusters).flatMap(\.processes) }
    private var doors: [Door] { (clusters + fileClusters).flatMap(\.doors) }

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
            let begin = ContinuousClock.now
            var schedule = Schedule(seed: settings.seed, soak: settings.soak)
            while ContinuousClock.now - begin < settings.duration {
                rounds.append(try await play(schedule.next()))
            }
        } catch is CancellationError {
            say("ended by a signal")
        } catch {
            // The report shows how far it came.
            ledger.report("\(error)")
        }
        let end = ContinuousClock.now
        for door in doors { door.stop() }
        stalls.stop()
        await background.value
        for process in processes { await process.finish() }
        for violation in fileLedger.violations.listed { ledger.report(violation.text) }
        return ChaosReport(
            settings: settings, start: start, end: end, rounds: rounds, ledger: ledger, stalls: stalls,
            usage: samples.usage, reloads: reloads.withLock { $0 })
    }

    /// All that goes on beside the rounds.
    private func watch() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.stalls.run() }
            group.addTask { await self.revive() }
            for door in doors { group.addTask { await door.run() } }
            guard let soak = settings.soak else { return }
            for door in doors { group.addTask { await door.knock() } }
            group.addTask { await self.samples.run(every: soak.interval, until: self.stalls) }
            group.addTask { await self.reload() }
        }
    }

    /// New certificates for all, and a SIGHUP for each, by turns, so often that what each costs adds up.
    private func reload() async {
        while !stalls.isStopped {
            try? await Task.sleep(for: .seconds(2), clock: .continuous)
            do { try certificates.issue() } catch { ledger.report("no new certificates: \(error)") }
            reloads.withLock { $0 += 1 }
            try? await Task.sleep(for: .seconds(2), clock: .continuous)
            for process in processes { process.hangUp() }
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
            let missing =
                ledger.missing(
                    since: start, namespaces: ChaosSettings.namespaces, clusters: clusters.map(\.name),
                    doors: clusters.flatMap(\.doors).map(\.name))
                + fileLedger.missing(
                    since: start, namespaces: fileClusters.isEmpty ? [] : ChaosSettings.namespaces, clusters: [],
                    doors: fileClusters.flatMap(\.doors).map(\.name))
            let passed = ContinuousClock.now - start
            if missing.isEmpty { return passed }
            // An API server takes a while to start, and a soak is about something else than time.
            let limit = ChaosSettings.progressMax * (settings.soak == nil ? 1 : 3) + stalls.total(since: start)
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

import Platform
import Storage
import Support
import Testing

@testable import Controller
@testable import Election

/// One run of a cluster's controller, as a process would have it.
private final class Run: Sendable {
    static let namespaces = ["team-a", "team-b", "team-c"]

    static var timing: Timing {
        var timing = Timing()
        timing.renewInterval = .milliseconds(200)
        timing.pollInterval = .milliseconds(200)
        timing.requestTimeout = .milliseconds(200)
        timing.grantDuration = .milliseconds(300)
        timing.commitMargin = .milliseconds(100)
        timing.relistInterval = .seconds(1)
        // What a first incarnation inherits from an unknown one is bounded by it.
        timing.leaseDurationLimit = 2
        return timing
    }

    let board: LeadershipBoard
    let status: ElectionStatus
    let lines = Lines()
    let candidate: Candidate
    /// How the run ended; nil: in good order.
    let end: Task<ControllerError?, Never>

    /// - Parameter seconds: the lease duration; long where nothing is to run out, however slow the machine.
    init(
        _ cluster: String, uid: String? = nil, in store: any LeaseStore, seconds: Int = 2,
        namespaces: [String] = Run.namespaces, timing: Timing = Run.timing, releaseLimit: Duration = .seconds(60)
    ) {
        var timing = timing
        timing.leaseDurationLimit = max(timing.leaseDurationLimit, seconds)
        board = LeadershipBoard(LeadershipTable(cluster: cluster))
        status = ElectionStatus(board: board, timing: timing)
        let candidate = Candidate(
            cluster: cluster, uid: uid ?? "uid-\(cluster)", timing: timing, store: store, board: board, status: status,
            log: lines.log, releaseLimit: releaseLimit)
        self.candidate = candidate
        candidate.setWishes(namespaces.map { Wish($0, .lead(seconds: seconds)) })
        end = Task {
            do throws(ControllerError) {
                try await candidate.run()
                return nil
            } catch { return error }
        }
    }

    deinit { end.cancel() }

    /// The namespaces that admissions are allowed in at this moment.
    func led(at now: Reading = .now()) -> [String] {
        let table = board.table()
        return table.index.names.filter {
            if case .leads = table.standing(of: $0, at: now) { true } else { false }
        }.sorted()
    }

    /// The namespaces that the board shows as this cluster's, whether or not their windows have ended.
    var claimed: Int { board.table().entries.count { $0.state == .own } }

    func leadsAll(location: SourceLocation = #_sourceLocation) async throws {
        try await eventually("leads all namespaces", location: location) { led() == Run.namespaces }
    }

    /// The incarnation that its member record shows.
    func member(in store: TrialStore) async throws -> MemberRecord {
        let cluster = board.table().cluster
        let name = try #require(ObjectName(.members, cluster))
        let object = try #require(try await store.memory.read(name))
        return try MemberRecord(parsing: object.body, ofCluster: cluster)
    }

    static func lease(_ namespace: String, in store: TrialStore) async throws -> LeaseRecord {
        let name = try #require(ObjectName(.leases, namespace))
        let object = try #require(try await store.memory.read(name))
        return try LeaseRecord(parsing: object.body)
    }
}

@Suite(.timeLimit(.minutes(5))) struct CandidateTests {
    private let store = TrialStore()
    private let all = Run.namespaces

    @Test func `two clusters elect one leader a namespace, and never both`() async throws {
        let (east, west) = (Run("east", in: store, seconds: 60), Run("west", in: store, seconds: 60))
        try await eventually("each namespace has one leader, known to both") {
            let both = east.led() + west.led()
            let others = [east, west].flatMap { run in
                let table = run.board.table()
                return table.index.names.filter {
                    if case .follows = table.standing(of: $0, at: .now()) { true } else { false }
                }
            }
            #expect(Set(both).count == both.count)
            return both.sorted() == all && others.sorted() == all
        }
    }

    @Test func `a release frees every lease at once for the other cluster`() async throws {
        let east = Run("east", in: store)
        try await east.leadsAll()
        let west = Run("west", in: store)
        east.candidate.leave(.release)
        #expect(await east.end.value == nil)

        #expect(try await east.member(in: store).state == .stopped)
        #expect(east.claimed == 0)
        try await west.leadsAll()
        #expect(east.lines.contains("all its leases are free"))
    }

    @Test func `a handover leaves the leases for the cluster's next run`() async throws {
        let first = Run("east", in: store)
        try await first.leadsAll()
        let standby = Run("east", in: store)
        try await eventually("stands by") { standby.lines.contains("Stands by for the active run") }
        #expect(standby.status.checks().allSatisfy { $0.problem == nil })

        first.candidate.leave(.handover)
        #expect(await first.end.value == nil)
        #expect(first.claimed == 0)
        try await standby.leadsAll()
        for namespace in all {
            #expect(try await Run.lease(namespace, in: store).holderIdentity == "east")
        }
    }

    /// Heartbeats that keep away from a handover.
    private static var rareHeartbeats: Timing {
        var timing = Run.timing
        timing.renewInterval = .seconds(20)
        return timing
    }

    @Test func `before a handover it leads on as long as the store may refuse to have its record written again`()
        async throws
    {
        let store = TrialStore(rewriteInterval: .seconds(3600))
        let east = Run("east", in: store, seconds: 60, timing: Self.rareHeartbeats)
        try await east.leadsAll()
        east.candidate.leave(.handover)
        try await eventually("it leaves") { east.status.phase == .leaving }
        #expect(east.led() == all)
        #expect(try await east.member(in: store).state == .live)
    }

    @Test func `a handover follows the last heartbeat after the time that the store wants between two writes`()
        async throws
    {
        let store = TrialStore(rewriteInterval: .milliseconds(500))
        let writes = Locked<[ContinuousClock.Instant]>([])
        store.setWitness { call, _ in
            if call == ObjectName(.members, "east").map({ .write($0) }) { writes.withLock { $0.append(.now) } }
        }
        let east = Run("east", in: store, seconds: 60, timing: Self.rareHeartbeats)
        try await east.leadsAll()
        east.candidate.leave(.handover)
        #expect(await east.end.value == nil)
        #expect(try await east.member(in: store).state == .handover)
        let times = writes.withLock { $0 }
        let (last, before) = try (#require(times.last), #require(times.dropLast().last))
        #expect(last - before >= store.rewriteInterval)
    }

    @Test func `a standby takes over from a run that died`() async throws {
        let first = Run("east", in: store)
        try await first.leadsAll()
        let standby = Run("east", in: store)
        try await eventually("stands by") { standby.lines.contains("Stands by for the active run") }
        first.end.cancel()
        try await standby.leadsAll()
    }

    @Test func `after a handover without a next run, another cluster takes over when the leases have run out`()
        async throws
    {
        let east = Run("east", in: store)
        try await east.leadsAll()
        let west = Run("west", in: store)
        try await eventually("west follows") { west.lines.contains("Takes part in the election as cluster west") }
        let term = try await Run.lease("team-a", in: store).term

        east.candidate.leave(.handover)
        #expect(await east.end.value == nil)
        try await west.leadsAll()
        #expect(try await Run.lease("team-a", in: store).term > term)
    }

    @Test func `no write leaves while the board shows what it gives up`() async throws {
        let east = Run("east", in: store)
        try await east.leadsAll()
        let ledAtFarewell = Locked<[Int]>([])
        let board = east.board
        store.setWitness { call, body in
            guard case .write(let name) = call, name.folder == .members,
                let record = try? MemberRecord(parsing: body, ofCluster: "east"), record.state != .live
            else { return }
            let claimed = board.table().entries.count { $0.state == .own }
            ledAtFarewell.withLock { $0.append(claimed) }
        }
        east.candidate.leave(.handover)
        #expect(await east.end.value == nil)
        #expect(ledAtFarewell.withLock { $0 } == [0])
    }

    @Test func `a deposed incarnation gives up everything and comes back as a standby`() async throws {
        let first = Run("east", in: store)
        try await first.leadsAll()
        let deposed = try await first.member(in: store)

        // Another replica took over, as it does when this one was paused.
        let name = try #require(ObjectName(.members, "east"))
        try await eventually("the write of the other replica is not overtaken by a heartbeat") {
            let object = try #require(try await store.memory.read(name))
            var record = try MemberRecord(parsing: object.body, ofCluster: "east")
            record.incarnation = "another-replica"
            record.sequence += 1
            do {
                _ = try await store.memory.write(name, record.encoded(), replacing: object.version)
                return true
            } catch StoreError.conflict { return false }
        }
        try await eventually("stands by for the other") {
            first.lines.contains("incarnation another-replica, took over")
                && first.lines.contains(
                    "Stands by for the active run of cluster east's controller, incarnation another")
        }
        #expect(first.claimed == 0)

        // The other one never renews, so that this process takes over again, as somebody else.
        try await first.leadsAll()
        let returned = try await first.member(in: store)
        #expect(returned.incarnation != deposed.incarnation)
        #expect(returned.incarnation != "another-replica")
    }

    @Test func `when its member record is gone, a cluster starts anew`() async throws {
        let east = Run("east", in: store)
        try await east.leadsAll()
        let deleted = try await east.member(in: store).incarnation
        store.memory.delete(try #require(ObjectName(.members, "east")))

        try await eventually("notices") { east.lines.contains("somebody deleted its member record") }
        try await east.leadsAll()
        #expect(try await east.member(in: store).incarnation != deleted)
    }

    @Test func `a member record that cannot be read any more is waited for, and never overwritten`() async throws {
        let east = Run("east", in: store)
        try await east.leadsAll()
        let name = try #require(ObjectName(.members, "east"))
        var foreign: ObjectVersion?
        try await eventually("it is replaced between two heartbeats") {
            let version = try await store.memory.read(name)?.version
            foreign = try? await store.memory.write(name, Array("garbage".utf8), replacing: version)
            return foreign != nil
        }
        try await eventually("notices") { east.lines.contains("members/east cannot be read as a member record") }
        #expect(east.claimed == 0)
        let calls = store.calls
        try await eventually("tries again") { store.calls > calls + 5 }
        #expect(east.lines.count(of: "members/east cannot be read as a member record") == 1)
        #expect(try await store.memory.read(name)?.version == foreign)
        store.memory.delete(name)
        try await east.leadsAll()
    }

    @Test func `a member record that cannot be read at the start is refused`() async throws {
        _ = try await store.memory.write(
            try #require(ObjectName(.members, "east")), Array("garbage".utf8), replacing: nil)
        let east = Run("east", in: store)
        guard case .refused(let reason) = await east.end.value else {
            Issue.record("it takes part over a foreign object")
            return
        }
        #expect(reason.contains("members/east cannot be read as a member record"))
    }

    @Test func `two clusters under one name are refused, with both uids named`() async throws {
        let first = Run("east", uid: "uid-one", in: store)
        try await first.leadsAll()
        let second = Run("east", uid: "uid-two", in: store)
        guard case .refused(let reason) = await second.end.value else {
            Issue.record("a second cluster took part under the name of the first")
            return
        }
        #expect(reason.contains("uid-one") && reason.contains("uid-two"))
        #expect(second.claimed == 0)
        try await first.leadsAll()
        #expect(second.status.checks().contains { $0.problem == "this run has left the election" })
    }

    @Test func `durations that do not fit together are refused`() async throws {
        var timing = Run.timing
        timing.requestTimeout = timing.renewInterval * 2
        let problem = try #require(timing.problem)
        let run = Run("east", in: store, timing: timing)
        #expect(await run.end.value == .refused(problem))
        #expect(store.calls == 0)
    }

    @Test func `a cancelled run leaves nothing on the board`() async throws {
        let east = Run("east", in: store)
        try await east.leadsAll()
        east.end.cancel()
        #expect(await east.end.value == .cancelled)
        #expect(east.claimed == 0)
        #expect(east.led().isEmpty)
    }

    @Test func `when the store stops answering, what is led ends within the window`() async throws {
        let east = Run("east", in: store)
        try await east.leadsAll()
        store.setFault { _ in .hangs }
        try await eventually("a heartbeat hangs, and is given up") {
            store.hanging > 0 && east.lines.contains("no answer within 200 ms")
        }
        // A heartbeat that was under way may have been acknowledged meanwhile; no other can be.
        let last = east.board.table().anchor
        let end = Run.timing.window(ofSeconds: 2) - Run.timing.commitMargin
        var past = last
        past.monotonicRaw += end.nanoseconds
        #expect(east.led(at: past).isEmpty)

        try await eventually("drops its claims by itself, and says why") {
            east.claimed == 0 && east.lines.contains("its window ended before a heartbeat succeeded")
        }
        #expect(east.board.table().anchor == last)

        // What hung goes on, late: no claim revives by it, and new ones are made.
        let term = try await Run.lease("team-a", in: store).term
        store.setFault { _ in nil }
        store.release()
        try await east.leadsAll()
        #expect(try await Run.lease("team-a", in: store).term > term)
    }

    @Test func `writes that land without an answer are found out, and nothing is lost`() async throws {
        store.setFault { call in call.isWrite ? .answerIsLost : nil }
        let east = Run("east", in: store, seconds: 60)
        try await east.leadsAll()
        let (incarnation, sequence) = (
            try await east.member(in: store).incarnation, try await east.member(in: store).sequence
        )
        try await eventually("goes on renewing") { try await east.member(in: store).sequence > sequence + 5 }
        #expect(east.led() == all)
        #expect(try await east.member(in: store).incarnation == incarnation)
        #expect(!east.lines.contains("No longer leads"))
    }

    @Test func `failing lists neither end what is led nor let anything new be taken`() async throws {
        let east = Run("east", in: store, seconds: 60)
        try await east.leadsAll()
        store.setFault { call in if case .list = call { .fails } else { nil } }
        let sequence = try await east.member(in: store).sequence
        east.candidate.setWishes([Wish("team-d", .lead(seconds: 60))])
        try await eventually("goes on renewing") { try await east.member(in: store).sequence > sequence + 5 }
        #expect(east.led() == all)
        store.setFault { _ in nil }
        try await eventually("takes the new one") { east.led() == all + ["team-d"] }
    }

    @Test func `wishes change at any time`() async throws {
        let east = Run("east", in: store, seconds: 60)
        try await east.leadsAll()
        east.candidate.setWishes([
            Wish("team-a", .forget), Wish("team-b", .leaveOut), Wish("team-d", .lead(seconds: 60)),
        ])
        try await eventually("gives back, and takes the new one") {
            let record = try await Run.lease("team-a", in: store)
            return record.isFree && east.led() == ["team-c", "team-d"]
        }
        #expect(east.board.table().standing(of: "team-b", at: .now()) == .unmanaged)
    }

    @Test func `a release that takes too long becomes a handover`() async throws {
        var timing = Run.timing
        // A first incarnation may not say that all is free before an unknown earlier one must have ended.
        timing.leaseDurationLimit = 300
        // The handover has two time-outs to land in, which a busy machine must not use up.
        timing.renewInterval = .seconds(10)
        timing.requestTimeout = .seconds(10)
        let east = Run("east", in: store, seconds: 60, timing: timing, releaseLimit: .milliseconds(10))
        try await east.leadsAll()
        east.candidate.leave(.release)
        #expect(await east.end.value == nil)
        #expect(try await east.member(in: store).state == .handover)
        #expect(east.lines.contains("ends with a handover"))
        #expect(east.claimed == 0)
    }

    @Test func `a handover that the store does not take ends anyway and says what that means`() async throws {
        let east = Run("east", in: store)
        try await east.leadsAll()
        store.setFault { _ in .hangs }
        east.candidate.leave(.handover)
        #expect(await east.end.value == nil)
        #expect(east.claimed == 0)
        #expect(east.lines.contains("The store did not take the handover of cluster east within 466 ms"))
        #expect(try await east.member(in: store).state == .live)
        store.release()
    }

    @Test func `leaving before anything was taken over ends at once`() async throws {
        store.setFault { _ in .hangs }
        let east = Run("east", in: store)
        east.candidate.leave(.release)
        #expect(await east.end.value == nil)
        #expect(east.lines.contains("it led nothing"))
        store.release()
    }

    @Test func `a notice has the leases listed again at once`() async throws {
        var timing = Run.timing
        timing.relistInterval = .seconds(3600)
        timing.pollInterval = .seconds(3600)
        let east = Run("east", in: store, timing: timing)
        try await east.leadsAll()
        let lists = Locked(0)
        store.setWitness { call, _ in if call == .list(.leases) { lists.withLock { $0 += 1 } } }
        _ = try await store.memory.write(.notice, [1], replacing: nil)
        try await eventually("lists") { lists.withLock { $0 } > 0 }
    }

    @Test func `a foreign object is named once and disturbs nobody`() async throws {
        _ = try await store.memory.write(#require(ObjectName(.leases, "-odd")), [1], replacing: nil)
        let east = Run("east", in: store)
        try await east.leadsAll()
        let calls = store.calls
        try await eventually("goes on for some lists") { store.calls > calls + 30 }
        #expect(east.lines.count(of: "leases/-odd") == 1)
    }

    @Test func `ten thousand namespaces neither starve the heartbeat nor fill the log`() async throws {
        // A sanitizer takes ten times as long for each, and nothing of the other tests would run meanwhile.
        let names = (0..<(Sanitizer.isPresent ? 1000 : 10_000)).map { "team-\($0)" }
        let east = Run("east", in: store, seconds: 15, namespaces: names, timing: Timing())
        try await eventually("leads all") { east.claimed == names.count }
        #expect(!east.lines.contains("No longer leads"))
        #expect(east.lines.all.count < 100)

        east.candidate.leave(.handover)
        #expect(await east.end.value == nil)
        #expect(east.claimed == 0)
    }

    @Test func `steady leadership writes no lines`() async throws {
        var timing = Run.timing
        timing.renewInterval = .seconds(1)
        timing.requestTimeout = .seconds(1)
        let east = Run("east", in: store, seconds: 60, timing: timing)
        try await east.leadsAll()
        try await eventually("says that all is settled") { east.lines.contains("Leads 3 namespaces, others lead 0") }
        // On a machine that is held up a request may be given up.
        func lines() -> [String] {
            east.lines.all.filter { !$0.contains("no answer within") && !$0.contains("The store answers again") }
        }
        let (before, sequence) = (lines(), try await east.member(in: store).sequence)
        try await eventually("renews some times") { try await east.member(in: store).sequence > sequence + 3 }
        #expect(lines() == before)
    }
}

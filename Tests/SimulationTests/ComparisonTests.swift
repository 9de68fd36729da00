import Election
import Simulation
import Testing

@Suite struct ComparisonTests {
    @Test(arguments: RenewedLease.Scheme.allCases)
    func `an absent record is created, and led until the renew deadline less the margin`(scheme: RenewedLease.Scheme)
        throws
    {
        var process = Process(scheme, "c0")
        let (record, version) = try process.writes(after: nil, at: 0)
        #expect(version == nil)
        #expect(record.holderIdentity == "c0_run-of-c0")
        #expect(record.leaseDurationSeconds == 15)
        #expect(!process.leads(at: 0))
        process.answer(.written(Version("1")), at: 1)
        #expect(process.leads(at: 8.9))
        #expect(!process.leads(at: 9))
    }

    @Test(arguments: RenewedLease.Scheme.allCases)
    func `a renewal keeps the acquire time, renews its own, and moves the deadline`(scheme: RenewedLease.Scheme) throws
    {
        var process = Process(scheme, "c0")
        let first = try process.writes(after: nil, at: 0).record
        process.answer(.written(Version("1")), at: 0)
        let (second, version) = try process.writes(after: first, version: "1", at: 3)
        #expect(version == Version("1"))
        #expect(second.acquireTime == first.acquireTime)
        #expect(second.renewTime == first.renewTime + 3 * 1_000_000_000)
        #expect(second.leaderTransitions == first.leaderTransitions)
        process.answer(.written(Version("2")), at: 4)
        #expect(process.leads(at: 11.9))
        #expect(!process.leads(at: 12))
    }

    @Test(arguments: RenewedLease.Scheme.allCases)
    func `a holder that cannot renew steps down at its deadline and says so`(scheme: RenewedLease.Scheme) throws {
        var process = Process(scheme, "c0")
        try process.leads(from: 0)
        let output = process.tick(at: 10)
        #expect(output.notes.contains(.lapsed(namespace: "n", term: 1)))
        #expect(output.table?.entries.first?.state == .lapsed)
    }

    @Test(arguments: RenewedLease.Scheme.allCases)
    func `a renewal that is answered after the deadline does not count, and the next one does`(
        scheme: RenewedLease.Scheme
    ) throws {
        var process = Process(scheme, "c0")
        let first = try process.leads(from: 0)
        let second = try process.writes(after: first, version: "1", at: 3).record
        // The next read is due by then.
        let late = process.answer(.written(Version("2")), at: 10)
        #expect(late.requests.map(\.operation) == [.read(.lease("n"))])
        #expect(!process.leads(at: 10))
        process.answer(.object(Process.object(second, "2")), at: 10)
        process.answer(.written(Version("3")), at: 10)
        #expect(process.leads(at: 10))
    }

    @Test(arguments: RenewedLease.Scheme.allCases)
    func `a holder that reads another's name steps down at once`(scheme: RenewedLease.Scheme) throws {
        var process = Process(scheme, "c0")
        try process.leads(from: 0)
        _ = process.tick(at: 3)
        let output = process.answer(.object(Process.object(.other(renewed: 3), "2")), at: 3)
        #expect(output.requests.isEmpty)
        #expect(!process.leads(at: 3))
    }

    @Test(arguments: RenewedLease.Scheme.allCases)
    func `another's fresh record is left alone, and its stale one is taken`(scheme: RenewedLease.Scheme) throws {
        var process = Process(scheme, "c0")
        let other = RenewedLeaseRecord.other(renewed: 0)
        for second in stride(from: 0, through: 12, by: 3) {
            #expect(process.reads(other, "7", at: Double(second)).requests.isEmpty)
        }
        let (record, version) = try process.writes(after: other, version: "7", at: 18)
        #expect(version == Version("7"))
        #expect(record.leaderTransitions == other.leaderTransitions + 1)
        process.answer(.written(Version("8")), at: 18)
        #expect(process.leads(at: 18))
    }

    @Test func `the wall-clock scheme believes the holder's timestamp`() throws {
        var process = Process(.wallClock, "c0")
        // The holder's clock is behind by 20 s: it renewed just now.
        _ = try process.writes(after: .other(renewed: -20), version: "7", at: 0)
    }

    @Test func `the wall-clock scheme waits as long as the holder's clock is ahead`() {
        var process = Process(.wallClock, "c0")
        for second in stride(from: 0, through: 75, by: 3) {
            #expect(process.reads(.other(renewed: 60), "7", at: Double(second)).requests.isEmpty)
        }
    }

    @Test func `the unconditional scheme looks at no timestamp, only at how long nothing changed`() {
        var process = Process(.unconditional, "c0")
        for second in stride(from: 0, through: 60, by: 3) {
            let record = RenewedLeaseRecord.other(renewed: -1000)
            #expect(process.reads(record, "\(second)", at: Double(second)).requests.isEmpty)
        }
    }

    @Test func `the unconditional scheme is not fooled by a wall clock that is set forward`() {
        var process = Process(.unconditional, "c0")
        #expect(process.reads(.other(renewed: 0), "7", at: 0).requests.isEmpty)
        process.wallClockError = 3600
        #expect(process.reads(.other(renewed: 0), "7", at: 3).requests.isEmpty)
    }

    @Test(arguments: [Answer.conflict, .failed("503"), .unclear("time-out")])
    func `a write that did not succeed is followed by a new read, and does not make a leader`(answer: Answer) throws {
        var process = Process(.wallClock, "c0")
        _ = try process.writes(after: nil, at: 0)
        process.answer(answer, at: 0)
        #expect(!process.leads(at: 0))
        #expect(process.tick(at: 0.9).requests.isEmpty)
        #expect(process.tick(at: 1).requests.map(\.operation) == [.read(.lease("n"))])
    }

    @Test func `what cannot be read is reported and never written over`() {
        var process = Process(.wallClock, "c0")
        let object = RecordObject(name: .lease("n"), version: Version("7"), body: [UInt8]("hello".utf8))
        _ = process.tick(at: 0)
        let output = process.answer(.object(object), at: 0)
        #expect(output.requests.isEmpty)
        #expect(output.notes.contains(.unreadable(.lease("n"), reason: "it is not a lease record")))
    }

    @Test func `a process that leaves leads no more and writes nothing`() throws {
        var process = Process(.unconditional, "c0")
        try process.leads(from: 0)
        let output = process.handle(.leave(.handover), at: 1)
        #expect(output.ending == .handedOver)
        #expect(output.requests.isEmpty)
        #expect(!process.leads(at: 1))
        #expect(process.tick(at: 3) == Output())
    }

    @Test func `a shorter duration is honoured from the moment it may have been written`() throws {
        var process = Process(.wallClock, "c0")
        let first = try process.leads(from: 0)
        process.handle(.wishes([Wish("n", .lead(seconds: 6))]), at: 1)
        _ = try process.writes(after: first, version: "1", at: 3)
        process.answer(.unclear("time-out"), at: 3)
        #expect(process.tick(at: 4).notes.contains(.lapsed(namespace: "n", term: 1)))
    }
}

/// One process under test, with clocks that all show the same time unless told otherwise.
private struct Process {
    private var lease: RenewedLease
    private var table: LeadershipTable?
    private var lastRequest: RequestID = 0
    /// Seconds.
    var wallClockError: Int64 = 0

    init(_ scheme: RenewedLease.Scheme, _ cluster: String) {
        let identity = Elector.Identity(cluster: cluster, uid: "u", incarnation: "run-of-\(cluster)")
        lease = RenewedLease(scheme, identity: identity, timing: Timing())
    }

    private func reading(at seconds: Double) -> Reading {
        let time = Int64((seconds * 1000).rounded()) * 1_000_000
        return Reading(
            boottime: time, realtime: Process.epoch + time + wallClockError * 1_000_000_000, monotonicRaw: time)
    }

    static let epoch: Int64 = 1_790_000_000_000_000_000

    static func object(_ record: RenewedLeaseRecord, _ version: String) -> RecordObject {
        RecordObject(name: .lease("n"), version: Version(version), body: record.encoded())
    }

    @discardableResult mutating func handle(_ event: Event, at seconds: Double) -> Output {
        let output = lease.handle(event, at: reading(at: seconds))
        if let table = output.table { self.table = table }
        if let request = output.requests.last { lastRequest = request.id }
        return output
    }

    /// The first call says what is wanted, which is the first step, too.
    mutating func tick(at seconds: Double) -> Output {
        table == nil ? handle(.wishes([Wish("n", .lead(seconds: 15))]), at: seconds) : handle(.tick, at: seconds)
    }

    @discardableResult mutating func answer(_ answer: Answer, at seconds: Double) -> Output {
        handle(.answered(lastRequest, answer), at: seconds)
    }

    mutating func reads(_ record: RenewedLeaseRecord, _ version: String, at seconds: Double) -> Output {
        #expect(tick(at: seconds).requests.map(\.operation) == [.read(.lease("n"))])
        return answer(.object(Process.object(record, version)), at: seconds)
    }

    /// What it writes when it reads `record` (nil: none).
    mutating func writes(after record: RenewedLeaseRecord?, version: String = "", at seconds: Double) throws
        -> (record: RenewedLeaseRecord, replacing: Version?)
    {
        #expect(tick(at: seconds).requests.map(\.operation) == [.read(.lease("n"))])
        let output = answer(.object(record.map { Process.object($0, version) }), at: seconds)
        guard case .write(.lease("n"), let body, let replacing) = try #require(output.requests.first).operation else {
            throw UnexpectedRequest()
        }
        return (try RenewedLeaseRecord(parsing: body), replacing)
    }

    @discardableResult mutating func leads(from seconds: Double) throws -> RenewedLeaseRecord {
        let record = try writes(after: nil, at: seconds).record
        answer(.written(Version("1")), at: seconds)
        #expect(leads(at: seconds))
        return record
    }

    func leads(at seconds: Double) -> Bool {
        guard case .leads = table?.standing(of: "n", at: reading(at: seconds)) else { return false }
        return true
    }

    private struct UnexpectedRequest: Error {}
}

extension RenewedLeaseRecord {
    /// Another process's, renewed at this second by its own clock.
    fileprivate static func other(renewed seconds: Int64) -> RenewedLeaseRecord {
        let time = Process.epoch + seconds * 1_000_000_000
        return RenewedLeaseRecord(
            holderIdentity: "c1_other", leaseDurationSeconds: 15, acquireTime: time, renewTime: time,
            leaderTransitions: 4)
    }
}

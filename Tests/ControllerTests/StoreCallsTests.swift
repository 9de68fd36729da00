import Platform
import Storage
import Testing

@testable import Controller
@testable import Election

/// Owns ``StoreCalls`` as the candidate does, and lets a test look at each completion.
private struct Desk {
    static let timeout = Duration.seconds(5)

    let store = TrialStore()
    let completions: AsyncStream<StoreCalls.Completion>
    let status: ElectionStatus
    var calls: StoreCalls

    init() {
        let board = LeadershipBoard(LeadershipTable(cluster: "east"))
        status = ElectionStatus(board: board, timing: Timing())
        let (completions, arrived) = AsyncStream.makeStream(of: StoreCalls.Completion.self)
        self.completions = completions
        calls = StoreCalls(store: store, timeout: Self.timeout, status: status) { arrived.yield($0) }
    }

    mutating func start(_ id: RequestID, _ operation: Request.Operation) {
        calls.start(Request(id: id, operation: operation))
    }

    func completion() async throws -> StoreCalls.Completion {
        try #require(await completions.first { _ in true })
    }

    /// The answer to one request, through the store.
    mutating func answer(to operation: Request.Operation) async throws -> Answer? {
        start(1, operation)
        return calls.settle(try await completion())?.answer
    }
}

@Suite struct StoreCallsTests {
    private var desk = Desk()
    private let lease = RecordName.lease("team-a")

    @Test mutating func `a write and a read of it carry the body and the version unchanged`() async throws {
        let written = try await desk.answer(to: .write(lease, body: [1, 2, 3], replacing: nil))
        guard case .written(let version) = written else {
            Issue.record("\(written as Any)")
            return
        }
        let object = RecordObject(name: lease, version: version, body: [1, 2, 3])
        #expect(try await desk.answer(to: .read(lease)) == .object(object))
        #expect(try await desk.answer(to: .list(.leases)) == .objects([object]))
        #expect(try await desk.answer(to: .list(.members)) == .objects([]))
        #expect(try await desk.answer(to: .read(.lease("team-b"))) == .object(nil))
        #expect(try await desk.answer(to: .write(lease, body: [4], replacing: nil)) == .conflict)
        #expect(try await desk.answer(to: .write(lease, body: [4], replacing: Version("other"))) == .conflict)
        #expect(try await desk.answer(to: .write(lease, body: [4], replacing: version)) != .conflict)
    }

    @Test mutating func `a failure and an unclear outcome stay what they are`() async throws {
        desk.store.setFault { _ in .fails }
        #expect(try await desk.answer(to: .write(lease, body: [], replacing: nil)) == .failed("the disk is on fire"))
        #expect(try await desk.answer(to: .read(lease)) == .failed("the disk is on fire"))
        desk.store.setFault { _ in .unclear }
        #expect(
            try await desk.answer(to: .write(lease, body: [], replacing: nil)) == .unclear("no trustworthy answer"))
        #expect(try await desk.answer(to: .list(.leases)) == .unclear("no trustworthy answer"))
    }

    @Test mutating func `a name that no store keeps is a failure that takes no call`() async throws {
        let answer = try await desk.answer(to: .write(.lease("../members/east"), body: [], replacing: nil))
        guard case .failed = answer else {
            Issue.record("\(answer as Any)")
            return
        }
        #expect(desk.store.calls == 0)
    }

    @Test mutating func `a call that is too late is unclear, and its answer is dropped when it comes`() async throws {
        desk.store.setFault { _ in .hangs }
        let before = ContinuousClock.now
        desk.start(7, .write(lease, body: [1], replacing: nil))
        #expect(desk.calls.giveUp(at: before + Desk.timeout - .milliseconds(1)).isEmpty)

        let late = desk.calls.giveUp(at: .now + Desk.timeout)
        #expect(late.map(\.request) == [7])
        #expect(late.map(\.answer) == [.unclear("no answer within 5 s")])
        #expect(desk.calls.giveUp(at: .now + Desk.timeout * 2).isEmpty)
        #expect(desk.calls.nextDeadline == nil)

        try await eventually("the call reaches the store") { desk.store.hanging == 1 }
        desk.store.release()
        let completion = try await desk.completion()
        guard case .written = completion.answer else {
            Issue.record("the late write took effect, but was \(completion.answer)")
            return
        }
        #expect(desk.calls.settle(completion) == nil)
    }

    @Test mutating func `an answer is delivered once, and its time is up no more`() async throws {
        desk.start(7, .read(lease))
        let completion = try await desk.completion()
        #expect(desk.calls.settle(completion) == StoreCalls.Settled(request: 7, answer: .object(nil)))
        #expect(desk.calls.settle(completion) == nil)
        #expect(desk.calls.giveUp(at: .now + Desk.timeout).isEmpty)
    }

    @Test mutating func `an answer to an earlier incarnation does not answer the same request of a later one`()
        async throws
    {
        desk.store.setFault { _ in .hangs }
        desk.start(1, .read(lease))
        try await eventually("the call reaches the store") { desk.store.hanging == 1 }
        desk.calls.giveUpAll()
        desk.start(1, .read(lease))
        desk.store.setFault { _ in nil }

        let first = StoreCalls.Completion(call: 1, answer: .object(nil), duration: .zero)
        #expect(desk.calls.settle(first) == nil)
        let second = StoreCalls.Completion(call: 2, answer: .object(nil), duration: .zero)
        #expect(desk.calls.settle(second)?.request == 1)
        try await eventually("the second call reaches the store") { desk.store.hanging == 2 || desk.store.calls == 2 }
        desk.store.release()
    }

    @Test mutating func `a hanging call keeps no other waiting`() async throws {
        desk.store.setFault { call in call.isWrite ? .hangs : nil }
        desk.start(1, .write(lease, body: [], replacing: nil))
        desk.start(2, .read(lease))
        #expect(desk.calls.settle(try await desk.completion())?.request == 2)
        try await eventually("the call reaches the store") { desk.store.hanging == 1 }
        desk.store.release()
    }

    @Test mutating func `with too many calls that never came back nothing is sent until one does`() async throws {
        desk.store.setFault { _ in .hangs }
        let bound = StoreCalls.abandonedMax
        for id in 1...bound { desk.start(RequestID(id), .read(lease)) }
        try await eventually("all calls reach the store") { desk.store.hanging == bound }
        #expect(desk.calls.giveUp(at: .now + Desk.timeout).count == bound)

        desk.store.setFault { _ in nil }
        let refused = try await desk.answer(to: .write(lease, body: [1], replacing: nil))
        guard case .failed(let reason) = refused else {
            Issue.record("\(refused as Any)")
            return
        }
        #expect(reason.hasPrefix("not sent: \(bound) earlier calls have not come back"))
        #expect(try await desk.store.memory.list(.leases).isEmpty)

        desk.store.release()
        #expect(desk.calls.settle(try await desk.completion()) == nil)
        guard case .written = try await desk.answerToOwn(.write(lease, body: [1], replacing: nil)) else {
            Issue.record("a call came back, so the next is sent")
            return
        }
    }

    @Test mutating func `objects that cannot be records are left out and named, the notice is not`() async throws {
        let names = ["east", "Readme", "-x", "~notice", "~probe"]
        let objects = names.compactMap { ObjectName(.members, $0) }
        for name in objects { _ = try await desk.store.memory.write(name, [0], replacing: nil) }
        desk.start(1, .list(.members))
        let completion = try await desk.completion()
        guard case .objects(let listed) = completion.answer else {
            Issue.record("\(completion.answer)")
            return
        }
        #expect(listed.map(\.name) == [.member("east"), .notice])
        #expect(completion.foreign == ["members/-x"])
    }
}

extension Desk {
    /// The answer to one request, past completions of calls that were given up.
    fileprivate mutating func answerToOwn(_ operation: Request.Operation) async throws -> Answer? {
        start(1, operation)
        while true {
            if let settled = calls.settle(try await completion()) { return settled.answer }
        }
    }
}

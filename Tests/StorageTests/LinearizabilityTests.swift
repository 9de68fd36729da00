import Storage
import Testing

@Suite struct LinearizabilityTests {
    private let name = ObjectName(.leases, "team-a")!

    @Test(arguments: Backend.all, UInt64(0)..<4)
    func `one order of all calls explains every answer`(backend: Backend, seed: UInt64) async throws {
        let opened = try await backend.open(4)
        let history = try await History.record(opened.clients, callsEach: 100, on: name, seed: seed)
        #expect(history.calls.count == 400)
        #expect(history.calls.contains { if case .wrote = $0.answer { true } else { false } })
        #expect(history.contradiction() == nil)
    }

    @Test(arguments: [FaultyStore.Fault.ignoresVersions, .createsOverExisting, .readsStale])
    func `the check finds the contradiction in what a broken store answers`(fault: FaultyStore.Fault) async throws {
        let history = try await History.record([FaultyStore(fault)], callsEach: 100, on: name, seed: 1)
        #expect(history.contradiction() != nil)
    }

    @Test func `the check accepts calls that overlap in any order they can have had`() {
        let one = ObjectVersion("1")
        let overlapping = History(calls: [
            .init(sent: 1, answered: 6, answer: .wrote(one, replacing: nil)),
            .init(sent: 2, answered: 3, answer: .read(nil)),
            .init(sent: 4, answered: 5, answer: .read(one)),
            .init(sent: 2, answered: 7, answer: .conflict(replacing: nil)),
        ])
        #expect(overlapping.contradiction() == nil)
    }

    @Test func `the check refuses a read that goes back, and a conflict without a cause`() {
        let one = ObjectVersion("1")
        let back = History(calls: [
            .init(sent: 1, answered: 8, answer: .wrote(one, replacing: nil)),
            .init(sent: 2, answered: 3, answer: .read(one)),
            .init(sent: 4, answered: 5, answer: .read(nil)),
        ])
        #expect(back.contradiction()?.hasPrefix("a read ") == true)
        let causeless = History(calls: [
            .init(sent: 1, answered: 2, answer: .wrote(one, replacing: nil)),
            .init(sent: 3, answered: 4, answer: .conflict(replacing: one)),
        ])
        #expect(causeless.contradiction()?.contains("there all the time") == true)
    }
}

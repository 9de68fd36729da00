import Storage
import Testing

@Suite struct StoreProbeTests {
    @Test(arguments: Backend.all)
    func `a store that keeps the contract passes, also when several processes start at once`(backend: Backend)
        async throws
    {
        let opened = try await backend.open(6)
        for client in opened.clients { try await client.probe() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in opened.clients { group.addTask { try await client.probe() } }
            try await group.waitForAll()
        }
        #expect(try await opened.clients[0].list(.members).map(\.name) == [.probe])
        #expect(try await opened.clients[0].list(.leases).isEmpty)
    }

    struct Case: CustomTestStringConvertible {
        let fault: FaultyStore.Fault
        let failure: StoreProbeFailure
        var testDescription: String { "\(fault)" }
    }

    static let cases = FaultyStore.Fault.allCases.map { fault in
        let failure: StoreProbeFailure =
            switch fault {
            case .createsOverExisting: .createsOverExisting
            case .ignoresVersions: .ignoresVersions
            case .repeatsVersions: .repeatsVersions
            case .readsStale, .damagesBodies: .readsOtherThanWritten
            case .listsStale, .listsNothing: .listsOtherThanRead
            case .fails: .unanswered(.failed("The disk is on fire."))
            }
        return Case(fault: fault, failure: failure)
    }

    @Test(arguments: cases)
    func `a store that breaks a clause is refused by the name of what it did`(_ wrong: Case) async throws {
        await #expect(throws: wrong.failure) { try await FaultyStore(wrong.fault).probe() }
        #expect(wrong.failure.description.contains(wrong.fault == .fails ? "on fire" : "Two clusters could lead"))
    }
}

import Platform
import Storage

/// A store in memory whose calls go wrong as a test says, until it says otherwise.
final class TrialStore: LeaseStore {
    enum Fault: Hashable, Sendable {
        /// Does not answer before ``release()``, and then acts.
        case hangs
        /// Takes effect, and then nobody hears of it.
        case answerIsLost
        case unclear
        case fails
    }

    enum Call: Hashable, Sendable {
        case read(ObjectName)
        case write(ObjectName)
        case list(ObjectName.Folder)

        var isWrite: Bool { if case .write = self { true } else { false } }
    }

    private struct State {
        var fault: @Sendable (Call) -> Fault? = { _ in nil }
        var hanging: [CheckedContinuation<Void, Never>] = []
        var calls = 0
        var witness: @Sendable (Call, [UInt8]) -> Void = { _, _ in }
    }

    let memory: MemoryStore
    let rewriteInterval: Duration
    private let state = Locked(State())

    init(_ memory: MemoryStore = MemoryStore(), rewriteInterval: Duration = .zero) {
        self.memory = memory
        self.rewriteInterval = rewriteInterval
    }

    var hanging: Int { state.withLock { $0.hanging.count } }
    var calls: Int { state.withLock { $0.calls } }

    func setFault(_ fault: @escaping @Sendable (Call) -> Fault?) {
        state.withLock { $0.fault = fault }
    }

    /// - Parameter witness: is told of each call, and what it writes, when it comes in.
    func setWitness(_ witness: @escaping @Sendable (Call, [UInt8]) -> Void) {
        state.withLock { $0.witness = witness }
    }

    /// Lets the calls that hang go on.
    func release() {
        let hanging = state.withLock { state in
            defer { state.hanging = [] }
            return state.hanging
        }
        for call in hanging { call.resume() }
    }

    func read(_ name: ObjectName) async throws(StoreError) -> StoredObject? {
        let fault = try await arrive(.read(name))
        let answer = try await memory.read(name)
        if fault == .answerIsLost { throw .unclear("the answer was lost") }
        return answer
    }

    func write(_ name: ObjectName, _ body: [UInt8], replacing version: ObjectVersion?) async throws(StoreError)
        -> ObjectVersion
    {
        let fault = try await arrive(.write(name), body)
        let answer = try await memory.write(name, body, replacing: version)
        if fault == .answerIsLost { throw .unclear("the answer was lost") }
        return answer
    }

    func list(_ folder: ObjectName.Folder) async throws(StoreError) -> [StoredObject] {
        let fault = try await arrive(.list(folder))
        let answer = try await memory.list(folder)
        if fault == .answerIsLost { throw .unclear("the answer was lost") }
        return answer
    }

    func notices() -> AsyncStream<Void>? { memory.notices() }

    private func arrive(_ call: Call, _ body: [UInt8] = []) async throws(StoreError) -> Fault? {
        let (fault, witness) = state.withLock { state in
            state.calls += 1
            return (state.fault, state.witness)
        }
        witness(call, body)
        switch fault(call) {
        case .hangs:
            await withCheckedContinuation { call in state.withLock { $0.hanging.append(call) } }
            return .hangs
        case .unclear: throw .unclear("no trustworthy answer")
        case .fails: throw .failed("the disk is on fire")
        case .answerIsLost: return .answerIsLost
        case nil: return nil
        }
    }
}

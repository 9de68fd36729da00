import Storage
import Support
import Synchronization
import Testing

/// What several clients did to one object, and whether one order of it all explains every answer.
///
/// Every write has a version of its own and names the one that it replaced, so the order of the writes is known and only
/// has to be compared with who waited for whom. That is all of linearizability for a register with compare-and-swap.
struct History: Sendable {
    enum Answer: Sendable {
        case read(ObjectVersion?)
        case wrote(ObjectVersion, replacing: ObjectVersion?)
        case conflict(replacing: ObjectVersion?)
    }

    struct Call: Sendable {
        /// Moments of one clock that all clients share and that moves with each question to it.
        let sent: Int
        let answered: Int
        let answer: Answer
    }

    var calls: [Call] = []

    /// What is wrong with the answers, or nil.
    func contradiction() -> String? {
        // The state after each write; 0 is absence before the first.
        var next: [ObjectVersion?: ObjectVersion] = [:]
        for case .wrote(let version, let replaced) in calls.map(\.answer) {
            if next.updateValue(version, forKey: replaced) != nil { return "two writes replaced \(replaced as Any)" }
        }
        var states: [ObjectVersion?: Int] = [nil: 0]
        var last: ObjectVersion? = nil
        while let version = next[last] {
            if states.updateValue(states.count, forKey: version) != nil { return "\(version) was given twice" }
            last = version
        }
        guard states.count == next.count + 1 else { return "a write replaced a version that no write gave" }

        // At which states each call can have taken place, as far as the calls before and after it allow.
        for call in calls {
            var earliest = 0
            var latest = states.count - 1
            for other in calls {
                guard let (state, isWrite) = place(other, states) else { continue }
                if other.answered < call.sent { earliest = max(earliest, state) }
                if call.answered < other.sent { latest = min(latest, isWrite ? state - 1 : state) }
            }
            switch call.answer {
            case .read(let version):
                guard let state = states[version] else { return "a read gave \(version as Any), which nobody wrote" }
                if state < earliest { return "a read went back to \(version as Any)" }
                if state > latest { return "a read gave \(version as Any) before it was written" }
            case .wrote(let version, _):
                // The state before its own is the last one that it may come after.
                if states[version]! <= earliest { return "\(version) was written before what came earlier" }
                if states[version]! > latest { return "\(version) was written after what came later" }
            case .conflict(let version):
                if let state = states[version], earliest == state && latest == state {
                    return "a conflict with \(version as Any), which was there all the time"
                }
            }
        }
        return nil
    }

    private func place(_ call: Call, _ states: [ObjectVersion?: Int]) -> (state: Int, isWrite: Bool)? {
        switch call.answer {
        case .read(let version): states[version].map { ($0, false) }
        case .wrote(let version, _): states[version].map { ($0, true) }
        case .conflict: nil
        }
    }

    /// Lets each client do random calls on one object, all at once, and notes them.
    static func record(
        _ clients: [any LeaseStore], callsEach: Int, on name: ObjectName, seed: UInt64
    ) async throws -> History {
        let clock = Counter()
        return try await withThrowingTaskGroup(of: [Call].self) { group in
            for (number, client) in clients.enumerated() {
                group.addTask {
                    var random = SeededRandom(seed: seed &+ UInt64(number) &* 0x9E37_79B9)
                    // What this client saw so far; it writes on top of the newest, sometimes of an old one.
                    var seen: [ObjectVersion?] = [nil]
                    var calls: [Call] = []
                    for step in 0..<callsEach {
                        let choice = random.next() % 8
                        let sent = clock.tick()
                        let answer: Answer
                        if choice < 3 {
                            let version = try await client.read(name)?.version
                            seen.append(version)
                            answer = .read(version)
                        } else {
                            let expected = choice < 7 ? seen.last! : seen[Int(random.next() % UInt64(seen.count))]
                            do throws(StoreError) {
                                let version = try await client.write(
                                    name, [UInt8(truncatingIfNeeded: step)], replacing: expected)
                                seen.append(version)
                                answer = .wrote(version, replacing: expected)
                            } catch {
                                guard error == .conflict else { throw error }
                                answer = .conflict(replacing: expected)
                            }
                        }
                        calls.append(Call(sent: sent, answered: clock.tick(), answer: answer))
                    }
                    return calls
                }
            }
            return try await group.reduce(into: History()) { $0.calls += $1 }
        }
    }
}

private final class Counter: Sendable {
    private let count = Atomic<Int>(0)

    func tick() -> Int {
        count.add(1, ordering: .sequentiallyConsistent).newValue
    }
}

internal import Election

/// What broke a promise, in one sentence.
package struct Violation: Error, Hashable, CustomStringConvertible {
    package enum Promise: String, Sendable {
        case exclusion, fencing, progress, cost
    }

    package let promise: Promise
    /// True time, in nanoseconds.
    package let time: Int64
    package let namespace: String?
    package let description: String
}

/// One webhook that would admit: the one inside a controller's process, or one of its own that lives by grants.
final class Agent {
    let name: String
    /// Whose writes it admits: a cluster, or one of two clusters of the same name.
    let party: Int
    let clocks: MachineClocks
    var table: LeadershipTable?
    /// A stopped process admits nothing.
    var isStopped = false
    /// For each namespace, the true time until which it admits if nothing happens; `.min`: it does not.
    fileprivate(set) var until: [Int64]
    private var slots: (index: NamespaceIndex, positions: [Int])?

    init(name: String, party: Int, clocks: MachineClocks, namespaces: Int) {
        self.name = name
        self.party = party
        self.clocks = clocks
        until = Array(repeating: .min, count: namespaces)
    }

    /// The table's slot of each of the run's namespaces; -1: it has none.
    fileprivate func slots(of table: LeadershipTable, _ names: [String]) -> [Int] {
        if let slots, slots.index === table.index { return slots.positions }
        let positions = names.map { table.index.slot(of: $0) ?? -1 }
        slots = (table.index, positions)
        return positions
    }
}

/// Checks exclusion in true time.
///
/// An agent's admissions in a namespace are an interval that begins now and ends when its table runs out on its own
/// clocks; whatever changes that calls ``update(_:at:)``. So nothing has to be sampled, and no overlap is missed.
struct Exclusion {
    let namespaces: [String]
    /// How long after an admission its write may still reach the API server's storage, in true time.
    let commitMargin: Int64
    private var agents: [[Agent]] = []
    /// For each namespace and party: the latest time at which it admitted, or will if nothing happens.
    private var reach: [[Int64]]
    /// For each namespace and party: the latest time at which it did admit and that no agent's `until` tells any more.
    private var past: [[Int64]]
    private var leader: [Int]
    private(set) var leaderChanges = 0
    /// How many times an agent's admissions began or were prolonged.
    private(set) var admissions = 0
    private(set) var violation: Violation?

    init(namespaces: [String], commitMargin: Int64) {
        self.namespaces = namespaces
        self.commitMargin = commitMargin
        reach = Array(repeating: [], count: namespaces.count)
        past = reach
        leader = Array(repeating: -1, count: namespaces.count)
    }

    var parties: Int { agents.count }

    mutating func addParty() {
        agents.append([])
        for namespace in namespaces.indices {
            reach[namespace].append(.min)
            past[namespace].append(.min)
        }
    }

    mutating func add(_ agent: Agent) { agents[agent.party].append(agent) }

    /// Works out anew until when an agent admits, after its table, its clocks or its process changed.
    ///
    /// - Returns: the namespaces in which that is another time now.
    @discardableResult
    mutating func update(_ agent: Agent, at time: Int64, collecting: Bool = false) -> [(Int, until: Int64)] {
        var changes: [(Int, until: Int64)] = []
        func set(_ exclusion: inout Exclusion, _ namespace: Int, _ until: Int64) {
            guard agent.until[namespace] != until else { return }
            if collecting { changes.append((namespace, until)) }
            exclusion.set(namespace, until, of: agent, at: time)
        }
        guard let table = agent.table, !agent.isStopped else {
            for namespace in namespaces.indices { set(&self, namespace, .min) }
            return changes
        }
        let slots = agent.slots(of: table, namespaces)
        for namespace in namespaces.indices {
            var until: Int64?
            if slots[namespace] >= 0, table.entries[slots[namespace]].state == .own {
                let limit = table.entries[slots[namespace]].limit
                until = agent.clocks.end(of: limit, from: table.anchor, at: time)
            }
            set(&self, namespace, until ?? .min)
        }
        return changes
    }

    private mutating func set(_ namespace: Int, _ until: Int64, of agent: Agent, at time: Int64) {
        let before = agent.until[namespace]
        agent.until[namespace] = until
        let party = agent.party
        if until > before {
            if until > time { checkAlone(namespace, agent, at: time) }
            reach[namespace][party] = max(reach[namespace][party], until)
            // What it had admitted until before is covered by the party's reach.
            past[namespace][party] = max(past[namespace][party], min(before, time))
        } else {
            past[namespace][party] = max(past[namespace][party], min(before, time))
            reach[namespace][party] = agents[party].reduce(past[namespace][party]) { max($0, $1.until[namespace]) }
        }
    }

    private mutating func checkAlone(_ namespace: Int, _ agent: Agent, at time: Int64) {
        admissions += 1
        for other in reach[namespace].indices where other != agent.party {
            guard reach[namespace][other] > .min, reach[namespace][other] + commitMargin > time, violation == nil else {
                continue
            }
            let name = agents[other].max { $0.until[namespace] < $1.until[namespace] }?.name ?? "?"
            let until = reach[namespace][other]
            violation = Violation(
                promise: .exclusion, time: time, namespace: namespaces[namespace],
                description: until > time
                    ? "\(agent.name) admits in \(namespaces[namespace]) at \(stamp(time)), and \(name) does, too, until "
                        + stamp(until)
                    : "\(agent.name) admits in \(namespaces[namespace]) at \(stamp(time)), and a write that another "
                        + "cluster admitted at \(stamp(until)) may still land")
        }
        if leader[namespace] != agent.party {
            leader[namespace] = agent.party
            leaderChanges += 1
        }
    }

    /// Who of others than `party` admits in a namespace now; nil: nobody does.
    func admitting(_ namespace: Int, butOf party: Int? = nil, at time: Int64) -> Agent? {
        for other in agents.indices where other != party && reach[namespace][other] > time {
            if let agent = agents[other].first(where: { $0.until[namespace] > time }) { return agent }
        }
        return nil
    }

    /// Who of a party admits anywhere now; nil: nobody does.
    func admitting(of party: Int, at time: Int64) -> (agent: Agent, namespace: Int)? {
        for namespace in namespaces.indices where reach[namespace][party] > time {
            if let agent = agents[party].first(where: { $0.until[namespace] > time }) { return (agent, namespace) }
        }
        return nil
    }
}

/// True time for people.
func stamp(_ time: Int64) -> String {
    let milliseconds = time / millisecond
    let rest = String(milliseconds % 1000)
    return "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest) s"
}

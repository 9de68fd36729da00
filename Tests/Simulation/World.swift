package import Election
internal import Support

/// Clusters of real electors, grant servers and grant clients on a store that delays, loses and reorders, in true time.
///
/// Same seed, same run. Safety is checked whenever anything changes, progress and cost at the end.
package final class World {
    package let seed: UInt64
    package let setting: Setting
    var timing: Timing { setting.timing }
    var random: SeededRandom
    package private(set) var time: Int64 = 0
    private var queue = EventQueue()

    var replicas: [Replica] = []
    var webhooks: [Webhook] = []
    /// The uid of each cluster: another one once it was built anew under its old name.
    var uids: [String] = []
    /// What each cluster wants of each namespace.
    var wants: [[Wish.Aim]] = []
    /// What a directed sequence does when the cluster's next incarnation has taken over; once.
    var onTakeOver: [Int: (Replica) -> Void] = [:]
    let makeParticipant: (Elector.Identity, Timing, _ takeovers: Int) -> any Participant
    var incarnations = 0

    var store = Store()
    var exclusion: Exclusion
    package internal(set) var violation: Violation?
    var isFaulty = true
    /// Faults so far, and how many of them are let happen.
    package internal(set) var faults = 0
    let faultLimit: Int
    /// Nobody may start before: a lease record was deleted by hand, and who starts afresh could not know of it.
    var startsBarredUntil: Int64 = 0
    /// When the run is over.
    var end: Int64
    var requests = 0
    var lastLeaseWrite: Int64 = 0
    /// When an administrator last deleted each lease record.
    var leaseDeletions: [String: Int64] = [:]
    var highestTerms: [String: UInt64] = [:]

    package var history = History()
    package let isTraced: Bool

    package var leaderChanges: Int { exclusion.leaderChanges }
    package var admissions: Int { exclusion.admissions }

    package convenience init(
        seed: UInt64, setting: Setting? = nil, clockRateMax: Int64? = nil, faultLimit: Int = .max,
        isTraced: Bool = false,
        ignoresLeaseVersions: Bool = false,
        makeParticipant: @escaping (Elector.Identity, Timing, _ takeovers: Int) -> any Participant = {
            Elector(identity: $0, timing: $1, takeovers: $2)
        }
    ) {
        var random = SeededRandom(seed: seed)
        var setting = setting ?? Setting(random: &random)
        setting.clockRateMax = clockRateMax ?? setting.clockRateMax
        self.init(
            seed: seed, random: random, setting: setting, faultLimit: faultLimit, isTraced: isTraced,
            ignoresLeaseVersions: ignoresLeaseVersions, makeParticipant: makeParticipant)
    }

    private init(
        seed: UInt64, random: SeededRandom, setting: Setting, faultLimit: Int, isTraced: Bool,
        ignoresLeaseVersions: Bool,
        makeParticipant: @escaping (Elector.Identity, Timing, _ takeovers: Int) -> any Participant
    ) {
        self.seed = seed
        self.random = random
        self.setting = setting
        end = setting.faultTime + setting.quietTime
        self.faultLimit = faultLimit
        self.isTraced = isTraced
        self.makeParticipant = makeParticipant
        // The margin is counted on a clock that may be fast.
        exclusion = Exclusion(
            namespaces: setting.namespaces, commitMargin: setting.timing.commitMargin.nanoseconds / 100 * 98)
        store.ignoresLeaseVersions = ignoresLeaseVersions || !Rule.leaseWritesAreConditional.isKept
        store.ignoresMemberVersions = !Rule.memberWritesAreConditional.isKept
        history.namespaces = setting.namespaces
        for cluster in 0..<setting.clusters { addCluster(cluster) }
    }

    private func addCluster(_ cluster: Int) {
        uids.append("uid-\(cluster)")
        wants.append(
            setting.namespaces.map { _ in random.chance(90) ? .lead(seconds: random.pick(setting.durations)) : .forget }
        )
        exclusion.addParty()
        for _ in 0..<setting.replicas {
            let name = "c\(cluster)/r\(replicas.count)"
            let clocks = machineClocks(of: cluster)
            let agent = Agent(name: name, party: cluster, clocks: clocks, namespaces: setting.namespaces.count)
            exclusion.add(agent)
            replicas.append(
                Replica(cluster: cluster, position: replicas.count, uid: uids[cluster], clocks: clocks, agent: agent))
        }
        addWebhooks(of: cluster, party: cluster)
        history.clusters.append(
            (
                "c\(cluster)", replicas.filter { $0.cluster == cluster }.map(\.name),
                webhooks.filter { $0.cluster == cluster }.map(\.agent.name)
            ))
    }

    private func machineClocks(of cluster: Int) -> MachineClocks {
        let rate = cluster % 2 == 0 ? -setting.clockRateMax : setting.clockRateMax
        return MachineClocks(
            random: &random, rateMax: setting.clockRateMax, clusterRate: setting.clocksAreOpposed ? rate : nil)
    }

    func addWebhooks(of cluster: Int, party: Int) {
        for _ in 0..<setting.webhooks {
            let clocks = machineClocks(of: cluster)
            let agent = Agent(
                name: "c\(cluster)/w\(webhooks.count)", party: party, clocks: clocks,
                namespaces: setting.namespaces.count)
            exclusion.add(agent)
            webhooks.append(Webhook(cluster: cluster, uid: uids[cluster], agent: agent))
        }
    }

    // MARK: Running

    /// Runs to the end, or to the first violation; once.
    package func run() throws(Violation) {
        defer { forgetActions() }
        for replica in replicas { after(random.within(0...3 * second)) { self.start(replica) } }
        for webhook in webhooks { ask(webhook) }
        scheduleFaults()
        schedulePlots()
        after(setting.faultTime) { self.endFaults() }
        while violation == nil, let event = queue.next(), event.time <= end {
            time = event.time
            event.action()
            violation = violation ?? exclusion.violation
        }
        // What is left in it refers to this world, which it would keep for ever: 250 KB a run.
        queue = EventQueue()
        if let violation {
            trace(nil, "check", .violation(violation.description))
            throw violation
        }
        time = end
    }

    /// What was still to happen holds this world, which holds it.
    private func forgetActions() {
        queue = EventQueue()
        onTakeOver = [:]
        for replica in replicas { (replica.continuation, replica.script) = (nil, nil) }
    }

    func after(_ delay: Int64, _ action: @escaping () -> Void) {
        queue.add(at: time + max(delay, 0), action)
    }

    func trace(_ cluster: Int?, _ who: @autoclosure () -> String, _ kind: @autoclosure () -> History.Kind) {
        guard isTraced else { return }
        history.entries.append(.init(time: time, cluster: cluster, who: who(), kind: kind()))
    }

    func violate(_ promise: Violation.Promise, _ namespace: String? = nil, _ description: String) {
        guard violation == nil else { return }
        violation = Violation(promise: promise, time: time, namespace: namespace, description: description)
    }

    func update(_ agent: Agent, cluster: Int) {
        let changes = exclusion.update(agent, at: time, collecting: isTraced)
        for (namespace, until) in changes {
            trace(cluster, agent.name, .admits(namespace: setting.namespaces[namespace], until: until))
        }
    }
}

/// A controller's process on its machine.
final class Replica {
    let cluster: Int
    let position: Int
    var name: String { agent.name }
    var uid: String
    let clocks: MachineClocks
    /// The webhook in the same process.
    var agent: Agent
    var elector: (any Participant)?
    var incarnation = ""
    /// What grants are computed from.
    var board: LeadershipTable?
    var isActive: Bool { board?.isActive ?? false }
    /// The whole process is stopped until then, or only the controller's thread is held up.
    var stoppedUntil: Int64 = 0
    var heldUpUntil: Int64 = 0
    /// What the controller's thread goes on with, and then takes in.
    var continuation: (() -> Void)?
    var inbox: [Event] = []
    /// Changes with every start: what belongs to an earlier run is void.
    var run = 0
    var takeovers = 0
    var timer = 0
    var pending: Set<RequestID> = []
    var link = Link()
    /// What a directed sequence does to the requests of this run, after everything else; true: it is done.
    var script: ((Request.Operation, inout World.Way) -> Bool)?

    init(cluster: Int, position: Int, uid: String, clocks: MachineClocks, agent: Agent) {
        self.cluster = cluster
        self.position = position
        self.uid = uid
        self.clocks = clocks
        self.agent = agent
    }
}

/// A webhook in a process of its own, which lives by its controllers' grants.
final class Webhook {
    let cluster: Int
    /// Of the cluster that it runs in: one built anew under an old name has its own.
    let uid: String
    let agent: Agent
    var client: GrantClient
    var stoppedUntil: Int64 = 0

    init(cluster: Int, uid: String, agent: Agent) {
        self.cluster = cluster
        self.uid = uid
        self.agent = agent
        client = GrantClient(cluster: "c\(cluster)")
    }
}

/// The way from a replica to the store.
struct Link {
    var downUntil: Int64 = 0
    var loss = History.Loss.nothing
}

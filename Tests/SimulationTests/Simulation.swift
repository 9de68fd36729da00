import Election
import Support

struct Violation: Error, CustomStringConvertible {
    let description: String
}

/// Clusters of real electors on a store that delays, loses and reorders, in simulated time. Same seed, same run.
///
/// Exclusion is checked after every event: windows open only at events, so no overlap can begin unseen.
final class Simulation {
    let seed: UInt64
    private var random: SeededRandom
    private(set) var time: Int64 = 0
    private var queue = EventQueue()
    private var replicas: [Replica] = []
    private var webhooks: [Webhook] = []
    private let namespaces: [String]
    private let timing: Timing
    private var faulty = true
    private var incarnations = 0
    private(set) var trace: [String] = []
    private let traced: Bool

    // The store: linearizable per object, versions never come back.
    private var objects: [(name: RecordName, object: RecordObject?)] = []
    private var positions: [RecordName: Int] = [:]
    private var lastVersion = 0
    private var highestTerm: [String: UInt64] = [:]
    /// Which cluster admitted last in a namespace, and until when.
    private var admitted: [(cluster: Int, at: Int64)]
    private(set) var leaderChanges = 0
    private(set) var admissionsChecked = 0

    final class Replica {
        let cluster: Int
        let machine: Int
        var clocks: MachineClocks
        var elector: Elector?
        /// What its webhook judges by.
        var table: LeadershipTable?
        /// The whole process is stopped until then.
        var stoppedUntil: Int64 = 0
        /// Only the controller's thread is held up until then.
        var heldUpUntil: Int64 = 0
        /// Changes with every start: events of an earlier run are void.
        var run = 0
        var takeovers = 0
        var durations: [Int]
        var timer = 0

        init(cluster: Int, machine: Int, clocks: MachineClocks, durations: [Int]) {
            self.cluster = cluster
            self.machine = machine
            self.clocks = clocks
            self.durations = durations
        }
    }

    /// A webhook in a process of its own, which lives by its controllers' grants.
    final class Webhook {
        let cluster: Int
        var clocks: MachineClocks
        var table: LeadershipTable?
        var client: GrantClient
        var stoppedUntil: Int64 = 0

        init(cluster: Int, clocks: MachineClocks) {
            client = GrantClient(cluster: "c\(cluster)")
            self.cluster = cluster
            self.clocks = clocks
        }
    }

    init(seed: UInt64, traced: Bool = false) {
        self.seed = seed
        self.traced = traced
        var random = SeededRandom(seed: seed)
        namespaces = (0...random.below(3)).map { "n\($0)" }
        var timing = Timing()
        timing.relistInterval = .seconds(20)
        self.timing = timing
        admitted = namespaces.map { _ in (-1, -1_000 * second) }
        let clusters = 2 + random.below(2)
        let durations = namespaces.map { _ in [12, 15, 15, 20][random.below(4)] }
        for cluster in 0..<clusters {
            for _ in 0...random.below(2) {
                let clocks = MachineClocks(random: &random)
                replicas.append(
                    Replica(cluster: cluster, machine: replicas.count, clocks: clocks, durations: durations))
            }
            webhooks.append(Webhook(cluster: cluster, clocks: MachineClocks(random: &random)))
        }
        self.random = random
    }

    func run(faultsFor faultSeconds: Int64 = 300, quietFor quietSeconds: Int64 = 200) throws {
        for replica in replicas {
            after(random.within(0...3 * second)) { self.start(replica) }
        }
        for webhook in webhooks { askForGrant(webhook) }
        scheduleFault()
        after(faultSeconds * second) {
            self.faulty = false
            for replica in self.replicas where replica.elector == nil { self.start(replica) }
            for replica in self.replicas { replica.clocks.setSlew(0, at: self.time) }
        }
        let end = (faultSeconds + quietSeconds) * second
        while let event = queue.next(), event.time <= end {
            time = event.time
            try event.action()
            if let writeViolation { throw writeViolation }
            try checkExclusion()
        }
        time = end
        for (index, namespace) in namespaces.enumerated() where leader(of: index) == nil {
            throw Violation(
                description: "seed \(seed): nobody leads \(namespace) \(quietSeconds) s after the last fault")
        }
    }

    // MARK: Invariants

    /// Everybody who would admit in a namespace now: the webhooks inside controllers, and those of their own.
    private func admitting(_ namespace: Int) -> [(cluster: Int, name: String)] {
        func leads(_ table: LeadershipTable?, _ clocks: MachineClocks, _ stoppedUntil: Int64) -> Bool {
            guard let table, stoppedUntil <= time else { return false }
            guard case .leads = table.standing(of: namespaces[namespace], at: clocks.reading(at: time)) else {
                return false
            }
            return true
        }
        return replicas.filter { leads($0.table, $0.clocks, $0.stoppedUntil) }.map { ($0.cluster, name($0)) }
            + webhooks.filter { leads($0.table, $0.clocks, $0.stoppedUntil) }.map { ($0.cluster, "c\($0.cluster)/w") }
    }

    private func leader(of namespace: Int) -> Int? { admitting(namespace).first?.cluster }

    private func checkExclusion() throws {
        let margin = Int64(timing.commitMargin.nanoseconds) * 98 / 100
        for namespace in namespaces.indices {
            for agent in admitting(namespace) {
                admissionsChecked += 1
                let last = admitted[namespace]
                if last.cluster >= 0 && last.cluster != agent.cluster {
                    guard time - last.at >= margin else {
                        throw Violation(
                            description: "seed \(seed): \(agent.name) may admit in \(namespaces[namespace]) at "
                                + "\(stamp), cluster c\(last.cluster) could until \(last.at / 1_000_000) ms")
                    }
                    leaderChanges += 1
                }
                admitted[namespace] = (agent.cluster, time)
            }
        }
    }

    // MARK: Grants

    /// Asks one of the cluster's controllers, and again a sixth of a grant later.
    private func askForGrant(_ webhook: Webhook) {
        after(max(webhook.stoppedUntil - time, timing.grantDuration.nanoseconds / 6)) { self.askForGrant(webhook) }
        guard webhook.stoppedUntil <= time else { return }
        let controllers = replicas.filter { $0.cluster == webhook.cluster }
        let replica = controllers[random.below(controllers.count)]
        let asked = webhook.clocks.reading(at: time)
        after(networkDelay()) {
            guard replica.stoppedUntil <= self.time, let table = replica.table else { return }
            let grant = Grant(
                of: table, known: webhook.client.known, at: replica.clocks.reading(at: self.time), timing: self.timing)
            self.after(self.networkDelay()) {
                guard webhook.stoppedUntil <= self.time else { return }
                guard let table = try? webhook.client.take(grant, askedAt: asked) else { return }
                webhook.table = table
            }
        }
    }

    // MARK: Processes

    private func name(_ replica: Replica) -> String { "c\(replica.cluster)/r\(replica.machine)" }
    private var stamp: String { "\(time / 1_000_000) ms" }

    private func note(_ text: @autoclosure () -> String) {
        if traced { trace.append("\(stamp) \(text())") }
    }

    private func after(_ delay: Int64, _ action: @escaping () throws -> Void) {
        queue.add(at: time + max(delay, 0), action)
    }

    private func start(_ replica: Replica) {
        guard replica.elector == nil else { return }
        incarnations += 1
        replica.run += 1
        replica.elector = Elector(
            identity: .init(
                cluster: "c\(replica.cluster)", uid: "uid-\(replica.cluster)", incarnation: "i\(incarnations)"),
            timing: timing, takeovers: replica.takeovers)
        note("\(name(replica)) starts as i\(incarnations)")
        deliver(wishes(of: replica), to: replica)
    }

    private func wishes(of replica: Replica) -> Event {
        .wishes(namespaces.indices.map { Wish(namespaces[$0], .lead(seconds: replica.durations[$0])) })
    }

    private func kill(_ replica: Replica) {
        note("\(name(replica)) dies")
        replica.elector = nil
        replica.table = nil
        replica.stoppedUntil = 0
        replica.heldUpUntil = 0
        replica.run += 1
    }

    /// Hands an event to the replica's controller when that is able to run.
    private func deliver(_ event: Event, to replica: Replica) {
        let run = replica.run
        let wait = max(replica.stoppedUntil, replica.heldUpUntil) - time
        if wait > 0 {
            after(wait) { if replica.run == run { self.deliver(event, to: replica) } }
            return
        }
        guard replica.elector != nil, replica.run == run else { return }
        let output = replica.elector!.handle(event, at: replica.clocks.reading(at: time))
        for line in output.notes { note("\(name(replica)) \(line)") }
        // The controller's thread may be held up between any two steps.
        step(replica, run) { self.publish(output, by: replica, run) }
    }

    private func step(_ replica: Replica, _ run: Int, _ action: @escaping () -> Void) {
        if faulty && random.chance(0.3) {
            replica.heldUpUntil = time + interestingDelay()
            note("\(name(replica)) is held up until \(replica.heldUpUntil / 1_000_000) ms")
            resume(replica, run, action)
        } else if replica.stoppedUntil > time {
            resume(replica, run, action)
        } else {
            action()
        }
    }

    private func resume(_ replica: Replica, _ run: Int, _ action: @escaping () -> Void) {
        after(max(replica.stoppedUntil, replica.heldUpUntil) - time) {
            guard replica.run == run else { return }
            // Stopped again in the meantime.
            if replica.stoppedUntil > self.time { return self.resume(replica, run, action) }
            action()
        }
    }

    private func publish(_ output: Output, by replica: Replica, _ run: Int) {
        if let table = output.table {
            replica.table = table
            let more = replica.elector!.handle(.published, at: replica.clocks.reading(at: time))
            step(replica, run) {
                self.carryOut(output, by: replica, run)
                self.publish(more, by: replica, run)
            }
        } else {
            carryOut(output, by: replica, run)
        }
    }

    private func carryOut(_ output: Output, by replica: Replica, _ run: Int) {
        guard replica.run == run else { return }
        for request in output.requests { send(request, by: replica, run) }
        if let ending = output.ending {
            note("\(name(replica)) ends: \(ending)")
            replica.takeovers = replica.elector?.takeovers ?? 0
            kill(replica)
            after(random.within(0...2 * second)) { if replica.elector == nil { self.start(replica) } }
        } else if let wait = output.wakeAfter {
            replica.timer += 1
            let timer = replica.timer
            after(wait.nanoseconds) {
                if replica.run == run && replica.timer == timer { self.deliver(.tick, to: replica) }
            }
        }
    }

    // MARK: The store

    private func send(_ request: Request, by replica: Replica, _ run: Int) {
        var isAnswered = false
        note("\(name(replica)) > \(request.id) \(Self.text(request.operation))")
        func answer(_ answer: Answer) {
            guard !isAnswered, replica.run == run else { return }
            note("\(name(replica)) < \(request.id) \(Self.text(answer))")
            isAnswered = true
            deliver(.answered(request.id, answer), to: replica)
        }
        after(timing.requestTimeout.nanoseconds) { answer(.unclear("time-out")) }
        if faulty && random.chance(2) {
            after(random.within(0...second)) {
                answer(self.random.chance(50) ? .failed("503") : .unclear("503"))
            }
            return
        }
        if faulty && random.chance(2) { return }
        let copies = faulty && random.chance(1) ? 2 : 1
        for _ in 0..<copies {
            after(networkDelay()) {
                self.arrive(request.operation) { result in
                    if self.faulty && self.random.chance(3) { return }
                    self.after(self.networkDelay()) { answer(result) }
                }
            }
        }
    }

    private static func text(_ operation: Request.Operation) -> String {
        switch operation {
        case .read(let name): "read \(name)"
        case .list(let folder): "list \(folder)"
        case .write(let name, _, let version): "write \(name) over v\(version?.rawValue ?? "-")"
        }
    }

    private static func text(_ answer: Answer) -> String {
        switch answer {
        case .object(let object): "v\(object?.version.rawValue ?? "-")"
        case .objects(let objects): objects.map { "\($0.name.name) v\($0.version.rawValue)" }.joined(separator: ", ")
        case .written(let version): "written v\(version.rawValue)"
        case .conflict: "conflict"
        case .failed(let text): "failed: \(text)"
        case .unclear(let text): "unclear: \(text)"
        }
    }

    private func networkDelay() -> Int64 {
        faulty && random.chance(4) ? interestingDelay() : random.within(1_000_000...40_000_000)
    }

    /// Around the lengths at which something happens: a lease, a grant, a time-out, two of them.
    private func interestingDelay() -> Int64 {
        let base = [1, 3, 6, 12, 15, 15, 18, 21, 30][random.below(9)] * second
        return max(0, Int64(base) + random.within(-second...second))
    }

    private func arrive(_ operation: Request.Operation, _ answer: @escaping (Answer) -> Void) {
        switch operation {
        case .read(let name): answer(.object(positions[name].flatMap { objects[$0].object }))
        case .write(let name, let body, let replacing): answer(write(name, body, replacing))
        case .list(let folder):
            // Its objects are read at different moments.
            var found: [RecordObject] = []
            let names = objects.indices.filter { objects[$0].name.folder == folder }
            func read(_ index: Int) {
                guard index < names.count else { return answer(.objects(found)) }
                if let object = objects[names[index]].object { found.append(object) }
                if faulty && random.chance(5) {
                    after(random.within(0...2 * second)) { read(index + 1) }
                } else {
                    read(index + 1)
                }
            }
            read(0)
        }
    }

    private func write(_ name: RecordName, _ body: [UInt8], _ replacing: Version?) -> Answer {
        if positions[name] == nil {
            positions[name] = objects.count
            objects.append((name, nil))
        }
        let position = positions[name]!
        guard objects[position].object?.version == replacing else { return .conflict }
        lastVersion += 1
        let version = Version("\(lastVersion)")
        objects[position].object = RecordObject(name: name, version: version, body: body)
        if case .lease = name, let record = try? LeaseRecord(parsing: body) {
            note("\(name) <- \(record.holderIdentity) \(record.incarnation) term \(record.term) v\(lastVersion)")
            if writeViolation == nil { checkWrite(name.name, record) }
        } else if let record = try? MemberRecord(parsing: body, ofCluster: name.name) {
            note(
                "\(name) <- \(record.incarnation) #\(record.sequence) \(record.state) q\(record.quietSeconds) v\(lastVersion)"
            )
        }
        return .written(version)
    }

    private(set) var writeViolation: Violation?

    private func checkWrite(_ namespace: String, _ record: LeaseRecord) {
        let highest = highestTerm[namespace] ?? 0
        if record.isFree ? record.term < highest : record.term < highest {
            writeViolation = Violation(
                description: "seed \(seed): term \(record.term) of \(namespace) after \(highest)")
        }
        highestTerm[namespace] = max(highest, record.term)
        guard let index = namespaces.firstIndex(of: namespace) else { return }
        for agent in admitting(index) {
            if record.isFree || record.holderIdentity != "c\(agent.cluster)" {
                writeViolation = Violation(
                    description: "seed \(seed): \(record.isFree ? "a free record" : record.holderIdentity) lands in "
                        + "\(namespace) at \(stamp) while \(agent.name) may admit")
            }
        }
    }

    // MARK: Faults

    private func scheduleFault() {
        after(random.within(0...8 * second)) {
            guard self.faulty else { return }
            self.fault()
            self.scheduleFault()
        }
    }

    private func fault() {
        let replica = replicas[random.below(replicas.count)]
        switch random.below(9) {
        case 0, 1:
            if replica.elector != nil {
                replica.stoppedUntil = time + interestingDelay()
                note("\(name(replica)) is stopped until \(replica.stoppedUntil / 1_000_000) ms")
                after(replica.stoppedUntil - time) {}
            }
        case 2:
            if replica.elector != nil { kill(replica) }
            after(random.chance(50) ? random.within(0...second) : interestingDelay()) { self.start(replica) }
        case 3:
            replica.clocks.stepWallClock(by: random.within(-40 * second...40 * second), at: time)
        case 4:
            replica.clocks.setSlew(random.within(-80_000...80_000), at: time)
        case 5:
            deliver(.leave(.handover), to: replica)
        case 6:
            deliver(.leave(.release), to: replica)
            // As the controller does when a release takes too long.
            let run = replica.run
            after(20 * second) { if replica.run == run { self.deliver(.leave(.handover), to: replica) } }
        case 7:
            let index = random.below(namespaces.count)
            let seconds = [12, 15, 20, 30][random.below(4)]
            for other in replicas where other.cluster == replica.cluster {
                other.durations[index] = seconds
                deliver(.wishes([Wish(namespaces[index], .lead(seconds: seconds))]), to: other)
            }
        default:
            prefer(random.below(namespaces.count), replica.cluster)
        }
    }

    private func prefer(_ index: Int, _ cluster: Int) {
        guard let position = positions[.lease(namespaces[index])], let object = objects[position].object,
            var record = try? LeaseRecord(parsing: object.body)
        else { return }
        record.preferredHolder = "c\(cluster)"
        record.write = "admin-\(lastVersion)"
        note("an administrator prefers c\(cluster) for \(namespaces[index])")
        _ = write(.lease(namespaces[index]), record.encoded(), object.version)
        _ = write(.notice, [UInt8]("\(lastVersion)".utf8), positions[.notice].flatMap { objects[$0].object?.version })
    }
}

/// A binary heap by time, then by order of insertion.
struct EventQueue {
    private var heap: [(time: Int64, order: UInt64, action: () throws -> Void)] = []
    private var order: UInt64 = 0

    mutating func add(at time: Int64, _ action: @escaping () throws -> Void) {
        order += 1
        heap.append((time, order, action))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func next() -> (time: Int64, action: () throws -> Void)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) {
                    least = child
                }
                guard least != parent else { break }
                heap.swapAt(parent, least)
                parent = least
            }
        }
        return (first.time, first.action)
    }

    private func precedes(_ one: Int, _ other: Int) -> Bool {
        (heap[one].time, heap[one].order) < (heap[other].time, heap[other].order)
    }
}

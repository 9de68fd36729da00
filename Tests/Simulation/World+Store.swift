internal import Election

/// The store: linearizable per object, and versions never come back.
struct Store {
    private(set) var objects: [(name: RecordName, object: RecordObject?)] = []
    private var positions: [RecordName: Int] = [:]
    private(set) var lastVersion = 0
    /// A store without compare-and-swap.
    var ignoresLeaseVersions = false
    var ignoresMemberVersions = false

    subscript(_ name: RecordName) -> RecordObject? { positions[name].flatMap { objects[$0].object } }

    /// - Returns: the new version; nil: a conflict.
    mutating func write(_ name: RecordName, _ body: [UInt8], replacing: Version?) -> Version? {
        let position = position(name)
        let isConditional = name.folder == .leases ? !ignoresLeaseVersions : !ignoresMemberVersions
        guard objects[position].object?.version == replacing || !isConditional else { return nil }
        lastVersion += 1
        let version = Version(String(lastVersion))
        objects[position].object = RecordObject(name: name, version: version, body: body)
        return version
    }

    mutating func delete(_ name: RecordName) { objects[position(name)].object = nil }

    private mutating func position(_ name: RecordName) -> Int {
        if let position = positions[name] { return position }
        positions[name] = objects.count
        objects.append((name, nil))
        return objects.count - 1
    }
}

// Requests on their way to the store and back, and what is checked when one lands.
extension World {
    func send(_ request: Request, by replica: Replica) {
        requests += 1
        let (number, run, sent) = (requests, replica.run, time)
        replica.pending.insert(request.id)
        trace(
            replica.cluster, replica.name,
            .sent(
                number: number, operation: Self.text(request.operation), namespace: Self.namespace(request.operation)))
        after(timing.requestTimeout.nanoseconds) {
            self.answer(.unclear("time-out"), to: request.id, number, replica, run)
        }
        var way = way(of: request.operation, by: replica)
        if isFaulty, let script = replica.script, script(request.operation, &way) { replica.script = nil }
        guard let wayIn = way.in else { return }
        for copy in 0...way.copies {
            after(wayIn + Int64(copy) * way.gap) {
                self.arrive(request.operation, number, sentAt: sent) { answer in
                    guard let wayOut = way.out else { return }
                    self.after(wayOut) { self.answer(answer, to: request.id, number, replica, run) }
                }
            }
        }
    }

    private func answer(_ answer: Answer, to id: RequestID, _ number: Int, _ replica: Replica, _ run: Int) {
        guard replica.run == run else { return }
        guard replica.pending.remove(id) != nil else {
            // A stopped process finds the answer and the time-out together when it goes on, and may see either first.
            let timedOut = replica.inbox.firstIndex(of: .answered(id, .unclear("time-out")))
            if let timedOut, random.chance(50) { replica.inbox[timedOut] = .answered(id, answer) }
            return
        }
        trace(replica.cluster, replica.name, .answered(number: number, answer: Self.text(answer)))
        deliver(.answered(id, answer), to: replica)
    }

    /// How a request gets to the store and its answer back. nil: it is lost on that way.
    struct Way {
        var `in`: Int64?
        var out: Int64?
        var copies = 0
        var gap: Int64 = 0
    }

    private func way(of operation: Request.Operation, by replica: Replica) -> Way {
        var way = Way(in: networkDelay(), out: networkDelay())
        if replica.link.downUntil > time {
            let rest = replica.link.downUntil - time
            switch replica.link.loss {
            case .requests: way.in = nil
            case .answers: way.out = nil
            case .both: return Way(in: random.chance(20) ? way.in : nil, out: nil)
            case .nothing: way.in = rest + random.within(0...50 * millisecond)
            }
        }
        guard isFaulty else { return way }
        if random.chance(setting.trouble), inject() {
            switch random.below(4) {
            case 0: way.in = nil
            case 1: way.out = nil
            case 2: way.in = interestingDelay()
            default: (way.copies, way.gap) = (1, random.chance(50) ? networkDelay() : interestingDelay())
            }
        }
        adversary(operation, by: replica, &way)
        return way
    }

    func networkDelay() -> Int64 {
        isFaulty && random.chance(setting.trouble / 2) && inject()
            ? interestingDelay() : random.within(millisecond...setting.delayMax)
    }

    private func arrive(
        _ operation: Request.Operation, _ number: Int, sentAt sent: Int64, _ answer: @escaping (Answer) -> Void
    ) {
        // 429 and 503: refused, and whether it took effect is not said.
        if isFaulty && random.chance(setting.trouble / 2), inject() {
            trace(nil, "store", .arrived(number: number, outcome: "503"))
            return answer(random.chance(50) ? .failed("503") : .unclear("503"))
        }
        switch operation {
        case .read(let name):
            trace(nil, "store", .arrived(number: number, outcome: store[name].map { "v\($0.version.rawValue)" } ?? "-"))
            answer(.object(store[name]))
        case .write(let name, let body, let replacing):
            // Absence is the one state that comes back, when somebody deletes a record: a creation from before that would
            // take effect. The limit that docs/protocol.md states, so such a request is lost here.
            if case .lease(let namespace) = name, replacing == nil, sent < leaseDeletions[namespace] ?? .min { return }
            let version = land(name, body, replacing)
            trace(nil, "store", .arrived(number: number, outcome: version.map { "v\($0.rawValue)" } ?? "conflict"))
            answer(version.map { .written($0) } ?? .conflict)
        case .list(let folder):
            trace(nil, "store", .arrived(number: number, outcome: "list"))
            list(folder, from: 0, found: [], answer)
        }
    }

    /// A list reads its objects at different moments.
    private func list(
        _ folder: RecordName.Folder, from start: Int, found: [RecordObject], _ answer: @escaping (Answer) -> Void
    ) {
        var found = found
        for index in store.objects.indices.dropFirst(start) where store.objects[index].name.folder == folder {
            if isFaulty && index > start && random.chance(setting.trouble), inject() {
                return after(random.within(0...2 * second)) { [found] in
                    self.list(folder, from: index, found: found, answer)
                }
            }
            if let object = store.objects[index].object { found.append(object) }
        }
        answer(.objects(found))
    }

    /// A write reaches the store.
    func land(_ name: RecordName, _ body: [UInt8], _ replacing: Version?) -> Version? {
        let before = store[name]
        guard let version = store.write(name, body, replacing: replacing) else { return nil }
        if case .lease(let namespace) = name {
            lastLeaseWrite = time
            guard let record = try? LeaseRecord(parsing: body) else {
                if isTraced, let record = try? RenewedLeaseRecord(parsing: body) {
                    trace(
                        nil, "store",
                        .leaseWritten(
                            namespace: namespace, holder: record.holderIdentity, term: UInt64(record.leaderTransitions))
                    )
                }
                return version
            }
            checkLease(namespace, record, before: before.flatMap { try? LeaseRecord(parsing: $0.body) })
            trace(
                nil, "store",
                .leaseWritten(namespace: namespace, holder: record.holderIdentity, term: record.term))
        } else if isTraced || body.mayBeStopped, let record = try? MemberRecord(parsing: body, ofCluster: name.name) {
            checkMember(record)
            trace(
                Int(name.name.dropFirst()), "store",
                .memberWritten(state: record.state.rawValue, sequence: record.sequence))
        }
        return version
    }

    private func party(ofUID uid: String) -> Int? { webhooks.first { $0.uid == uid }?.agent.party }

    private func checkLease(_ namespace: String, _ record: LeaseRecord, before: LeaseRecord?) {
        let highest = highestTerms[namespace] ?? 0
        let isClaim = !record.isFree && record.claim != before?.claim
        if isClaim ? record.term <= highest : record.term < highest {
            violate(.fencing, namespace, "term \(record.term) of \(namespace) is written after \(highest)")
        }
        highestTerms[namespace] = max(highest, record.term)
        guard let index = setting.namespaces.firstIndex(of: namespace) else { return }
        let party = record.isFree ? nil : party(ofUID: record.uid)
        if let agent = exclusion.admitting(index, butOf: party, at: time) {
            violate(
                .exclusion, namespace,
                "\(record.isFree ? "a free record" : "a claim of \(record.holderIdentity)") lands in \(namespace) at "
                    + "\(stamp(time)), and \(agent.name) admits until \(stamp(agent.until[index]))")
        }
    }

    private func checkMember(_ record: MemberRecord) {
        guard record.state == .stopped, let party = party(ofUID: record.uid),
            let (agent, namespace) = exclusion.admitting(of: party, at: time)
        else { return }
        violate(
            .exclusion, setting.namespaces[namespace],
            "\"stopped\" of \(record.cluster) lands at \(stamp(time)), and \(agent.name) admits in "
                + "\(setting.namespaces[namespace]) until \(stamp(agent.until[namespace]))")
    }

    static func namespace(_ operation: Request.Operation) -> String? {
        switch operation {
        case .read(.lease(let namespace)), .write(.lease(let namespace), _, _): namespace
        case .read, .list, .write: nil
        }
    }

    static func text(_ operation: Request.Operation) -> String {
        switch operation {
        case .read(let name): return "read \(name)"
        case .list(let folder): return "list \(folder.rawValue)"
        case .write(let name, let body, let version):
            let over = "over v\(version?.rawValue ?? "-")"
            if case .lease = name, let record = try? LeaseRecord(parsing: body) {
                let verb = record.isFree ? "free" : record.write == record.claim ? "claim" : "ask for"
                return verb + " \(name) term \(record.term) "
                    + "D \(record.leaseDurationSeconds) \(over)"
            }
            if let record = try? MemberRecord(parsing: body, ofCluster: name.name) {
                return "heartbeat #\(record.sequence) \(record.state) q\(record.quietSeconds) \(over)"
            }
            return "write \(name) \(over)"
        }
    }

    static func text(_ answer: Answer) -> String {
        switch answer {
        case .object(let object): "v\(object?.version.rawValue ?? "-")"
        case .objects(let objects): objects.map { "\($0.name.name) v\($0.version.rawValue)" }.joined(separator: ", ")
        case .written(let version): "written v\(version.rawValue)"
        case .conflict: "conflict"
        case .failed(let text): "failed: \(text)"
        case .unclear(let text): "unclear: \(text)"
        }
    }
}

extension [UInt8] {
    private static let stopped = Array("\"stopped\"".utf8)

    /// Whether this may be a member record that says `stopped`: most need not be parsed.
    fileprivate var mayBeStopped: Bool {
        count >= Self.stopped.count
            && (0...(count - Self.stopped.count)).contains { start in
                self[start] == Self.stopped[0] && self[start...].starts(with: Self.stopped)
            }
    }
}

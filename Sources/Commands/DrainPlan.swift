internal import Election
internal import Storage

/// Who is to lead what a cluster leads now.
struct DrainPlan {
    let cluster: String
    /// Live ones, in the order of their names.
    let candidates: [String]
    private(set) var moves: [TransferBatch.Move] = []
    /// Namespaces that another cluster leads, or nobody, and that prefer ``cluster``.
    private(set) var wishes: [String] = []
    private let counts: [String: Int]
    private let unreadable: Int

    var isEmpty: Bool { moves.isEmpty && wishes.isEmpty }

    /// - Parameters:
    ///   - target: the only cluster to hand over to; nil: all that are live.
    ///   - report: gets what takes time, as a line.
    /// - Throws: ``CommandFailure`` when there is no such cluster, or no other to hand over to.
    init(
        of cluster: String, to target: String?, store: any LeaseStore, pollInterval: Duration,
        report: (String) -> Void
    ) async throws {
        let snapshot = try await StatusCommand.snapshot(of: store)
        let names = snapshot.members.map(\.cluster)
        let leadsSomething = snapshot.leases.contains { (try? $0.record.get())?.holderIdentity == cluster }
        guard names.contains(cluster) || leadsSomething else {
            throw CommandFailure(
                "no cluster \(cluster) has taken part in this election: check the name and --store. There are: "
                    + (names.isEmpty ? "none" : names.joined(separator: ", ")))
        }
        let asked = names.filter { $0 != cluster && target ?? $0 == $0 && snapshot.member($0)?.state == .live }
        let live: [String]
        do throws(StoreError) {
            live = try await Heartbeats(store: store, pollInterval: pollInterval).find(
                asked, in: snapshot, report: report)
        } catch {
            throw CommandFailure("the store cannot be read: \(error.reason)")
        }
        guard !live.isEmpty else {
            throw CommandFailure(
                "there is no \(target ?? "other cluster") to hand over to: \(Self.silence(snapshot, target, cluster)). "
                    + "Start one that competes for the same namespaces first")
        }
        self.init(of: cluster, to: live, snapshot)
    }

    /// - Parameter candidates: live ones, at least one.
    init(of cluster: String, to candidates: [String], _ snapshot: ElectionSnapshot) {
        self.cluster = cluster
        self.candidates = candidates.sorted()
        var loads = Dictionary(uniqueKeysWithValues: candidates.map { ($0, 0) })
        for lease in snapshot.leases {
            if let holder = (try? lease.record.get())?.holderIdentity, let load = loads[holder] {
                loads[holder] = load + 1
            }
        }
        counts = loads
        unreadable = snapshot.leases.count { (try? $0.record.get()) == nil }
        for lease in snapshot.leases {
            guard let record = try? lease.record.get() else { continue }
            guard record.holderIdentity == cluster else {
                if record.preferredHolder == cluster { wishes.append(lease.namespace) }
                continue
            }
            var targets = self.candidates.sorted { (loads[$0] ?? 0, $0) < (loads[$1] ?? 0, $1) }
            if let preferred = record.preferredHolder, let index = targets.firstIndex(of: preferred) {
                targets.swapAt(0, index)
            }
            loads[targets[0], default: 0] += 1
            moves.append(TransferBatch.Move(namespace: lease.namespace, targets: targets))
        }
    }

    /// What has come up since, for the same candidates.
    func next(_ snapshot: ElectionSnapshot) -> DrainPlan { DrainPlan(of: cluster, to: candidates, snapshot) }

    /// For people, a sentence each.
    var explanation: [String] {
        let others = candidates.map { "\($0) (leads \(counts[$0] ?? 0))" }.joined(separator: ", ")
        var lines = [
            "\(cluster) leads \(moves.count) namespaces and is preferred for \(wishes.count) more; live: \(others)"
        ]
        if candidates.count > 1, !moves.isEmpty {
            let shares = candidates.map { name in "\(name) gets \(moves.count { $0.targets[0] == name })" }
            lines.append(
                "each goes to the cluster that it prefers, else so that each leads about as many: "
                    + shares.joined(separator: ", "))
        }
        if unreadable > 0 {
            lines.append("\(unreadable) records cannot be read and are left alone: see leasehold status")
        }
        return lines
    }

    /// What would be done, a line a namespace.
    var table: String {
        if isEmpty { return "there is nothing to hand over\n" }
        var table = TextTable(["NAMESPACE", "TO", "ELSE"])
        for move in moves {
            table.add([
                move.namespace, move.targets[0],
                move.targets.count > 1 ? move.targets[1...].joined(separator: " ") : "-",
            ])
        }
        for wish in wishes { table.add([wish, "(wish cleared)", "-"]) }
        return table.text
    }

    private static func silence(_ snapshot: ElectionSnapshot, _ target: String?, _ cluster: String) -> String {
        let others = snapshot.members.filter { $0.cluster != cluster && target ?? $0.cluster == $0.cluster }
        if others.isEmpty { return target == nil ? "no other has taken part" : "it has not taken part" }
        return others.map { member in
            switch member.record {
            case .success(let record) where record.state == .live: "\(member.cluster) is silent"
            case .success(let record): "\(member.cluster) says \(record.state.rawValue)"
            case .failure: "the record of \(member.cluster) cannot be read"
            }
        }.joined(separator: ", ")
    }
}

/// Tells live clusters from silent ones without a look at any clock but this machine's: a live one rewrites its record.
struct Heartbeats {
    /// As many renew intervals as a cluster may miss before it counts as silent.
    private static let missesMax = 3
    /// Beyond what any cluster is told, whatever its record says.
    private static let waitMax = Duration.seconds(60)

    let store: any LeaseStore
    let pollInterval: Duration

    /// - Returns: those of `clusters` whose record changes while this looks, in their order; all at the first change of each.
    func find(
        _ clusters: [String], in snapshot: ElectionSnapshot, report: (String) -> Void
    ) async throws(StoreError) -> [String] {
        var seen: [String: ObjectVersion] = [:]
        var live: Set<String> = []
        let start = ContinuousClock.now
        func wait(_ cluster: String) -> Duration {
            let interval = snapshot.member(cluster)?.renewIntervalSeconds ?? 0
            return min(.seconds(max(interval.isFinite ? interval : 0, 0.1)) * Self.missesMax, Self.waitMax)
        }
        while true {
            let members = try await store.list(.members)
            for member in members where clusters.contains(member.name.name) {
                if let version = seen[member.name.name], version != member.version { live.insert(member.name.name) }
                seen[member.name.name] = member.version
            }
            let waited = ContinuousClock.now - start
            let missing = clusters.filter { !live.contains($0) && wait($0) >= waited }
            if missing.isEmpty { break }
            if waited < pollInterval { report("waits for a heartbeat of \(missing.joined(separator: ", "))") }
            // Cancelled: the next request fails for that.
            try? await Task.sleep(for: pollInterval)
        }
        return clusters.filter(live.contains)
    }
}

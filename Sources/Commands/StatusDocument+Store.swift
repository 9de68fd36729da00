internal import Election

extension StatusDocument {
    /// - Parameters:
    ///   - cluster: whose leases are called ours; nil: nobody's.
    ///   - namespaces: the ones to show; empty: all.
    init(_ snapshot: ElectionSnapshot, cluster: String?, namespaces: [String]) {
        source = .store
        readTime = Timestamp.format(microseconds: snapshot.readAt)
        let shown = snapshot.leases.filter { namespaces.isEmpty || namespaces.contains($0.namespace) }
        let absent = namespaces.filter { name in !snapshot.leases.contains { $0.namespace == name } }
        leases =
            shown.map { Lease($0, snapshot, cluster: cluster) }
            + absent.map { Lease(namespace: $0, state: .absent, isLed: false) }
        members = snapshot.members.map { Member($0, at: snapshot.readAt) }
    }
}

extension StatusDocument.Lease {
    fileprivate init(_ lease: ElectionSnapshot.Lease, _ snapshot: ElectionSnapshot, cluster: String?) {
        switch lease.record {
        case .failure(let error):
            self.init(
                namespace: lease.namespace, state: .unreadable, isLed: false, isOurs: cluster.map { _ in false },
                problem: error.description)
        case .success(let record):
            self.init(
                namespace: lease.namespace, state: record.isFree ? .free : .held, term: record.term,
                leaseDurationSeconds: record.leaseDurationSeconds, transitions: record.leaderTransitions,
                preferredHolder: record.preferredHolder, wantedBy: record.wantedBy,
                isLed: snapshot.isLed(lease.namespace), isOurs: cluster.map { $0 == record.holderIdentity })
            if record.isFree { return }
            leader = record.holderIdentity
            acquireTime = record.acquireTime
            switch snapshot.window(of: record) {
            case .left(let microseconds): (window, windowLeftSeconds) = ("open", Double(microseconds) / 1_000_000)
            case .over: (window, windowLeftSeconds) = ("over", 0)
            case .closed(let reason): window = reason
            }
        }
    }
}

extension StatusDocument.Member {
    /// - Parameter now: microseconds since 1970, by this machine's clock.
    fileprivate init(_ member: ElectionSnapshot.Member, at now: Int64) {
        switch member.record {
        case .failure(let error):
            self.init(cluster: member.cluster, state: "unreadable", problem: error.description)
        case .success(let record):
            let ago = Timestamp.parse(record.renewTime).map { Double(max(0, now - $0)) / 1_000_000 }
            // One that says it is live and has missed three of its heartbeats is not.
            let isSilent = record.state == .live && ago.map { $0 > record.renewIntervalSeconds * 3 } ?? false
            self.init(
                cluster: member.cluster, state: isSilent ? "silent" : record.state.rawValue, uid: record.uid,
                incarnation: record.incarnation, renewTime: record.renewTime, renewedSecondsAgo: ago)
        }
    }
}

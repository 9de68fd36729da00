import Election

/// A faithful store in memory: linearizable, with versions that never come back. Several electors may share it.
final class Records {
    private(set) var objects: [RecordName: RecordObject] = [:]
    private var versions = 0

    /// Carries out a request, now.
    func perform(_ operation: Request.Operation) -> Answer {
        switch operation {
        case .read(let name): return .object(objects[name])
        case .list(let folder):
            let found = objects.values.filter { $0.name.folder == folder }
            return .objects(found.sorted { $0.name.name < $1.name.name })
        case .write(let name, let body, let version):
            guard objects[name]?.version == version else { return .conflict }
            return .written(put(name, body))
        }
    }

    /// Writes as somebody else who does not compare versions.
    @discardableResult
    func put(_ name: RecordName, _ body: [UInt8]) -> Version {
        versions += 1
        let version = Version("\(versions)")
        objects[name] = RecordObject(name: name, version: version, body: body)
        return version
    }

    func delete(_ name: RecordName) { objects[name] = nil }

    /// nil: there is none, or it is not a lease record.
    func lease(_ namespace: String) -> LeaseRecord? {
        objects[.lease(namespace)].flatMap { try? LeaseRecord(parsing: $0.body) }
    }

    func member(_ cluster: String) -> MemberRecord? {
        objects[.member(cluster)].flatMap { try? MemberRecord(parsing: $0.body, ofCluster: cluster) }
    }

    func version(_ name: RecordName) -> Version? { objects[name]?.version }

    // MARK: What a played cluster writes

    /// A heartbeat of a cluster that the test plays. Every call makes a new version.
    func beat(
        _ cluster: String, uid: String? = nil, incarnation: String = "1", state: MemberRecord.State = .live,
        quiet: Int = 15, leaseSequence: UInt64 = 1
    ) {
        let record = MemberRecord(
            cluster: cluster, uid: uid ?? "uid-of-\(cluster)", incarnation: "\(cluster)-\(incarnation)",
            sequence: UInt64(versions), state: state, quietSeconds: quiet, leaseSequence: leaseSequence,
            renewTime: "", renewIntervalSeconds: 3)
        put(.member(cluster), record.encoded())
    }

    /// A lease record of a cluster that the test plays; an empty holder makes it free.
    func hold(
        _ namespace: String, by cluster: String, uid: String? = nil, incarnation: String = "1", seconds: Int = 15,
        term: UInt64 = 7, preferred: String? = nil, wantedBy: String? = nil
    ) {
        let record = LeaseRecord(
            holderIdentity: cluster, uid: cluster.isEmpty ? "" : uid ?? "uid-of-\(cluster)",
            incarnation: "\(cluster)-\(incarnation)", claim: "\(cluster)/\(versions)", leaseDurationSeconds: seconds,
            term: term, acquireTime: "2026-01-02T03:04:05.000000Z", leaderTransitions: 3, preferredHolder: preferred,
            wantedBy: wantedBy, write: "\(cluster)/\(versions)")
        put(.lease(namespace), record.encoded())
    }

    /// Changes fields of a lease record as an administrator does: compare-and-swap, every other field kept.
    func edit(_ namespace: String, _ change: (inout LeaseRecord) -> Void) {
        guard var record = lease(namespace) else { return }
        change(&record)
        record.write = "edit/\(versions)"
        put(.lease(namespace), record.encoded())
    }

    /// Asks for a planned handover.
    func prefer(_ cluster: String?, for namespace: String) {
        edit(namespace) { $0.preferredHolder = cluster }
        put(.notice, Array("notice \(versions)".utf8))
    }
}

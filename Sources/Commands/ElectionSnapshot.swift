internal import Election
private import Platform
internal import Storage

/// What a store says about an election, read once from outside.
struct ElectionSnapshot {
    struct Member {
        let cluster: String
        let record: Result<MemberRecord, RecordError>
    }

    struct Lease {
        let namespace: String
        let record: Result<LeaseRecord, RecordError>
    }

    /// In the order of their names.
    let members: [Member]
    let leases: [Lease]
    /// This machine's wall clock when the answers were complete, in microseconds since 1970.
    let readAt: Int64

    init(members: [StoredObject], leases: [StoredObject], readAt: Int64) {
        self.members = members.filter { !$0.name.isReserved }.map { object in
            Member(
                cluster: object.name.name,
                record: Result { () throws(RecordError) in
                    try MemberRecord(parsing: object.body, ofCluster: object.name.name)
                })
        }
        self.leases = leases.filter { !$0.name.isReserved }.map { object in
            Lease(
                namespace: object.name.name,
                record: Result { () throws(RecordError) in try LeaseRecord(parsing: object.body) })
        }
        self.readAt = readAt
    }

    init(reading store: any LeaseStore) async throws(StoreError) {
        let leases = try await store.list(.leases)
        let members = try await store.list(.members)
        self.init(members: members, leases: leases, readAt: Reading.now().realtime / 1000)
    }

    func member(_ cluster: String) -> MemberRecord? {
        members.first { $0.cluster == cluster }.flatMap { try? $0.record.get() }
    }

    /// What can be said from outside about a holder's window.
    enum Window: Equatable {
        /// Microseconds left, by the holder's `renewTime` and this machine's wall clock: an estimate, since no decision
        /// of the election compares clocks of two machines.
        case left(Int64)
        /// The holder has not renewed for longer than its window.
        case over
        /// The record names a cluster that does not act on it, for the reason given in a word.
        case closed(String)
    }

    func window(of lease: LeaseRecord) -> Window {
        guard let member = member(lease.holderIdentity) else { return .closed("unknown") }
        switch member.state {
        case .handover, .stopped: return .closed(member.state.rawValue)
        case .live: break
        }
        // A new run of the holder's controller has not claimed this lease again yet.
        guard member.uid == lease.uid, member.incarnation == lease.incarnation else { return .closed("restarted") }
        guard let renewed = Timestamp.parse(member.renewTime) else { return .closed("unknown") }
        let window = Timing().window(ofSeconds: lease.leaseDurationSeconds).nanoseconds / 1000
        let left = window - (readAt - renewed)
        return left > 0 ? .left(left) : .over
    }

    /// Whether, as far as can be said from outside, some cluster leads this namespace now.
    func isLed(_ namespace: String) -> Bool {
        guard let lease = leases.first(where: { $0.namespace == namespace }), let record = try? lease.record.get(),
            !record.isFree, case .left = window(of: record)
        else { return false }
        return true
    }
}

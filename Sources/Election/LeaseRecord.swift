/// `leases/<namespace>`: who holds a namespace. Written only when the tenure changes.
package struct LeaseRecord: Hashable, Sendable, Codable {
    /// The holder's cluster name; empty: free.
    package var holderIdentity: String
    /// The holder's uid; empty: free.
    package var uid: String
    /// Who wrote the claim, or freed the record.
    package var incarnation: String
    /// A name of the attempt that no other attempt has.
    package var claim: String
    /// The duration D that the holder honours.
    package var leaseDurationSeconds: Int
    /// The fencing token: grows with every claim.
    package var term: UInt64
    /// RFC 3339, for people: when the tenure began.
    package var acquireTime: String
    /// For people: how often the holder changed.
    package var leaderTransitions: Int
    /// The cluster that should have the lease, as someone with access to the store asked.
    package var preferredHolder: String?
    /// The preferred cluster's answer that it wants the lease.
    package var wantedBy: String?
    /// New with every write, so that no two writes have the same bytes and a version never comes back.
    package var write: String

    package init(
        holderIdentity: String, uid: String, incarnation: String, claim: String, leaseDurationSeconds: Int,
        term: UInt64,
        acquireTime: String, leaderTransitions: Int, preferredHolder: String? = nil, wantedBy: String? = nil,
        write: String
    ) {
        self.holderIdentity = holderIdentity
        self.uid = uid
        self.incarnation = incarnation
        self.claim = claim
        self.leaseDurationSeconds = leaseDurationSeconds
        self.term = term
        self.acquireTime = acquireTime
        self.leaderTransitions = leaderTransitions
        self.preferredHolder = preferredHolder
        self.wantedBy = wantedBy
        self.write = write
    }

    /// - Throws: ``RecordError``: the holder is then unknown, and the record is never free and never overwritten.
    package init(parsing body: [UInt8]) throws(RecordError) {
        self = try RecordCoding.decode(LeaseRecord.self, from: body)
        guard holderIdentity.isEmpty || RecordName.isValid(holderIdentity) else {
            throw RecordError("holderIdentity \"\(holderIdentity)\" is not a cluster's name")
        }
        guard holderIdentity.isEmpty == uid.isEmpty else {
            throw RecordError("holderIdentity and uid must be both empty or both set")
        }
        guard term <= RecordCoding.counterMax else { throw RecordError("term \(term) cannot grow for ever") }
        let range = Timing.recordedDurations
        leaseDurationSeconds = min(max(leaseDurationSeconds, range.lowerBound), range.upperBound)
    }

    package func encoded() -> [UInt8] { RecordCoding.encode(self) }

    package var isFree: Bool { holderIdentity.isEmpty }

    /// The cluster that both the administrator and the cluster itself want to have the lease, if they agree.
    package var agreedHolder: String? {
        guard let preferredHolder, preferredHolder == wantedBy else { return nil }
        return preferredHolder
    }
}

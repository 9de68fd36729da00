/// An election as `leasehold status` shows it, for people and for programs alike: as far as its source knows, a store or a
/// cluster's API server.
struct StatusDocument: Encodable {
    /// Where an election can be read.
    enum Source: String, CaseIterable, Encodable {
        /// The records themselves.
        case store
        /// The Lease objects of one cluster, as its controller has written them.
        case cluster
    }

    struct Lease: Encodable {
        enum State: String, Encodable {
            case held
            case free
            /// There is a record that nobody can read.
            case unreadable
            /// The cluster's controller has not said anything about it.
            case unknown
            case absent
        }

        var namespace: String
        var state: State
        var leader: String?
        var term: UInt64?
        var acquireTime: String?
        var leaseDurationSeconds: Int?
        var transitions: Int?
        var preferredHolder: String?
        var wantedBy: String?
        /// In a word, how the leader's window is: `open`, `over`, or why it does not act on its lease.
        var window: String?
        /// An estimate; 0: over. Absent when the leader does not act on its lease, or when only the leader can tell.
        var windowLeftSeconds: Double?
        var isLed: Bool
        var isOurs: Bool?
        var problem: String?
    }

    struct Member: Encodable {
        var cluster: String
        /// As its record says, or `silent`, `unreadable`; `observed` when all that is known is that it leads something.
        var state: String
        var uid: String?
        var incarnation: String?
        var renewTime: String?
        var renewedSecondsAgo: Double?
        var problem: String?
    }

    var source: Source
    var readTime: String
    var leases: [Lease]
    var members: [Member]
    /// What could not be read.
    var problem: String?

    /// Whether some cluster leads each of these now, as far as the source can tell.
    func areLed(_ namespaces: [String]) -> Bool {
        namespaces.allSatisfy { name in leases.contains { $0.namespace == name && $0.isLed } }
    }
}

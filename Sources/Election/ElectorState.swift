extension Elector {
    /// This cluster's own member record, and this incarnation's writes of it.
    struct OwnRecord: Sendable {
        struct Attempt: Sendable {
            let sequence: UInt64
            /// Before the request left: H, if this attempt lands.
            let sent: Reading
            let quiet: Int
            let state: MemberRecord.State
        }

        struct Acknowledged: Sendable {
            /// H: every window runs from here.
            let sent: Reading
            let quiet: Int
        }

        /// What the next write replaces; nil: absent.
        var version: Version?
        /// Writes that replace ``version`` and of which it is not known whether they landed, oldest first.
        var attempts: [Attempt] = []
        var acknowledged: Acknowledged?
        var sequence: UInt64 = 0
        var leaseSequence: UInt64 = 0
        /// At most one request about the own record is under way, so that its answers come in order.
        var request: RequestID?
        /// The outcome of the last write is unclear: read the record before writing it again.
        var mustReadBack = false
        /// Whether somebody waits for a proof that the record is still this incarnation's.
        var checkIsWanted = false
        /// When the last read failed; nil: it did not.
        var checkFailed: Reading?
        /// When the last request that showed this incarnation was sent.
        var confirmedStep: UInt64 = 0
        var lastWrite: Reading?
        var lastRead: Reading?
        /// The last try failed, or a longer duration is to be declared: go on after the retry interval.
        var isHurried = false

        /// How many unclear attempts are remembered; an older one that lands counts as a heartbeat long ago.
        static let attemptsMax = 32

        // While joining.
        /// The record that the take-over replaces, and when its version was first received.
        var seen: (record: MemberRecord, version: Version, firstReceived: Reading)?
        /// The member record at the take-over; nil: there was none.
        var previous: MemberRecord?
        var farewell: Farewell?
    }

    /// Rule "what an incarnation inherits": q, counted from the acknowledgement of the take-over.
    struct Inherited: Sendable {
        let quiet: Int
        let since: Reading
    }

    /// A list that is sent again and again, one at a time.
    struct Repeated: Sendable {
        var request: RequestID?
        var sent: Reading?
        var isWanted = true
        var hasFailed = false
    }

    /// Another cluster, as its member record shows it.
    struct Member: Sendable {
        enum Presence: Hashable, Sendable {
            case unread
            case absent
            /// nil record: it cannot be parsed, so that only its version tells anything.
            case record(MemberRecord?, Version)

            var version: Version? {
                if case .record(_, let version) = self { version } else { nil }
            }

            var record: MemberRecord? {
                if case .record(let record, _) = self { record } else { nil }
            }

            /// Whether an answer with this object (nil: none) is what is remembered.
            func shows(_ object: RecordObject?) -> Bool {
                switch self {
                case .unread: false
                case .absent: object == nil
                case .record(_, let version): version == object?.version
                }
            }
        }

        /// A read of this one object: what rule "taker, step 3" decides by.
        struct Decisive: Sendable {
            let sent: Reading
            let sentStep: UInt64
            let presence: Presence
            /// When this version, or absence, was first received.
            let firstReceived: Reading
        }

        let name: String
        var presence = Presence.unread
        /// When the first answer that showed this version, or absence, was received.
        var firstReceived: Reading
        /// The step of the last answer about this member; answers to requests sent before it are out of date.
        var answeredStep: UInt64 = 0
        var decisive: Decisive?
        var request: RequestID?
        var retryAfter: Reading?
        /// The version whose silence has had the leases listed again, and the step in which it was noticed.
        var relisted: (presence: Presence, step: UInt64)?

        init(name: String, firstReceived: Reading) {
            self.name = name
            self.firstReceived = firstReceived
        }
    }

    /// One namespace.
    struct Slot: Sendable {
        enum Known: Hashable, Sendable {
            case unread
            case absent
            case record(LeaseRecord, Version)
            /// Held by an unknown holder: never free, never overwritten.
            case unreadable(Version)

            var version: Version? {
                switch self {
                case .unread, .absent: nil
                case .record(_, let version), .unreadable(let version): version
                }
            }
        }

        struct Claim: Hashable, Sendable {
            let id: String
            let term: UInt64
            /// The duration in the record.
            let written: Int
            /// The duration that this incarnation honours, at most ``written``.
            var honoured: Int
        }

        /// A write of the lease record whose outcome is not known yet. All replace the known version.
        struct Attempt: Hashable, Sendable {
            enum Kind: Hashable, Sendable {
                case claim
                case free
                case ask
            }

            let kind: Kind
            let record: LeaseRecord
            /// False once a window of the claim's duration ended after it was sent: it is then born lapsed.
            var isUnbroken = true
        }

        /// Whether webhooks may act on a claim of this incarnation.
        enum Granting: Hashable, Sendable {
            case never
            case running
            /// The claim was dropped, but an older table may still be in use.
            case dropped
            case ended(since: Reading)
        }

        enum Shortened: Hashable, Sendable {
            case unpublished
            case published(at: Reading)
        }

        let namespace: String
        /// The lease duration to compete with; nil: not wanted.
        var wanted: Int?
        var isLeftOut = false

        var known = Known.unread
        /// The step of the last answer about this record; answers to requests sent before it are out of date.
        var answeredStep: UInt64 = 0
        /// The step in which this version, or absence, was first received.
        var knownStep: UInt64 = 0
        /// When the first answer that showed this version, or absence, was received.
        var firstReceived: Reading
        /// Before the latest request that showed this version, or absence, was sent.
        var shown: Reading?
        /// The highest term seen in the record, and the duration last seen; nil: never seen.
        var lastSeen: (term: UInt64, seconds: Int)?

        var claim: Claim?
        var attempts: [Attempt] = []
        /// The shortest duration sent since a write of this record was last acknowledged.
        var shortestSent: Int?
        var granting = Granting.never
        /// The longest duration of an earlier incarnation's claim that this one replaced; nil: it replaced none.
        var inheritedSeconds: Int?
        /// When a shorter duration began to be honoured that is not written yet.
        var shortened: Shortened?

        /// A request about this record is under way.
        var isBusy = false
        /// The outcome of a write is unclear, or the record's state too old: read it before writing.
        var mustRead = false
        var retryAfter: Reading?

        /// Bounds the attempts on one version; an older one that lands is a claim that has lapsed.
        static let attemptsMax = 8

        init(namespace: String, firstReceived: Reading) {
            self.namespace = namespace
            self.firstReceived = firstReceived
        }
    }
}

internal import Election
internal import Kubernetes

/// Events that wait to be written, for `kubectl describe` and `kubectl get events`: bounded, as ten thousand namespaces
/// may change hands at once.
struct EventQueue {
    struct Entry: Hashable, Sendable {
        enum Level: String, Sendable {
            case normal = "Normal"
            case warning = "Warning"
        }

        let namespace: String
        let level: Level
        let reason: String
        let message: String
        /// RFC 3339, to the second.
        let time: String
    }

    /// More wait than anybody would read; the log has the sums.
    static let waitingMax = 1000

    private let cluster: String
    private var waiting: [Entry] = []
    private(set) var dropped = 0

    init(cluster: String) {
        self.cluster = cluster
    }

    var isEmpty: Bool { waiting.isEmpty }

    mutating func add(_ level: Entry.Level, _ reason: String, _ namespace: String, _ message: String, at now: Reading) {
        guard waiting.count < Self.waitingMax else {
            dropped += 1
            return
        }
        var time: [UInt8] = []
        Timestamp.append(seconds: now.realtime / 1_000_000_000, to: &time)
        waiting.append(
            Entry(
                namespace: namespace, level: level, reason: reason, message: message,
                time: String(decoding: time, as: UTF8.self)))
    }

    /// The Event for what the election noted, if people look for it at the namespace's Lease.
    mutating func add(_ note: Note, at now: Reading) {
        switch note {
        case .led(let namespace, let term):
            add(.normal, "LeaderElected", namespace, "\(cluster) leads \(namespace) (term \(term))", at: now)
        case .holderChanged(let namespace, let holder?, let term):
            add(.normal, "LeaderElected", namespace, "\(holder) leads \(namespace) (term \(term))", at: now)
        case .lapsed(let namespace, let term):
            add(
                .warning, "LeaderLost", namespace,
                "\(cluster) no longer leads \(namespace) (term \(term)): its window ended before a heartbeat succeeded",
                at: now)
        case .lost(let namespace, let term, let reason):
            add(
                .warning, "LeaderLost", namespace, "\(cluster) no longer leads \(namespace) (term \(term)): \(reason)",
                at: now)
        case .givingBack(let namespace, let successor):
            let purpose = successor.map { " so that \($0) can lead it" } ?? ""
            add(.normal, "LeaderLost", namespace, "\(cluster) gives \(namespace) back\(purpose)", at: now)
        case .refused(let namespace, let reason):
            add(.warning, "LeaseRefused", namespace, "\(cluster) does not compete for \(namespace): \(reason)", at: now)
        case .unreadable(.lease(let namespace), let reason):
            add(
                .warning, "RecordUnreadable", namespace, "The lease record in the store is unreadable: \(reason)",
                at: now)
        case .deleted(let namespace):
            add(
                .warning, "RecordDeleted", namespace,
                "Somebody deleted the lease record in the store; it is made again after a wait", at: now)
        case .unreadable(.member, _), .holderChanged(_, nil, _), .standingBy, .otherUID, .tookOver, .gaveBack,
            .requestFailed, .requestsSucceedAgain:
            break
        }
    }

    mutating func next() -> Entry? { waiting.isEmpty ? nil : waiting.removeFirst() }

    /// - Parameter lease: the object that it is about.
    static func object(_ entry: Entry, about lease: LeaseView?, leaseName: String) -> EventObject {
        var reference = EventObject.Reference()
        reference.apiVersion = LeaseObject.resource.apiVersion
        reference.kind = LeaseObject.resource.kind
        reference.namespace = entry.namespace
        reference.name = leaseName
        reference.uid = lease?.uid
        reference.resourceVersion = lease?.resourceVersion
        var metadata = ObjectMetadata(namespace: entry.namespace)
        metadata.generateName = "\(leaseName)."
        return EventObject(
            metadata: metadata, involvedObject: reference, reason: entry.reason, message: entry.message,
            type: entry.level.rawValue, source: .init(component: "leasehold"), time: entry.time)
    }
}

/// What happened in one simulated run, for people: the material of timelines. Times are true time, in nanoseconds from
/// the start of the run.
package struct History {
    package struct Entry {
        package let time: Int64
        /// Which cluster it concerns; nil: the store, or an administrator.
        package let cluster: Int?
        /// The replica (`c0/r1`), the webhook (`c0/w2`), or the store.
        package let who: String
        package let kind: Kind
    }

    package enum Kind {
        /// A process starts as an incarnation, or ends.
        case started(incarnation: String)
        case ended(String)
        /// The whole process is stopped, or only its controller's thread is held up, or its machine is suspended.
        case stopped(until: Int64)
        case heldUp(until: Int64)
        case suspended(until: Int64)
        /// Its link to the store is down; what is lost says ``Loss``.
        case cutOff(until: Int64, Loss)
        /// A clock was stepped or slewed, an administrator did something, wishes changed.
        case fault(String)
        /// A request leaves, reaches the store (with what it did there) and is answered. `number` is unique in a run.
        case sent(number: Int, operation: String, namespace: String?)
        case arrived(number: Int, outcome: String)
        case answered(number: Int, answer: String)
        /// A record landed in the store.
        case leaseWritten(namespace: String, holder: String, term: UInt64)
        case memberWritten(state: String, sequence: UInt64)
        /// From now on this agent admits in the namespace, if nothing changes, until then; a later entry of the same agent
        /// and namespace replaces it. Not after `until`: it does not admit any more.
        case admits(namespace: String, until: Int64)
        /// What the elector noted.
        case note(String)
        case violation(String)
    }

    package enum Loss: String {
        case requests, answers, both
        /// Nothing is lost, everything arrives when the link is up again.
        case nothing
    }

    package internal(set) var entries: [Entry] = []
    package internal(set) var namespaces: [String] = []
    /// Replicas and webhooks of each cluster, in order.
    package internal(set) var clusters: [(name: String, replicas: [String], webhooks: [String])] = []

    package init() {}
}

/// What happens to an ``Elector``. Each event comes with a reading taken after it was observed.
package enum Event: Hashable, Sendable {
    /// Time has passed; never needed more often than ``Output/wakeAfter`` asks, never wrong.
    case tick
    /// Somebody may have rewritten ``RecordName/notice``.
    case noticed
    /// What this cluster wants of namespaces; replaces what it wanted of them before.
    case wishes([Wish])
    /// A request's outcome. An answer to a request that is no longer known is ignored.
    case answered(RequestID, Answer)
    /// The table of the last output is now the one that every admission and every grant is judged by.
    case published
    /// Ends this incarnation. A later one overrides an earlier one.
    case leave(Farewell)
}

package struct Wish: Hashable, Sendable {
    package enum Aim: Hashable, Sendable {
        /// Compete for its lease, with this lease duration.
        case lead(seconds: Int)
        /// It has no election: its lease is given back and its writes are not this cluster's concern.
        case leaveOut
        /// It is gone: its lease is given back.
        case forget
    }

    package let namespace: String
    package let aim: Aim

    package init(_ namespace: String, _ aim: Aim) {
        self.namespace = namespace
        self.aim = aim
    }
}

package enum Farewell: Hashable, Sendable {
    /// Leadership stays in the cluster: the next incarnation takes over at once.
    case handover
    /// All leases become free for other clusters, after the grants have ended and what was inherited is waited out.
    case release

    /// How an incarnation that leaves in this way ends.
    var ending: Ending {
        switch self {
        case .handover: .handedOver
        case .release: .stopped
        }
    }
}

package typealias RequestID = UInt64

/// A store request that the caller is to send, once, at once.
package struct Request: Hashable, Sendable {
    package enum Operation: Hashable, Sendable {
        /// One object, uncached.
        case read(RecordName)
        /// All objects of a folder.
        case list(RecordName.Folder)
        /// Compare-and-swap; nil: the object must not exist.
        case write(RecordName, body: [UInt8], replacing: Version?)
    }

    package let id: RequestID
    package let operation: Operation

    package init(id: RequestID, operation: Operation) {
        self.id = id
        self.operation = operation
    }
}

/// A request's outcome.
package enum Answer: Hashable, Sendable {
    /// To a read; nil: there is no such object.
    case object(RecordObject?)
    /// To a list: all objects of the folder.
    case objects([RecordObject])
    /// To a write: it took effect, and made this version.
    case written(Version)
    /// To a write: the object had another version (perhaps because this very write had been sent twice).
    case conflict
    /// Certain to have had no effect.
    case failed(String)
    /// May have had an effect, or may still.
    case unclear(String)
}

/// What the caller is to do after an event, in this order: publish the table and report ``Event/published``, log the
/// notes, send the requests, call again after ``wakeAfter`` at the latest.
package struct Output: Hashable, Sendable {
    /// The new table, when it changed.
    package var table: LeadershipTable?
    package var notes: [Note] = []
    package var requests: [Request] = []
    /// The longest time until the next ``Event/tick``; nil: none is needed.
    package var wakeAfter: Duration?
    /// This incarnation has come to its end; it does nothing more.
    package var ending: Ending?

    package init() {}
}

package enum Ending: Hashable, Sendable {
    /// Left, with leadership kept in the cluster.
    case handedOver
    /// Left, with every lease free.
    case stopped
    /// Another incarnation of this cluster took over.
    case deposed(by: String)
    /// Somebody deleted this cluster's member record: start anew.
    case memberRecordGone
    /// This cluster's member record cannot be read, and is not overwritten: the reason, and what to do.
    case memberRecordUnreadable(String)
    /// Must not take part: the reason, and what to do.
    case refused(String)
}

/// What people and metrics want to know.
package enum Note: Hashable, Sendable {
    /// Another run of this cluster's controller is active, or may still be.
    case standingBy(incarnation: String, takeOverAfter: Duration)
    /// Another uid wrote this cluster's member record; it is taken over when it stays unchanged for this long.
    case otherUID(found: String, own: String, takeOverAfter: Duration)
    case tookOver(previous: String?, uidChanged: Bool)
    case led(namespace: String, term: UInt64)
    /// The claim's window ended before a newer heartbeat was acknowledged.
    case lapsed(namespace: String, term: UInt64)
    /// The claim was dropped for the reason given.
    case lost(namespace: String, term: UInt64, reason: String)
    case givingBack(namespace: String, to: String?)
    case gaveBack(namespace: String)
    case holderChanged(namespace: String, holder: String?, term: UInt64)
    case refused(namespace: String, reason: String)
    case unreadable(RecordName, reason: String)
    case deleted(namespace: String)
    case requestFailed(RequestFailure)
    case requestsSucceedAgain
}

package struct RequestFailure: Hashable, Sendable {
    package let operation: String
    package let name: String
    package let reason: String
    /// Whether the request may have taken effect all the same.
    package let isUnclear: Bool
}

package import Election
private import Synchronization

/// Where the controller posts the newest ``LeadershipTable`` and the webhook's event loops read it.
///
/// When ``publish(_:)`` has returned, no reader that asks afterwards sees an older table.
package final class LeadershipBoard: Sendable {
    private let posted: Locked<LeadershipTable>
    private let generation = Atomic<UInt64>(1)
    private let hint: AsyncStream<Void>.Continuation

    /// Hints that a newer table was posted, for one consumer; hints that were not taken yet are one.
    package let changes: AsyncStream<Void>

    package init(_ table: LeadershipTable) {
        posted = Locked(table)
        (changes, hint) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Any thread may call it; one at a time makes sense.
    package func publish(_ table: LeadershipTable) {
        posted.withLock { $0 = table }
        generation.add(1, ordering: .releasing)
        hint.yield()
    }

    /// The newest table.
    package func table() -> LeadershipTable {
        posted.withLock { $0 }
    }

    /// One thread's copy of the table. Copies only when a newer one was posted; confined to its thread.
    package struct Reader {
        private let board: LeadershipBoard
        private var seen: UInt64
        private var copy: LeadershipTable

        package init(_ board: LeadershipBoard) {
            self.board = board
            // Before the copy, so that a table posted in between is fetched again rather than missed.
            seen = board.generation.load(ordering: .acquiring)
            copy = board.table()
        }

        /// The newest table as of this call.
        package mutating func table() -> LeadershipTable {
            let newest = board.generation.load(ordering: .acquiring)
            if newest != seen {
                seen = newest
                copy = board.table()
            }
            return copy
        }
    }
}

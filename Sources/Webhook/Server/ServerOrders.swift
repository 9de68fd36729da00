private import Synchronization

/// What a server's loops are told from outside. Any thread may call it.
final class ServerOrders: Sendable {
    private static let none = Int64.max

    private let stopDeadline = Atomic<Int64>(none)
    private let hasAnnouncedEnd = Atomic<Bool>(false)

    /// Whether clients are to be told with each answer that the connection ends.
    var isEnding: Bool { hasAnnouncedEnd.load(ordering: .relaxed) }

    func announceEnd() {
        hasAnnouncedEnd.store(true, ordering: .relaxed)
    }

    var isStopping: Bool { deadline != Self.none }

    /// When to drop what is still open, in milliseconds of CLOCK_MONOTONIC.
    var deadline: Int64 { stopDeadline.load(ordering: .acquiring) }

    func stop(deadline: Int64) {
        stopDeadline.store(deadline, ordering: .releasing)
    }
}

private import CLinux
private import Glibc

/// When which connection has waited long enough: one queue for each kind of timeout.
///
/// All members of a queue wait equally long, so a queue is ordered by itself and every operation takes constant time.
/// Times are milliseconds of any clock that never goes back.
struct Timeouts {
    enum Kind: Int, CaseIterable {
        /// A handshake, a request that has begun, or an answer that its reader does not take.
        case request
        /// The next request of a kept-alive connection.
        case idle
        /// The end of the client's side after a refusal, or the first request of a new connection as the server stops.
        case linger
    }

    private struct Member {
        var kind: Kind?
        var deadline: Int64 = 0
        var previous = Timeouts.none
        var next = Timeouts.none
    }

    private struct Queue {
        var first = Timeouts.none
        var last = Timeouts.none
        let milliseconds: Int64
    }

    private static let none = -1

    private var members: [Member] = []
    private var queues: [Queue]

    /// - Parameter duration: how long the members of each queue wait.
    init(_ duration: (Kind) -> Duration) {
        queues = Kind.allCases.map { kind in
            Queue(milliseconds: max(1, Self.milliseconds(duration(kind))))
        }
    }

    /// Milliseconds of CLOCK_MONOTONIC.
    static func now() -> Int64 {
        var time = timespec()
        let failed = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        precondition(failed == 0, "clock_gettime refused CLOCK_MONOTONIC")
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    static func milliseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }

    /// What `index` waits for.
    func kind(of index: Int) -> Kind? {
        index < members.count ? members[index].kind : nil
    }

    /// Lets `index` wait from `now` on, and for nothing else.
    mutating func start(_ kind: Kind, for index: Int, at now: Int64) {
        while members.count <= index { members.append(Member()) }
        cancel(index)
        let last = queues[kind.rawValue].last
        let deadline = now + queues[kind.rawValue].milliseconds
        members[index] = Member(kind: kind, deadline: deadline, previous: last)
        if last == Self.none {
            queues[kind.rawValue].first = index
        } else {
            members[last].next = index
        }
        queues[kind.rawValue].last = index
    }

    /// Lets `index` wait for nothing.
    mutating func cancel(_ index: Int) {
        guard index < members.count, let kind = members[index].kind else { return }
        let member = members[index]
        if member.previous == Self.none {
            queues[kind.rawValue].first = member.next
        } else {
            members[member.previous].next = member.next
        }
        if member.next == Self.none {
            queues[kind.rawValue].last = member.previous
        } else {
            members[member.next].previous = member.previous
        }
        members[index] = Member()
    }

    /// The earliest deadline of all.
    var next: Int64? {
        var earliest: Int64?
        for queue in queues where queue.first != Self.none {
            earliest = min(earliest ?? .max, members[queue.first].deadline)
        }
        return earliest
    }

    /// Takes one that has waited long enough, if there is any.
    mutating func popExpired(at now: Int64) -> (index: Int, kind: Kind)? {
        for kind in Kind.allCases {
            let index = queues[kind.rawValue].first
            if index != Self.none, members[index].deadline <= now {
                cancel(index)
                return (index, kind)
            }
        }
        return nil
    }
}

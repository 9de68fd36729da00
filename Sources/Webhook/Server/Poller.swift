internal import CLinux
private import Glibc

/// One epoll instance (epoll(7)). What is not read in one turn is reported again. Confined to its loop.
@safe struct Poller: ~Copyable {
    struct Interest: Equatable {
        let events: UInt32
        /// Bytes, connections or the end of the stream may be read.
        static let input = Interest(events: EPOLLIN.rawValue)
        /// More bytes may be written than before; reported once, so write until nothing more is taken.
        ///
        /// While the kernel has no memory left for TCP it takes none, although the socket has room, and would report that
        /// room again and again.
        static let output = Interest(events: EPOLLOUT.rawValue | EPOLLET.rawValue)
        /// Nothing but errors, which epoll always reports.
        static let none = Interest(events: 0)
    }

    private let epoll: Descriptor
    private var events: [epoll_event]

    /// - Parameter batch: how many events one wait takes at most.
    init(batch: Int) throws(ServerError) {
        let number = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard number >= 0 else { throw .last(doing: "create an epoll instance") }
        epoll = Descriptor(owning: number)
        unsafe events = Array(repeating: epoll_event(), count: batch)
    }

    /// Readable while it has events, so that one instance can be watched by another.
    var descriptor: Int32 { epoll.number }

    /// Watches a descriptor until it is closed. `token` comes back with its events.
    func add(_ descriptor: Int32, _ interest: Interest, token: UInt64) throws(ServerError) {
        try control(EPOLL_CTL_ADD, descriptor, interest, token)
    }

    /// Watches a descriptor that was added for something else.
    func change(_ descriptor: Int32, _ interest: Interest, token: UInt64) throws(ServerError) {
        try control(EPOLL_CTL_MOD, descriptor, interest, token)
    }

    /// Watches a descriptor no more.
    func remove(_ descriptor: Int32) throws(ServerError) {
        try control(EPOLL_CTL_DEL, descriptor, .none, 0)
    }

    private func control(
        _ operation: Int32, _ descriptor: Int32, _ interest: Interest, _ token: UInt64
    ) throws(ServerError) {
        var event = unsafe epoll_event(events: interest.events, data: epoll_data_t(u64: token))
        guard unsafe epoll_ctl(epoll.number, operation, descriptor, &event) == 0 else {
            throw .last(doing: "watch a socket")
        }
    }

    /// Waits for events and puts their tokens into `tokens`, in the kernel's order.
    ///
    /// - Parameter milliseconds: how long at most; negative for ever.
    mutating func wait(_ milliseconds: Int32, tokens: inout [UInt64]) {
        tokens.removeAll(keepingCapacity: true)
        let count = unsafe epoll_wait(epoll.number, &events, Int32(events.count), milliseconds)
        guard count >= 0 else {
            // Anything else would mean that the descriptor or the buffer is not what this type guarantees.
            precondition(errno == EINTR, "epoll_wait failed with errno \(errno)")
            return
        }
        for index in 0..<Int(count) { unsafe tokens.append(events[index].data.u64) }
    }
}

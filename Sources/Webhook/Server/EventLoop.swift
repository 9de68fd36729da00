private import CLinux
private import Glibc
internal import TLS

/// One thread's share of a server: its listening socket, its epoll instance and its connections.
///
/// Confined to the thread that calls ``run()``; only the ``WakeUp`` and the orders reach it from outside.
final class EventLoop {
    /// A connection's place. The generation grows when a place is reused, and comes back with each event, so that an
    /// event for the connection before cannot hit the one that has the place now.
    private struct Place {
        var generation: UInt32 = 0
        var connection: Connection?
    }

    // Tokens that no place has: their index is over any number of connections.
    private static let wakeUpToken = UInt64.max
    private static let listenerToken = UInt64.max - 1
    private static let greeterToken = UInt64.max - 2
    /// How long to leave clients waiting after none could be accepted.
    private static let acceptPauseMilliseconds: Int64 = 100
    private static let trimMilliseconds: Int64 = 1000
    /// So many connections are worth a look at what their ends have left: OpenSSL takes 17 KB or more for each.
    private static let closesPerTrim = 64

    private var thread = pthread_self()
    private let bench: Workbench
    private let orders: ServerOrders
    private let wakeUp: WakeUp
    private let makeContext: (@Sendable () -> ServerContext)?
    private var poller: Poller
    /// Watches the connections whose handshakes are not done. Apart from the others: thousands of greetings at once would
    /// fill one batch after the other, and requests would wait behind all of them.
    private var greeter: Poller
    private var listener: Descriptor?
    private var places: [Place] = []
    private var freePlaces: [Int] = []
    private var open = 0
    /// Connections that have more to do although their sockets may stay quiet, and those that had in the turn before.
    private var unfinished: [UInt64] = []
    private var unfinishedBefore: [UInt64] = []
    private var tokens: [UInt64] = []
    private var greetings: [UInt64] = []
    /// The number of the last accepted connection; the largest before there was one.
    private var lastAccepted = Int32.max
    /// Where accepting may go on, while it pauses.
    private var acceptResumes: Int64?
    private var nextTrim: Int64 = 0
    /// How many connections have been closed since free memory was last given back.
    private var closes = 0

    /// - Parameter makeContext: the TLS context for a new connection; nil for a plain server.
    init(
        listener: consuming Descriptor, wakeUp: WakeUp, bench: Workbench, orders: ServerOrders,
        makeContext: (@Sendable () -> ServerContext)?
    ) throws(ServerError) {
        self.bench = bench
        self.orders = orders
        self.wakeUp = wakeUp
        self.makeContext = makeContext
        poller = try Poller(batch: 64)
        greeter = try Poller(batch: Limits.handshakesPerTurn)
        try poller.add(wakeUp.descriptor, .input, token: Self.wakeUpToken)
        try poller.add(listener.number, .input, token: Self.listenerToken)
        try poller.add(greeter.descriptor, .input, token: Self.greeterToken)
        self.listener = consume listener
        bench.now = Timeouts.now()
    }

    /// Serves until it is told to stop.
    func run() {
        thread = pthread_self()
        while true {
            poller.wait(waitMilliseconds(), tokens: &tokens)
            bench.now = Timeouts.now()
            bench.isEnding = orders.isEnding
            if orders.isStopping { stopAccepting() }
            serveEvents()
            serveUnfinished()
            closeExpired()
            resumeAccepting()
            trim()
            if bench.isStopping, open == 0 || bench.now >= orders.deadline { return closeAll() }
        }
    }

    /// How long epoll may wait: until the next deadline, and not at all while there is something to do.
    private func waitMilliseconds() -> Int32 {
        guard unfinished.isEmpty else { return 0 }
        var next = bench.timeouts.next ?? .max
        if let acceptResumes { next = min(next, acceptResumes) }
        if bench.pool.hasLarge || closes >= Self.closesPerTrim || bench.notices.isWaiting { next = min(next, nextTrim) }
        if bench.isStopping { next = min(next, orders.deadline) }
        return next == .max ? -1 : Int32(clamping: max(0, next - bench.now))
    }

    private func serveEvents() {
        // Requests first: a handshake costs as much as a dozen of them.
        for token in tokens where token < Self.greeterToken {
            if let connection = connection(token), !connection.isUnfinished { turn(of: connection, token) }
        }
        for token in tokens where token >= Self.greeterToken {
            switch token {
            case Self.wakeUpToken: wakeUp.acknowledge()
            case Self.listenerToken: accept(atMost: Limits.acceptsPerTurn)
            default: serveGreetings()
            }
        }
    }

    /// Moves a few handshakes on; those that have to wait are reported again, in the order in which they came.
    private func serveGreetings() {
        greeter.wait(0, tokens: &greetings)
        for token in greetings {
            if let connection = connection(token) { turn(of: connection, token) }
        }
    }

    private func serveUnfinished() {
        guard !unfinished.isEmpty else { return }
        swap(&unfinished, &unfinishedBefore)
        for token in unfinishedBefore {
            guard let connection = connection(token) else { continue }
            connection.isUnfinished = false
            turn(of: connection, token)
        }
        unfinishedBefore.removeAll(keepingCapacity: true)
    }

    private func closeExpired() {
        while let (index, kind) = bench.timeouts.popExpired(at: bench.now) {
            bench.counters.expired(kind)
            close(index)
        }
    }

    private func trim() {
        guard bench.now >= nextTrim else { return }
        // malloc(3) by itself would keep what lies free between what is in use, which is most of it after a burst.
        if bench.pool.trim() > 0 || closes >= Self.closesPerTrim {
            malloc_trim(0)
            closes = 0
        }
        if bench.notices.isWaiting { bench.notices.advance() }
        nextTrim = bench.now + Self.trimMilliseconds
    }

    // MARK: Connections

    private func connection(_ token: UInt64) -> Connection? {
        let index = Int(UInt32(truncatingIfNeeded: token))
        guard index < places.count, places[index].generation == UInt32(truncatingIfNeeded: token >> 32) else {
            return nil
        }
        return places[index].connection
    }

    private func token(_ index: Int) -> UInt64 {
        UInt64(places[index].generation) << 32 | UInt64(index)
    }

    /// Gives a connection its turn and does what it wishes.
    private func turn(of connection: Connection, _ token: UInt64) {
        assert(pthread_equal(thread, pthread_self()) != 0, "an event loop is confined to its thread")
        let wasHandshaking = connection.isHandshaking
        let wish = connection.proceed(at: bench)
        do {
            if wasHandshaking, !connection.isHandshaking, wish != .close {
                try greeter.remove(connection.descriptor)
                try poller.add(connection.descriptor, connection.interest, token: token)
            }
        } catch {
            return closeBroken(token, error)
        }
        let interest: Poller.Interest
        switch wish {
        case .input: interest = .input
        case .output: interest = .output
        case .turn:
            // Once only, although a stop may give it a turn while it is noted.
            if !connection.isUnfinished { unfinished.append(token) }
            connection.isUnfinished = true
            return
        case .close: return close(Int(UInt32(truncatingIfNeeded: token)))
        }
        guard interest != connection.interest else { return }
        connection.interest = interest
        do {
            if connection.isHandshaking {
                try greeter.change(connection.descriptor, interest, token: token)
            } else {
                try poller.change(connection.descriptor, interest, token: token)
            }
        } catch {
            closeBroken(token, error)
        }
    }

    private func closeBroken(_ token: UInt64, _ error: ServerError) {
        bench.notices.connectionClosed(on: bench.name, "\(error)")
        close(Int(UInt32(truncatingIfNeeded: token)))
    }

    private func add(_ socket: consuming Descriptor) {
        let index = freePlaces.popLast() ?? places.count
        if index == places.count { places.append(Place()) }
        do {
            let transport = try Transport(socket, makeContext?())
            let connection = Connection(transport, index: index, at: bench)
            places[index].connection = connection
            open += 1
            if connection.isHandshaking {
                try greeter.add(connection.descriptor, .input, token: token(index))
            } else {
                try poller.add(connection.descriptor, .input, token: token(index))
            }
        } catch {
            bench.notices.connectionClosed(on: bench.name, "\(error)")
            close(index)
        }
    }

    private func close(_ index: Int) {
        bench.timeouts.cancel(index)
        if let connection = places[index].connection {
            connection.finish(at: bench)
            open -= 1
            closes += 1
        }
        places[index].connection = nil
        places[index].generation &+= 1
        freePlaces.append(index)
        bench.counters.connectionsOpen.wrappingSubtract(1, ordering: .relaxed)
    }

    private func closeAll() {
        for index in places.indices where places[index].connection != nil { close(index) }
    }

    // MARK: Accepting

    private func accept(atMost limit: Int) {
        var accepted = 0
        while accepted < limit, let listener = listener?.number {
            guard hasDescriptor() else { return pauseAccepting(because: EMFILE) }
            let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
            let number = accept4(listener, nil, nil, flags)
            guard number >= 0 else {
                switch errno {
                case EAGAIN: return
                // The client has gone again, or its network reports an error (accept(2)): its connection is no more.
                case EINTR, ECONNABORTED, EPROTO, EPERM, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH, ENONET,
                    ENOPROTOOPT, EOPNOTSUPP:
                    accepted += 1
                    continue
                // No descriptor or memory, or an error that asking again at once would only repeat.
                default: return pauseAccepting(because: errno)
                }
            }
            accepted += 1
            lastAccepted = number
            let socket = Descriptor(owning: number)
            let counters = bench.counters
            // Counted before it is checked, as the other loops count at the same time.
            let open = counters.connectionsOpen.wrappingAdd(1, ordering: .relaxed).newValue
            guard open <= bench.limits.connectionsMax else {
                counters.connectionsOpen.wrappingSubtract(1, ordering: .relaxed)
                counters.connectionsRefused.wrappingAdd(1, ordering: .relaxed)
                continue
            }
            counters.connectionsAccepted.wrappingAdd(1, ordering: .relaxed)
            add(socket)
        }
    }

    /// Whether a connection may take another descriptor: some are left to the rest of the process.
    ///
    /// Whoever opens connections must not be able to take the last one. Dispatch, which runs Swift's tasks, ends the process
    /// when it has none to look at its own threads with ("workq: registered worker exited prematurely", SIGILL); and
    /// without one no controller is asked for a grant and no certificate is read again.
    private func hasDescriptor() -> Bool {
        var descriptors = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &descriptors) == 0 else { return true }
        let spared = rlim_t(bench.limits.descriptorsSpared)
        // The kernel gives the lowest that is free. Where the last one was far from the limit, so is the next, but for what
        // others took since, and by that this loop can go wrong once.
        if rlim_t(lastAccepted) + 2 * spared < descriptors.rlim_cur { return true }
        let next = fcntl(wakeUp.descriptor, F_DUPFD_CLOEXEC, 0)
        guard next >= 0 else { return false }
        Glibc.close(next)
        return rlim_t(next) + spared < descriptors.rlim_cur
    }

    /// Leaves clients in the queue for a moment: what is missing comes back when some connection is closed, here or
    /// elsewhere, and asking again at once would spin.
    private func pauseAccepting(because code: Int32) {
        bench.counters.acceptPauses.wrappingAdd(1, ordering: .relaxed)
        bench.notices.acceptPaused(
            on: bench.name, "\(ServerError.system(doing: "accept a connection", code: code))")
        acceptResumes = bench.now + Self.acceptPauseMilliseconds
        watchListener(.none)
    }

    private func resumeAccepting() {
        guard let resumes = acceptResumes, bench.now >= resumes else { return }
        acceptResumes = nil
        watchListener(.input)
    }

    private func watchListener(_ interest: Poller.Interest) {
        guard let listener = listener?.number else { return }
        do {
            try poller.change(listener, interest, token: Self.listenerToken)
        } catch {
            // The descriptor is open and was added: only a kernel out of memory is left, and there is no way on.
            fatalError("\(error)")
        }
    }

    // MARK: Stopping

    /// Takes what is in the queue already, closes the listener, and lets each connection end after its request.
    private func stopAccepting() {
        guard !bench.isStopping else { return }
        accept(atMost: SocketAddress.queueMax)
        listener = nil
        acceptResumes = nil
        bench.isStopping = true
        for index in places.indices {
            if let connection = places[index].connection { turn(of: connection, token(index)) }
        }
    }
}

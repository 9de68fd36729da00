private import Glibc
package import Platform
package import TLS

/// An HTTP/1.1 server on one address, with TLS or without: a few event loops, each on a thread of its own.
///
/// It serves from `init` to ``stop(within:)``. Any thread may call it.
package final class Server: Sendable {
    /// Where it listens, with the port that the kernel chose if 0 was asked for.
    package let address: SocketAddress
    package let counters: ServerCounters

    private let notices: ServerNotices
    private let orders = ServerOrders()
    private let wakeUps: [WakeUp]
    /// Empty once they are, or are being, waited for.
    private let threads: Locked<[EventThread]>

    /// Listens and starts to serve.
    ///
    /// - Parameters:
    ///   - name: for the threads and log lines.
    ///   - loops: how many threads; one for each core suits a port under load, and one any other.
    ///   - context: called on the loops for each new connection; nil for a server without TLS.
    /// - Throws: ``ServerError`` when the address is not to be had or the system refuses a thread or descriptor.
    package init(
        _ name: String, at address: SocketAddress, routes: [Route], limits: Limits = Limits(), loops: Int = coreCount,
        log: Log, context: (@Sendable () -> ServerContext)? = nil
    ) throws(ServerError) {
        precondition(loops > 0, "a server needs an event loop")
        // The first socket decides the port, and keeps other processes off it.
        let first = try address.bind(joining: false)
        let address = try address.bound(first)
        var sockets = [first.release()]
        defer { for socket in sockets { close(socket) } }
        while sockets.count < loops { sockets.append(try address.bind(joining: true).release()) }

        let counters = ServerCounters()
        let notices = ServerNotices(log)
        var wakeUps: [WakeUp] = []
        var threads: [EventThread] = []
        do throws(ServerError) {
            for number in 1...loops {
                // One listens as soon as its loop is there to accept.
                let listener = Descriptor(owning: sockets.removeFirst())
                try address.listen(listener, patience: limits.requestTimeout)
                let wakeUp = try WakeUp()
                let bench = Workbench(
                    name, routes: routes, limits: limits, counters: counters, notices: notices)
                let loop = try EventLoop(
                    listener: listener, wakeUp: wakeUp, bench: bench, orders: orders, makeContext: context)
                threads.append(try EventThread(name: "\(name)-\(number)") { loop.run() })
                wakeUps.append(wakeUp)
            }
        } catch {
            Self.stop(threads, wakeUps, orders, within: .zero)
            throw error
        }
        self.address = address
        self.counters = counters
        self.notices = notices
        self.wakeUps = wakeUps
        self.threads = Locked(threads)
    }

    deinit {
        stop(within: .zero)
    }

    /// One for each core that is online.
    package static var coreCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// Serves on, but ends each connection with its next answer, which says so: a client that keeps connections alive then
    /// has none left that it might send a request into while ``stop(within:)`` closes it.
    package func announceEnd() {
        orders.announceEnd()
    }

    /// Stops accepting, lets requests that have begun end, and for a moment those of new connections, closes idle
    /// connections, and returns when all loops have ended. A second call returns at once.
    ///
    /// - Parameter limit: after which connections are closed as they are.
    package func stop(within limit: Duration) {
        let threads = threads.withLock { threads in
            let mine = threads
            threads = []
            return mine
        }
        Self.stop(threads, wakeUps, orders, within: limit)
        notices.end()
    }

    private static func stop(
        _ threads: [EventThread], _ wakeUps: [WakeUp], _ orders: ServerOrders, within limit: Duration
    ) {
        guard !threads.isEmpty else { return }
        orders.stop(deadline: Timeouts.now() + Timeouts.milliseconds(limit))
        for wakeUp in wakeUps { wakeUp.signal() }
        for thread in threads { thread.join() }
    }
}

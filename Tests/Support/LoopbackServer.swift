private import CLinux
private import Dispatch
private import Glibc
internal import Platform

/// An HTTP/1.1 server on 127.0.0.1 for tests: a thread for each connection, kept alive, no TLS.
///
/// It is stopped when the last reference goes. Any thread may call it.
package final class LoopbackServer: Sendable {
    package struct Request: Sendable {
        package let method: String
        /// The part before `?`, with its percent-encoding.
        package let path: String
        /// Decoded; the last of several values.
        package let query: [String: String]
        /// By their names in lower case.
        package let headers: [String: String]
        package let body: [UInt8]
    }

    package struct Answer: Sendable {
        package var status: Int
        package var headers: [(String, String)]
        package var body: [UInt8]

        package init(_ status: Int, headers: [(String, String)] = [], body: [UInt8] = []) {
            self.status = status
            self.headers = headers
            self.body = body
        }

        package init(_ status: Int, json: String, headers: [(String, String)] = []) {
            self.init(
                status, headers: [("Content-Type", "application/json; charset=UTF-8")] + headers,
                body: Array(json.utf8))
        }
    }

    package enum Reply: Sendable {
        case answer(Answer)
        /// The head and the first half of the body, then the end of the connection.
        case cut(Answer)
        /// The end of the connection, at once.
        case close
    }

    package typealias Handler = @Sendable (_ request: Request, _ isStopped: () -> Bool) -> Reply

    package let port: UInt16
    private let core: ServerCore

    /// - Parameters:
    ///   - port: 0: any that is free.
    ///   - handler: answers a request, on its connection's thread. It may block, until `isStopped` says that the server
    ///     waits for it.
    package init(port: UInt16 = 0, handler: @escaping Handler) throws {
        let (listener, bound) = try LoopbackSocket.listen(port: port)
        self.port = bound
        core = ServerCore(listener: listener, handler: handler)
        core.start()
    }

    deinit { stop() }

    package var url: String { "http://127.0.0.1:\(port)" }

    /// Whether connections are refused and those that were open are closed.
    package var isDown: Bool {
        get { core.isDown }
        set { core.setDown(newValue) }
    }

    /// Closes everything and waits until no handler runs any more.
    package func stop() { core.stop() }
}

/// What the threads share; they do not keep the server itself alive.
private final class ServerCore: Sendable {
    private struct State {
        var connections: Set<Int32> = []
        var isDown = false
        var isStopped = false
    }

    private let listener: Int32
    private let handler: LoopbackServer.Handler
    private let state = Locked(State())
    private let threads = DispatchGroup()
    // Written to wake the accepting thread, which polls it beside the listener.
    private let wake: Int32

    init(listener: Int32, handler: @escaping LoopbackServer.Handler) {
        self.listener = listener
        self.handler = handler
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        precondition(wake >= 0, "eventfd: errno \(errno)")
    }

    deinit {
        close(listener)
        close(wake)
    }

    var isDown: Bool { state.withLock { $0.isDown } }
    var isStopped: Bool { state.withLock { $0.isStopped } }

    func start() {
        threads.enter()
        ServerThread.start { [self] in
            accept()
            threads.leave()
        }
    }

    func setDown(_ isDown: Bool) {
        state.withLock { state in
            guard state.isDown != isDown, !state.isStopped else { return }
            state.isDown = isDown
            // A socket that no longer listens keeps its port, so that nobody else can take it meanwhile.
            if isDown {
                shutdown(listener, Int32(SHUT_RDWR))
            } else {
                precondition(listen(listener, LoopbackSocket.backlog) == 0, "listen: errno \(errno)")
            }
            if isDown { Self.end(state.connections) }
        }
        var one: UInt64 = 1
        _ = unsafe write(wake, &one, 8)
    }

    func stop() {
        let isFirst = state.withLock { state in
            defer { state.isStopped = true }
            Self.end(state.connections)
            return !state.isStopped
        }
        guard isFirst else { return }
        var one: UInt64 = 1
        _ = unsafe write(wake, &one, 8)
        threads.wait()
    }

    /// Called with the lock: a descriptor in the set is not closed yet.
    private static func end(_ connections: Set<Int32>) {
        for connection in connections { shutdown(connection, Int32(SHUT_RDWR)) }
    }

    private func accept() {
        while true {
            let (isDown, isStopped) = state.withLock { ($0.isDown, $0.isStopped) }
            if isStopped { return }
            var watched = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
            if !isDown { watched.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0)) }
            _ = unsafe poll(&watched, nfds_t(watched.count), -1)
            var count: UInt64 = 0
            _ = unsafe read(wake, &count, 8)
            let connection = accept4(listener, nil, nil, Int32(SOCK_CLOEXEC.rawValue))
            // It may have gone, or the listener is down.
            guard connection >= 0 else { continue }
            serve(connection)
        }
    }

    private func serve(_ connection: Int32) {
        var on: Int32 = 1
        _ = unsafe setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
        let isServed = state.withLock { state in
            guard !state.isDown, !state.isStopped else { return false }
            state.connections.insert(connection)
            return true
        }
        guard isServed else {
            close(connection)
            return
        }
        threads.enter()
        ServerThread.start { [self] in
            var wire = HTTPWire(descriptor: connection)
            while let request = wire.readRequest(), wire.write(handler(request, { self.isStopped })) {}
            _ = state.withLock { $0.connections.remove(connection) }
            close(connection)
            threads.leave()
        }
    }
}

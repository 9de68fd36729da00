private import CLinux
private import Dispatch
private import Glibc
internal import Platform
package import TLS

/// A server on 127.0.0.1 that does with each connection what the test says, on a thread of its own.
///
/// To be stopped by the test that makes it: a reference alone may be gone before the request has been answered.
package final class ScriptedServer: Sendable {
    package typealias Script = @Sendable (ServerConnection) throws -> Void

    private struct State {
        var connections: [ServerConnection] = []
        var isStopped = false
    }

    package let port: UInt16
    private let listener: Int32
    private let state = Locked(State())
    private let threads = DispatchGroup()

    /// - Parameter tls: nil: plain HTTP.
    package init(tls: ServerContext? = nil, _ script: @escaping Script) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let failed = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe bind(listener, address, length) != 0 || listen(listener, 128) != 0
                    || getsockname(listener, address, &length) != 0
            }
        }
        precondition(!failed, "listen: errno \(errno)")
        port = UInt16(bigEndian: address.sin_port)
        thread { [state, threads] in Self.accept(listener, tls, state, threads, script) }
    }

    /// The URL of `path` at this server.
    package func url(_ path: String = "/", scheme: String = "http", host: String = "127.0.0.1") -> String {
        "\(scheme)://\(host):\(port)\(path)"
    }

    /// How many connections have come in.
    package var connectionCount: Int { state.withLock { $0.connections.count } }

    /// Breaks all connections, and waits until the scripts have ended.
    package func stop() {
        let (isFirst, connections) = state.withLock { state in
            defer { state.isStopped = true }
            return (!state.isStopped, state.connections)
        }
        // Later the number may be another's.
        if isFirst { shutdown(listener, Int32(SHUT_RDWR)) }
        for connection in connections { connection.abort() }
        threads.wait()
    }

    private func thread(_ body: @escaping @Sendable () -> Void) {
        Self.thread(threads, body)
    }

    private static func thread(_ group: DispatchGroup, _ body: @escaping @Sendable () -> Void) {
        group.enter()
        startThread {
            body()
            group.leave()
        }
    }

    private static func accept(
        _ listener: Int32, _ tls: ServerContext?, _ state: Locked<State>, _ threads: DispatchGroup,
        _ script: @escaping Script
    ) {
        while true {
            let socket = Glibc.accept(listener, nil, nil)
            // The listener has been shut down.
            guard socket >= 0 else { break }
            let connection = ServerConnection(socket, tls)
            let isStopped = state.withLock { state in
                state.connections.append(connection)
                return state.isStopped
            }
            if isStopped { connection.abort() }
            thread(threads) {
                // A script ends by an error when the client leaves, which is for the test to judge.
                try? connection.open()
                try? script(connection)
                connection.finish()
            }
        }
        close(listener)
    }
}

/// Runs `body` on a new thread.
private func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    var thread = pthread_t()
    let argument = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
    let failed = unsafe pthread_create(
        &thread, nil,
        { argument in
            unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
            return nil
        }, argument)
    precondition(failed == 0, "pthread_create: \(failed)")
    pthread_detach(thread)
}

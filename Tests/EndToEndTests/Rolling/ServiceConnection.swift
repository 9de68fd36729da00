import FoundationEssentials
import Glibc
import Support
import TLS

/// A kept-alive connection of an API server to a webhook. Confined to the thread that uses it, which it holds up.
///
/// Unlike libcurl's, and like those of Go's http.Transport, it sends no request a second time: one that goes into a
/// connection that the webhook closes at that moment is lost.
final class ServiceConnection {
    struct Broken: Error {}

    private let descriptor: Int32
    private var tls: TLSConnection
    private var received: [UInt8] = []

    /// API servers wait for 10 s by default; more only bounds a test that fails.
    private static let patienceMilliseconds: Int32 = 30_000

    init(port: UInt16, trusting context: ClientContext) throws {
        guard let descriptor = LoopbackSocket.connect(to: port) else { throw Broken() }
        do {
            tls = try TLSConnection(context, serverName: "127.0.0.1", descriptor: descriptor)
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        while true {
            switch tls.handshake() {
            case .done: return
            case .wantsRead: try wait(for: POLLIN)
            case .wantsWrite: try wait(for: POLLOUT)
            case .closed, .failed: throw Broken()
            }
        }
    }

    deinit { close(descriptor) }

    /// Whether the other end has not closed it. Go reads each idle connection all the time, so that it knows too.
    var isOpen: Bool {
        var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&state, 1, 0) != 0 else { return true }
        // It may be a session ticket.
        return read() == .wantsRead
    }

    /// Sends one request and waits for the answer.
    ///
    /// - Returns: the status, the body, and whether the connection may be used again.
    /// - Throws: when it ends without one.
    func post(_ body: [UInt8], to path: String) throws -> (status: Int, body: [UInt8], isKept: Bool) {
        let head =
            "POST \(path) HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.count)\r\n\r\n"
        try send(Array(head.utf8) + body)
        received = []
        let end = try receive { $0.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound }
        let lines = String(decoding: received[..<end], as: UTF8.self).lowercased().split(separator: "\r\n")
        guard let status = lines.first.flatMap({ Int($0.dropFirst("http/1.1 ".count).prefix(3)) }),
            let length = lines.compactMap({ $0.wholeMatch(of: /content-length: (\d+)/) }).first.flatMap({ Int($0.1) })
        else { throw Broken() }
        _ = try receive { $0.count >= end + length ? end + length : nil }
        return (status, Array(received[end..<end + length]), !lines.contains("connection: close"))
    }

    private func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            switch unsafe rest.withUnsafeBytes({ unsafe tls.write($0) }) {
            case .moved(let count): rest = rest.dropFirst(count)
            case .wantsRead: try wait(for: POLLIN)
            case .wantsWrite: try wait(for: POLLOUT)
            case .closed, .failed: throw Broken()
            }
        }
    }

    /// Reads until `found` finds what it looks for in all that has come.
    private func receive(until found: ([UInt8]) -> Int?) throws -> Int {
        while true {
            if let place = found(received) { return place }
            switch read() {
            case .moved: break
            case .wantsRead: try wait(for: POLLIN)
            case .wantsWrite: try wait(for: POLLOUT)
            case .closed, .failed: throw Broken()
            }
        }
    }

    private func read() -> TLSConnection.Transfer {
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        let transfer = unsafe buffer.withUnsafeMutableBytes { unsafe tls.read(into: $0) }
        if case .moved(let count) = transfer { received += buffer[..<count] }
        return transfer
    }

    private func wait(for events: Int32) throws {
        var state = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        guard unsafe poll(&state, 1, Self.patienceMilliseconds) > 0 else { throw Broken() }
    }
}

import FoundationEssentials
import Glibc
import Support
import TLS

/// Posts to a webhook on this machine, over TLS, one request a connection.
struct AdmissionClient {
    let port: UInt16
    /// A PEM file.
    let authority: String

    struct Failure: Error {
        let reason: String
    }

    /// - Returns: the HTTP status and the body. Blocks until the server has closed.
    func post(_ body: [UInt8], to path: String = "/validate") throws -> (status: Int, body: String) {
        let session = try open()
        try session.send(body, to: path)
        return try session.receive()
    }

    /// A connection over which nothing has been sent yet.
    func open() throws -> Session {
        guard let descriptor = LoopbackSocket.connect(to: port) else {
            throw Failure(reason: "nobody listens at 127.0.0.1:\(port)")
        }
        return try Session(
            descriptor: descriptor, context: ClientContext(authorities: Certificate.all(file: authority)))
    }

    /// One connection for one request.
    final class Session {
        private let descriptor: Int32
        private var connection: TLSConnection

        fileprivate init(descriptor: Int32, context: ClientContext) throws {
            self.descriptor = descriptor
            connection = try TLSConnection(context, serverName: "127.0.0.1", descriptor: descriptor)
            while true {
                switch connection.handshake() {
                case .done: return
                case .wantsRead: wait(for: POLLIN)
                case .wantsWrite: wait(for: POLLOUT)
                case let other: throw Failure(reason: "handshake: \(other)")
                }
            }
        }

        deinit { close(descriptor) }

        private func wait(for events: Int32) {
            var descriptor = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            _ = unsafe poll(&descriptor, 1, -1)
        }

        func send(_ body: [UInt8], to path: String = "/validate") throws {
            let head =
                "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
                + "Content-Length: \(body.count)\r\n\r\n"
            var rest = (Array(head.utf8) + body)[...]
            while !rest.isEmpty {
                switch unsafe rest.withUnsafeBytes({ unsafe connection.write($0) }) {
                case .moved(let count): rest = rest.dropFirst(count)
                case .wantsRead: wait(for: POLLIN)
                case .wantsWrite: wait(for: POLLOUT)
                case let other: throw Failure(reason: "write: \(other)")
                }
            }
        }

        func receive() throws -> (status: Int, body: String) {
            var answer: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 16 * 1024)
            reading: while true {
                switch unsafe buffer.withUnsafeMutableBytes({ unsafe connection.read(into: $0) }) {
                case .moved(let count): answer += buffer[..<count]
                case .wantsRead: wait(for: POLLIN)
                case .wantsWrite: wait(for: POLLOUT)
                case .closed: break reading
                case let other: throw Failure(reason: "read: \(other)")
                }
            }
            let text = String(decoding: answer, as: UTF8.self)
            guard let status = Int(text.dropFirst("HTTP/1.1 ".count).prefix(3)),
                let end = text.firstRange(of: "\r\n\r\n")
            else { throw Failure(reason: "no HTTP answer: \(text)") }
            return (status, String(text[end.upperBound...]))
        }
    }
}

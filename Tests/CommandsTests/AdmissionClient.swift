import FoundationEssentials
import Glibc
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
        let descriptor = try connect()
        defer { close(descriptor) }
        let context = try ClientContext(authorities: Certificate.all(file: authority))
        var connection = try TLSConnection(context, serverName: "127.0.0.1", descriptor: descriptor)
        handshake: while true {
            switch connection.handshake() {
            case .done: break handshake
            case .wantsRead: try wait(descriptor, POLLIN)
            case .wantsWrite: try wait(descriptor, POLLOUT)
            case let other: throw Failure(reason: "handshake: \(other)")
            }
        }

        let head =
            "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
            + "Content-Length: \(body.count)\r\n\r\n"
        var rest = (Array(head.utf8) + body)[...]
        while !rest.isEmpty {
            switch unsafe rest.withUnsafeBytes({ unsafe connection.write($0) }) {
            case .moved(let count): rest = rest.dropFirst(count)
            case .wantsRead: try wait(descriptor, POLLIN)
            case .wantsWrite: try wait(descriptor, POLLOUT)
            case let other: throw Failure(reason: "write: \(other)")
            }
        }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        reading: while true {
            switch unsafe buffer.withUnsafeMutableBytes({ unsafe connection.read(into: $0) }) {
            case .moved(let count): answer += buffer[..<count]
            case .wantsRead: try wait(descriptor, POLLIN)
            case .wantsWrite: try wait(descriptor, POLLOUT)
            case .closed: break reading
            case let other: throw Failure(reason: "read: \(other)")
            }
        }
        let text = String(decoding: answer, as: UTF8.self)
        guard let status = Int(text.dropFirst("HTTP/1.1 ".count).prefix(3)), let end = text.firstRange(of: "\r\n\r\n")
        else { throw Failure(reason: "no HTTP answer: \(text)") }
        return (status, String(text[end.upperBound...]))
    }

    private func wait(_ descriptor: Int32, _ events: Int32) throws {
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        guard unsafe poll(&entry, 1, 60_000) == 1 else { throw Failure(reason: "no answer within a minute") }
    }

    private func connect() throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        unsafe inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        let code = unsafe withUnsafePointer(to: address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else {
            close(descriptor)
            throw Failure(reason: "connect: errno \(errno)")
        }
        return descriptor
    }
}

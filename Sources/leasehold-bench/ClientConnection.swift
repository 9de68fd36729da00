private import Glibc
internal import TLS

/// One kept-alive HTTPS connection to a server on this machine, with at most one request under way.
final class ClientConnection {
    let socket: Int32
    private var tls: TLSConnection?
    private var sent = 0
    private var answer: [UInt8] = []
    private var chunk = [UInt8](repeating: 0, count: 16 * 1024)

    /// Connects and shakes hands, which it waits for.
    init(port: UInt16, _ context: ClientContext) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { throw Failure("no socket: \(Failure.last())") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = unsafe withUnsafePointer(to: address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw Failure("no connection to port \(port): \(Failure.last())") }
        var on: Int32 = 1
        _ = unsafe setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        tls = try TLSConnection(context, serverName: "127.0.0.1", descriptor: socket)
        while true {
            switch tls!.handshake() {
            case .done: return
            case .wantsRead: wait(POLLIN)
            case .wantsWrite: wait(POLLOUT)
            case .closed: throw Failure("the server closed the connection during the handshake")
            case .failed(let error): throw error
            }
        }
    }

    deinit {
        tls = nil
        if socket >= 0 { close(socket) }
    }

    /// Begins another request: the next calls of ``proceed(_:)`` send it.
    func begin() {
        sent = 0
        answer.removeAll(keepingCapacity: true)
    }

    /// Sends and receives as far as that goes without waiting.
    ///
    /// - Returns: whether the answer is complete.
    func proceed(_ request: [UInt8]) throws -> Bool {
        while sent < request.count {
            let transfer = unsafe request.withUnsafeBytes { bytes in
                unsafe tls!.write(UnsafeRawBufferPointer(rebasing: bytes[sent...]))
            }
            switch transfer {
            case .moved(let count): sent += count
            case .wantsRead, .wantsWrite: return false
            case .closed: throw Failure("the server closed the connection")
            case .failed(let error): throw error
            }
        }
        while true {
            let transfer = unsafe chunk.withUnsafeMutableBytes { unsafe tls!.read(into: $0) }
            switch transfer {
            case .moved(let count):
                answer.append(contentsOf: chunk[..<count])
                if try isComplete() { return true }
            case .wantsRead, .wantsWrite: return false
            case .closed: throw Failure("the server closed the connection")
            case .failed(let error): throw error
            }
        }
    }

    /// Sends a request and waits for the whole answer.
    func exchange(_ request: [UInt8]) throws {
        begin()
        while !(try proceed(request)) { wait(sent < request.count ? POLLIN | POLLOUT : POLLIN) }
    }

    private func isComplete() throws -> Bool {
        guard let end = Self.position(of: Self.headEnd, in: answer) else { return false }
        guard answer.starts(with: Self.statusLine) else {
            throw Failure("answered \(String(decoding: answer.prefix(200), as: UTF8.self))")
        }
        guard let start = Self.position(of: Self.lengthName, in: answer) else {
            throw Failure("an answer without Content-Length")
        }
        var length = 0
        for byte in answer[(start + Self.lengthName.count)...] {
            guard (0x30...0x39).contains(byte) else { break }
            length = length * 10 + Int(byte & 0x0F)
        }
        return answer.count >= end + Self.headEnd.count + length
    }

    private static let statusLine = Array("HTTP/1.1 200".utf8)
    private static let headEnd = Array("\r\n\r\n".utf8)
    // As Leasehold and nginx spell it.
    private static let lengthName = Array("Content-Length: ".utf8)

    private static func position(of part: [UInt8], in bytes: [UInt8]) -> Int? {
        guard bytes.count >= part.count else { return nil }
        return (0...(bytes.count - part.count)).first { start in
            bytes[start] == part[0] && bytes[start...].starts(with: part)
        }
    }

    private func wait(_ events: Int32) {
        var entry = pollfd(fd: socket, events: Int16(events), revents: 0)
        _ = unsafe poll(&entry, 1, -1)
    }
}

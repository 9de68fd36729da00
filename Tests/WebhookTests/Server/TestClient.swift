import Glibc
import TLS
import Testing

@testable import Webhook

/// An answer as a client sees it.
struct TestAnswer: Equatable, CustomStringConvertible {
    var status: Int
    /// Names in lower case.
    var headers: [String: String]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    var description: String { "\(status) \(headers) \(text.prefix(200))" }
}

/// A slow and obvious HTTP client over a socket that may be given any bytes. It waits, but never for ever.
final class TestClient {
    /// What is an error of the test itself or of the server, as opposed to an orderly end.
    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    /// Generous: it only bounds a test that fails.
    private static let patienceMilliseconds: Int32 = 30_000

    let descriptor: Int32
    private var tls: TLSConnection?
    private var received: [UInt8] = []
    private var consumed = 0
    private var isOpen = true

    /// - Parameters:
    ///   - context: whom a TLS client trusts, and how it proves itself.
    ///   - reserved: a socket made before.
    ///   - receiveBufferBytes: how little the kernel takes for a client that does not read.
    init(
        _ address: SocketAddress, _ wire: Wire = .plain, as context: ClientContext = TestIdentity.shared.client,
        socket reserved: Int32? = nil, receiveBufferBytes: Int32? = nil
    ) throws {
        descriptor = reserved ?? Self.makeSocket()
        guard descriptor >= 0 else { throw Broken(description: "socket: errno \(errno)") }
        if var bytes = receiveBufferBytes {
            _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
        }
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = address.port.bigEndian
        _ = unsafe inet_pton(AF_INET, "127.0.0.1", &target.sin_addr)
        let failed = unsafe withUnsafePointer(to: target) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard failed == 0 else { throw Broken(description: "connect: errno \(errno)") }
        var on: Int32 = 1
        _ = unsafe setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        if wire == .tls {
            tls = try TLSConnection(context, serverName: "127.0.0.1", descriptor: descriptor)
            try handshake()
        }
    }

    /// An unconnected socket, -1 when there is none to be had.
    static func makeSocket() -> Int32 {
        socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    }

    deinit {
        tls = nil
        drop()
    }

    /// Closes the socket, orderly unless bytes are unread.
    func drop() {
        if isOpen { close(descriptor) }
        isOpen = false
    }

    /// Closes the socket with a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        drop()
    }

    private func handshake() throws {
        while true {
            switch tls!.handshake() {
            case .done: return
            case .wantsRead: try wait(POLLIN)
            case .wantsWrite: try wait(POLLOUT)
            case .closed: throw Broken(description: "closed in the handshake")
            case .failed(let error): throw Broken(description: "\(error)")
            }
        }
    }

    private func wait(_ events: Int32) throws {
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        let ready = unsafe poll(&entry, 1, Self.patienceMilliseconds)
        guard ready > 0 else { throw Broken(description: "nothing happened for 30 s") }
    }

    /// Whether something has arrived that nobody has read.
    var hasInput: Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, 0) > 0
    }

    /// How many packets with data have arrived.
    var dataPacketsReceived: UInt32 {
        // `tcp_info` of linux/tcp.h; glibc's is an older one.
        var info = [UInt8](repeating: 0, count: 232)
        var length = socklen_t(info.count)
        let failed = unsafe getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &length)
        precondition(failed == 0 && length >= 156, "TCP_INFO: errno \(errno), \(length) bytes")
        return unsafe info.withUnsafeBytes { unsafe $0.load(fromByteOffset: 152, as: UInt32.self) }
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Sends all bytes; throws when the server does not take them.
    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let rest = Array(bytes[sent...].prefix(256 * 1024))
            if tls != nil {
                let transfer = unsafe rest.withUnsafeBytes { unsafe tls!.write($0) }
                switch transfer {
                case .moved(let count): sent += count
                case .wantsRead: try wait(POLLIN)
                case .wantsWrite: try wait(POLLOUT)
                case .closed, .failed: throw Broken(description: "the server is gone")
                }
            } else {
                let count = unsafe rest.withUnsafeBytes {
                    unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
                }
                if count >= 0 {
                    sent += count
                } else if errno == EAGAIN {
                    try wait(POLLOUT)
                } else {
                    throw Broken(description: "the server is gone: errno \(errno)")
                }
            }
        }
    }

    /// Holds sent bytes back in the kernel, or lets them go (TCP_CORK of tcp(7)).
    func cork(_ isOn: Bool) {
        var value: Int32 = isOn ? 1 : 0
        _ = unsafe setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_CORK, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Ends this side; answers can still be read.
    func endSending() {
        if tls != nil { _ = tls!.shutdown() }
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Takes more bytes from the server.
    ///
    /// - Returns: false at the end of the stream.
    func receive() throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            if tls != nil {
                let transfer = unsafe buffer.withUnsafeMutableBytes { unsafe tls!.read(into: $0) }
                switch transfer {
                case .moved(let count):
                    received += buffer[..<count]
                    return true
                case .wantsRead: try wait(POLLIN)
                case .wantsWrite: try wait(POLLOUT)
                case .closed: return false
                case .failed(let error): throw Broken(description: "\(error)")
                }
            } else {
                let count = unsafe buffer.withUnsafeMutableBytes {
                    unsafe recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
                }
                if count > 0 {
                    received += buffer[..<count]
                    return true
                }
                if count == 0 { return false }
                guard errno == EAGAIN else { throw Broken(description: "reading failed: errno \(errno)") }
                try wait(POLLIN)
            }
        }
    }

    private func line() throws -> String {
        while true {
            if let end = received[consumed...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = received[consumed..<end]
                consumed = end + 1
                try #require(line.last == UInt8(ascii: "\r"))
                return String(decoding: line.dropLast(), as: UTF8.self)
            }
            guard try receive() else { throw Broken(description: "the server has ended the connection") }
        }
    }

    /// Waits for the next answer, an interim one (1xx) included.
    ///
    /// - Parameter toHead: whether it answers a HEAD, so that it has no body whatever its headers say.
    func answer(toHead: Bool = false) throws -> TestAnswer {
        let status = try line().split(separator: " ", maxSplits: 2)
        try #require(status.count == 3 && status[0] == "HTTP/1.1")
        var answer = TestAnswer(status: Int(status[1])!, headers: [:], body: [])
        while case let header = try line(), !header.isEmpty {
            let parts = header.split(separator: ": ", maxSplits: 1)
            answer.headers[parts[0].lowercased()] = String(parts[1])
        }
        guard !toHead, answer.status >= 200 else { return answer }
        let length = try #require(Int(answer.headers["content-length"] ?? ""))
        while received.count - consumed < length {
            guard try receive() else { throw Broken(description: "the answer's body is cut off") }
        }
        answer.body = Array(received[consumed..<consumed + length])
        consumed += length
        return answer
    }

    func answers(_ count: Int) throws -> [TestAnswer] {
        var all: [TestAnswer] = []
        for _ in 0..<count { all.append(try answer()) }
        if consumed > 1024 * 1024 {
            received.removeFirst(consumed)
            consumed = 0
        }
        return all
    }

    func sizeOfAnswer(to request: [UInt8]) throws -> Int {
        try send(request)
        let before = consumed
        _ = try answer()
        return consumed - before
    }

    /// Takes so many bytes of answers without looking at them, and not one more.
    func skip(_ bytes: Int) throws {
        while received.count - consumed < bytes {
            guard try receive() else { throw Broken(description: "the server has ended the connection") }
        }
        consumed += bytes
        try #require(consumed == received.count)
        received.removeAll(keepingCapacity: true)
        consumed = 0
    }

    func request(_ text: String) throws -> TestAnswer {
        try send(text)
        return try answer()
    }

    /// Waits until the server has ended the connection in order, with nothing more before that.
    func isEnded() throws -> Bool {
        guard received.count == consumed else { return false }
        return try !receive()
    }

    /// Waits until the server has ended the connection in any way.
    func waitForEnd() {
        do { while try receive() {} } catch {}
    }
}

/// How a test's bytes travel.
enum Wire: CaseIterable, Sendable {
    case plain
    case tls
}

/// One authority and its server certificate for all tests.
struct TestIdentity: Sendable {
    static let shared = try! TestIdentity()

    let authority: CertificateAuthority
    let server: ServerContext
    let client: ClientContext

    init() throws {
        authority = try CertificateAuthority.make(commonName: "test authority")
        let identity = try authority.issue(commonName: "test server", names: [.ip("127.0.0.1")], purpose: .server)
        server = try ServerContext(identity: identity)
        client = try ClientContext(authorities: [authority.certificate])
    }
}

private import Glibc
internal import HTTP
internal import TLS

/// One kept-alive connection to a controller: HTTP/1.1 (RFC 9112) over mutual TLS, as far as ``GrantServing`` speaks it.
///
/// It waits for the network, so its calls belong on a thread that nothing else needs. One at a time.
final class GrantConnection: @unchecked Sendable {
    // Whoever has taken it from `GrantConnections` is alone with it until it is given back.

    /// Why there is no answer.
    struct Failure: Error {
        let reason: String
        /// Whether not one byte of an answer had come.
        let isBeforeAnswer: Bool
    }

    typealias Instant = ContinuousClock.Instant

    /// What it proves and whom it trusts.
    let context: ClientContext
    /// When its last answer was complete; nil: there was none yet.
    private(set) var lastAnswered: Instant?
    /// Whether it can take another request.
    private(set) var isReusable = false

    private let socket: Int32
    private var tls: TLSConnection?
    private let timeout: Duration

    private static let headBytesMax = 16 << 10

    /// Connects and shakes hands.
    ///
    /// - Parameter timeout: which `deadline` comes from, for people.
    init(
        to endpoint: GrantAddress, _ context: ClientContext, until deadline: Instant, timeout: Duration
    ) throws(Failure) {
        self.context = context
        self.timeout = timeout
        // From here on `deinit` closes, also when this throws.
        socket = try Self.makeSocket(endpoint)
        try connect(to: endpoint, until: deadline)
        do throws(TLSError) {
            tls = try TLSConnection(context, serverName: GrantFiles.serverName, descriptor: socket)
        } catch {
            throw Failure(reason: "\(error)", isBeforeAnswer: true)
        }
        while true {
            switch tls!.handshake() {
            case .done: return
            case .wantsRead: try wait(for: POLLIN, until: deadline)
            case .wantsWrite: try wait(for: POLLOUT, until: deadline)
            case .closed:
                throw Failure(reason: "it closed the connection during the TLS handshake", isBeforeAnswer: true)
            case .failed(let error):
                let advice = "check the trusted authorities, --grants-ca-file, and the controller's certificate"
                throw Failure(reason: "\(error); \(advice)", isBeforeAnswer: true)
            }
        }
    }

    deinit {
        if isReusable { _ = tls?.shutdown() }
        // TLS goes before its socket.
        tls = nil
        if socket >= 0 { close(socket) }
    }

    /// Sends a request and waits for the whole answer. After an error the connection is of no further use.
    ///
    /// - Parameter suffix: path and query.
    func get(
        _ suffix: String, host: String, bytesMax: Int, until deadline: Instant
    ) throws(Failure) -> HTTPResponse {
        isReusable = false
        try send(Array("GET \(suffix) HTTP/1.1\r\nHost: \(host)\r\n\r\n".utf8), until: deadline)
        var bytes: [UInt8] = []
        var head: Head?
        while true {
            if head == nil { head = try Head(bytes) }
            if let head {
                guard head.length <= bytesMax else { throw broken("the answer has more than \(bytesMax) bytes") }
                let missing = head.bytes + head.length - bytes.count
                if missing <= 0 {
                    isReusable = head.keepsAlive && missing == 0
                    lastAnswered = .now
                    let body = bytes.dropFirst(head.bytes).prefix(head.length)
                    return HTTPResponse(status: head.status, body: Array(body))
                }
            } else if bytes.count > Self.headBytesMax {
                throw broken("the head of the answer has more than \(Self.headBytesMax >> 10) KiB")
            }
            try receive(&bytes, until: deadline)
        }
    }

    // MARK: The answer's head

    private struct Head {
        let status: Int
        /// Its own size, the empty line included.
        let bytes: Int
        /// The body's size.
        let length: Int
        let keepsAlive: Bool

        /// - Returns: nil while its end has not arrived.
        init?(_ received: [UInt8]) throws(Failure) {
            var lines: [ArraySlice<UInt8>] = []
            var start = 0
            while true {
                let rest = received[start...].prefix(GrantConnection.headBytesMax - start)
                guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
                var line = received[start..<end]
                if line.last == UInt8(ascii: "\r") { line.removeLast() }
                start = end + 1
                if line.isEmpty { break }
                lines.append(line)
            }
            bytes = start
            guard let first = lines.first, first.starts(with: "HTTP/1.1 ".utf8),
                let status = Self.number(first.dropFirst(9).prefix(3))
            else { throw Failure(reason: "it does not answer by HTTP/1.1", isBeforeAnswer: false) }
            self.status = status
            var length: Int?
            var keepsAlive = true
            for line in lines.dropFirst() {
                if let value = Self.value(of: "content-length:", line) { length = Self.number(value) }
                if let value = Self.value(of: "connection:", line), Self.value(of: "close", value) != nil {
                    keepsAlive = false
                }
            }
            // Our own servers always say it.
            guard let length else {
                throw Failure(reason: "it does not say how long its answer is", isBeforeAnswer: false)
            }
            (self.length, self.keepsAlive) = (length, keepsAlive)
        }

        /// What follows `name` (in small letters) and white space, without white space at the end; nil: `line` does not begin
        /// with it.
        private static func value(of name: String, _ line: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
            let name = name.utf8
            guard line.count >= name.count else { return nil }
            for (one, other) in zip(line, name) {
                guard (0x41...0x5A).contains(one) ? one | 0x20 == other : one == other else { return nil }
            }
            func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
            var value = line.dropFirst(name.count).drop(while: isBlank)
            while let last = value.last, isBlank(last) { value.removeLast() }
            return value
        }

        /// - Returns: nil for what is no number, or one of more than 18 digits.
        private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
            guard (1...18).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            return digits.reduce(0) { $0 * 10 + Int($1 & 0x0F) }
        }
    }

    private func broken(_ reason: String) -> Failure { Failure(reason: reason, isBeforeAnswer: false) }

    // MARK: Bytes

    private func send(_ bytes: [UInt8], until deadline: Instant) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            let transfer = unsafe bytes.withUnsafeBytes { bytes in
                unsafe tls!.write(UnsafeRawBufferPointer(rebasing: bytes[sent...]))
            }
            switch transfer {
            case .moved(let count): sent += count
            case .wantsRead: try wait(for: POLLIN, until: deadline)
            case .wantsWrite: try wait(for: POLLOUT, until: deadline)
            case .closed: throw Failure(reason: "it closed the connection", isBeforeAnswer: true)
            case .failed(let error): throw Failure(reason: "\(error)", isBeforeAnswer: true)
            }
        }
    }

    /// Adds the next bytes to those that have been received of this answer.
    private func receive(_ bytes: inout [UInt8], until deadline: Instant) throws(Failure) {
        // What one TLS record holds (RFC 8446, section 5.1).
        let most = 16 << 10
        while true {
            var transfer = TLSConnection.Transfer.wantsRead
            let piece = unsafe [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
                transfer = unsafe tls!.read(into: UnsafeMutableRawBufferPointer(buffer))
                if case .moved(let moved) = transfer { count = moved }
            }
            switch transfer {
            case .moved:
                bytes += piece
                return
            case .wantsRead: try wait(for: POLLIN, until: deadline)
            case .wantsWrite: try wait(for: POLLOUT, until: deadline)
            case .closed, .failed(.truncated):
                throw Failure(
                    reason: "it closed the connection before the end of its answer", isBeforeAnswer: bytes.isEmpty)
            case .failed(let error): throw Failure(reason: "\(error)", isBeforeAnswer: bytes.isEmpty)
            }
        }
    }

    /// Waits until the socket is ready (poll(2)).
    private func wait(for events: Int32, until deadline: Instant) throws(Failure) {
        while true {
            let left = Instant.now.duration(to: deadline)
            guard left > .zero else { throw broken("no complete answer within \(timeout)") }
            // Rounded up, so that it does not spin in the last millisecond.
            let milliseconds = Int32(clamping: Int(left / .milliseconds(1)) + 1)
            var entry = pollfd(fd: socket, events: Int16(events), revents: 0)
            let ready = unsafe poll(&entry, 1, milliseconds)
            if ready > 0 { return }
            if ready < 0, errno != EINTR { throw Self.failure(errno) }
        }
    }

    // MARK: The socket

    private static func makeSocket(_ endpoint: GrantAddress) throws(Failure) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let number = Glibc.socket(endpoint.host.contains(":") ? AF_INET6 : AF_INET, type, 0)
        guard number >= 0 else { throw failure(errno) }
        return number
    }

    private func connect(to endpoint: GrantAddress, until deadline: Instant) throws(Failure) {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(endpoint.host, String(endpoint.port), &hints, &list)
        guard code == 0, let entry = unsafe list else {
            throw Failure(reason: "its address is no numeric one", isBeforeAnswer: true)
        }
        defer { unsafe freeaddrinfo(list) }
        if unsafe Glibc.connect(socket, entry.pointee.ai_addr, entry.pointee.ai_addrlen) != 0 {
            guard errno == EINPROGRESS else { throw Self.failure(errno) }
            try wait(for: POLLOUT, until: deadline)
            var error: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            unsafe getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length)
            if error != 0 { throw Self.failure(error) }
        }
    }

    private static func failure(_ code: Int32) -> Failure {
        Failure(reason: "no connection: \(unsafe String(cString: strerror(code)))", isBeforeAnswer: true)
    }
}

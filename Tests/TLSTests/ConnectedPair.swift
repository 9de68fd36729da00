import Glibc
import TLS
import Testing

/// Two connected stream sockets, closed with this.
struct SocketPair: ~Copyable {
    let server: Int32
    private(set) var client: Int32

    /// - Parameter bufferBytes: How much the kernel keeps for each direction (at least; it rounds up).
    init(bufferBytes: Int32? = nil) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let failed = unsafe socketpair(AF_UNIX, kind, 0, &ends)
        precondition(failed == 0, "socketpair: errno \(errno)")
        (server, client) = (ends[0], ends[1])
        if var bytes = bufferBytes {
            for end in ends {
                _ = unsafe setsockopt(end, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
            }
        }
    }

    /// Ends the client's side as a killed process would: no close_notify.
    mutating func dropClient() {
        close(client)
        client = -1
    }

    deinit {
        close(server)
        if client >= 0 { close(client) }
    }
}

/// A server and a client over a socket pair, driven in turns by one thread.
struct ConnectedPair: ~Copyable {
    var server: TLSConnection
    var client: TLSConnection
    var sockets: SocketPair

    init(
        _ serverContext: ServerContext, _ clientContext: ClientContext, serverName: String = "localhost",
        bufferBytes: Int32? = nil
    ) throws {
        let sockets = SocketPair(bufferBytes: bufferBytes)
        let server = try TLSConnection(serverContext, descriptor: sockets.server)
        let client = try TLSConnection(clientContext, serverName: serverName, descriptor: sockets.client)
        self.sockets = sockets
        self.server = server
        self.client = client
    }

    /// Drives both ends until each is done, closed or failed.
    mutating func handshake() -> (server: TLSConnection.Progress, client: TLSConnection.Progress) {
        var ends = (server: TLSConnection.Progress.wantsRead, client: TLSConnection.Progress.wantsRead)
        // A handshake takes a handful of turns; more than this bound means that it is stuck.
        for _ in 0..<100 {
            if ends.client.goesOn { ends.client = client.handshake() }
            if ends.server.goesOn { ends.server = server.handshake() }
        }
        return ends
    }

    /// Sends `text` from the client to the server.
    ///
    /// With TLS 1.3 a client learns only by reading that the server refused its certificate.
    mutating func echo(_ text: String) throws {
        #expect(client.send(Array(text.utf8)) == .moved(text.utf8.count))
        let received = server.receive()
        #expect(received == .moved(Array(text.utf8)))
        #expect(server.send(Array(text.utf8)) == .moved(text.utf8.count))
        #expect(client.receive() == .moved(Array(text.utf8)))
    }
}

extension TLSConnection.Progress {
    var goesOn: Bool { self == .wantsRead || self == .wantsWrite }

    /// What a failure says, or nil.
    var refusal: String? {
        if case .failed(.refused(let reason)) = self { reason } else { nil }
    }
}

/// The result of a read with the bytes it brought.
enum Received: Equatable {
    case moved([UInt8])
    case other(TLSConnection.Transfer)

    var refusal: String? {
        if case .other(.failed(.refused(let reason))) = self { reason } else { nil }
    }
}

extension TLSConnection {
    mutating func send(_ bytes: [UInt8]) -> Transfer {
        unsafe bytes.withUnsafeBytes { unsafe write($0) }
    }

    mutating func receive(bytesMax: Int = 20_000) -> Received {
        var bytes = [UInt8](repeating: 0, count: bytesMax)
        let transfer = unsafe bytes.withUnsafeMutableBytes { unsafe read(into: $0) }
        guard case .moved(let count) = transfer else { return .other(transfer) }
        return .moved(Array(bytes.prefix(count)))
    }
}

/// An authority and what it signs, made once for all tests.
struct TestAuthority {
    let authority: CertificateAuthority

    static let one = TestAuthority(named: "test authority")
    static let other = TestAuthority(named: "other authority")

    init(named name: String) {
        authority = try! CertificateAuthority.make(commonName: name)
    }

    func server(_ names: [SubjectName] = [.dns("localhost"), .ip("127.0.0.1")]) throws -> Identity {
        try authority.issue(commonName: "server", names: names, purpose: .server)
    }

    func client(validity: Validity = .days(90), purpose: CertificateAuthority.Purpose = .client) throws -> Identity {
        try authority.issue(commonName: "client", names: [], purpose: purpose, validity: validity)
    }

    /// A client that trusts this authority.
    func clientContext(identity: Identity? = nil) throws -> ClientContext {
        try ClientContext(authorities: [authority.certificate], identity: identity)
    }
}

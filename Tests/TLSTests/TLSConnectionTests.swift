import COpenSSL
import Glibc
import Support
import TLS
import Testing

@Suite struct TLSConnectionTests {
    let authority = TestAuthority.one

    @Test func `a client that trusts the authority talks to the server`() throws {
        var pair = try makePair()
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.server.version == "TLSv1.3")
        #expect(pair.server.cipher == "TLS_AES_128_GCM_SHA256")
        #expect(pair.client.peerCertificate?.subject == "CN=server")
        #expect(pair.server.peerCertificate == nil)
        try pair.echo("hello")
    }

    @Test func `a read that is too small leaves the rest of the record pending`() throws {
        var pair = try makePair()
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.client.send(Array("hello".utf8)) == .moved(5))
        #expect(pair.server.receive(bytesMax: 2) == .moved(Array("he".utf8)))
        #expect(pair.server.hasPending == true)
        #expect(pair.server.receive() == .moved(Array("llo".utf8)))
        #expect(pair.server.receive() == .other(.wantsRead))
    }

    @Test func `reading until it wants more takes every record that has arrived`() throws {
        var pair = try makePair()
        #expect(pair.handshake() == (.done, .done))
        for number in UInt8(0)..<10 { #expect(pair.client.send([number]) == .moved(1)) }
        for number in UInt8(0)..<10 { #expect(pair.server.receive() == .moved([number])) }
        #expect(pair.server.receive() == .other(.wantsRead))
    }

    @Test func `megabytes pass both ways at once through small socket buffers`() throws {
        var pair = try makePair(bufferBytes: 4096)
        #expect(pair.handshake() == (.done, .done))
        var up = Flow(bytes: 3_000_001, seed: 1)
        var down = Flow(bytes: 2_000_003, seed: 2)
        // More turns than this bound means that nothing moves any more.
        var turns = 0
        while !(up.isComplete && down.isComplete) && turns < 20_000 {
            turns += 1
            up.send(by: &pair.client)
            down.send(by: &pair.server)
            up.receive(by: &pair.server)
            down.receive(by: &pair.client)
        }
        for flow in [up, down] {
            #expect(flow.isComplete)
            #expect(flow.isIntact)
            #expect(flow.hasWaitedToSend)
            #expect(flow.hasWaitedToReceive)
        }
    }

    @Test func `bytes that came in with the end of the handshake are pending, not on the socket`() throws {
        var pair = try makePair()
        #expect(pair.client.handshake() == .wantsRead)
        #expect(pair.server.handshake() == .wantsRead)
        #expect(pair.client.handshake() == .done)
        #expect(pair.client.send([1]) == .moved(1))
        #expect(pair.server.handshake() == .done)
        #expect(pair.server.hasPending == true)
        #expect(pair.server.receive() == .moved([1]))
        #expect(pair.server.hasPending == false)
    }

    @Test func `empty reads and writes move nothing`() throws {
        var pair = try makePair()
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.client.send([]) == .moved(0))
        #expect(pair.server.receive(bytesMax: 0) == .moved([]))
    }

    // MARK: The end of a connection

    @Test func `a close announced by the peer is a close, and the other direction still works`() throws {
        var pair = try makePair()
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.client.shutdown() == .done)
        #expect(pair.client.shutdown() == .done)
        #expect(pair.server.receive() == .other(.closed))
        #expect(pair.server.send([1]) == .moved(1))
        #expect(pair.client.receive() == .moved([1]))
        #expect(pair.server.shutdown() == .done)
        #expect(pair.client.receive() == .other(.closed))
    }

    @Test func `an end of stream that the peer has not announced is a truncation`() throws {
        var pair = try makePair()
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.client.send([1]) == .moved(1))
        pair.sockets.dropClient()
        #expect(pair.server.receive() == .moved([1]))
        #expect(pair.server.receive() == .other(.failed(.truncated)))
        #expect(pair.server.shutdown() == .closed)
    }

    @Test func `a peer that connects and leaves has closed`() throws {
        var pair = try makePair()
        #expect(pair.server.handshake() == .wantsRead)
        pair.sockets.dropClient()
        #expect(pair.server.handshake() == .closed)
        #expect(pair.server.shutdown() == .closed)
    }

    @Test(arguments: [
        ("GET / HTTP/1.1", "http request"), ("SSH-2.0-OpenSSH_9.2", "wrong version number"),
    ])
    func `bytes that are not TLS are refused with a reason`(text: String, reason: String) throws {
        var pair = try makePair()
        let sent = unsafe Glibc.send(pair.sockets.client, text, text.utf8.count, 0)
        #expect(sent == text.utf8.count)
        #expect(pair.server.handshake().refusal == reason)
    }

    @Test func `a peer that changes its keys without end is given up`() throws {
        let sockets = SocketPair()
        var server = try TLSConnection(ServerContext(identity: authority.server()), descriptor: sockets.server)
        let client = RawClient(descriptor: sockets.client)
        for _ in 0..<10 where client.handshake() == .waits { _ = server.handshake() }
        #expect(server.handshake() == .done)
        var (result, changes) = (Received.other(.wantsRead), 0)
        while result == .other(.wantsRead), changes < 1000 {
            #expect(client.updateKeys() == .done)
            changes += 1
            result = server.receive()
        }
        #expect(result == .other(.failed(.disconnected(code: EPROTO))))
        #expect(changes == 101)
    }

    @Test func `a call takes a bounded part of what has arrived`() throws {
        let sockets = SocketPair()
        var server = try TLSConnection(ServerContext(identity: authority.server()), descriptor: sockets.server)
        // A ClientHello of 100,000 bytes, a byte a record.
        let records = [[0x01, 0x01, 0x86, 0xA0], [UInt8](repeating: 0, count: 19_996)].joined().flatMap {
            [0x16, 0x03, 0x01, 0x00, 0x01, $0] as [UInt8]
        }
        #expect(unsafe Glibc.send(sockets.client, records, records.count, Int32(MSG_NOSIGNAL)) == records.count)
        #expect(server.handshake() == .wantsRead)
        var left: Int32 = 0
        #expect(unsafe ioctl(sockets.server, UInt(FIONREAD), &left) == 0)
        #expect(left > 0 && Int(left) < records.count)
    }

    @Test func `a damaged record fails the connection`() throws {
        var pair = try makePair()
        #expect(pair.handshake() == (.done, .done))
        let record: [UInt8] = [23, 3, 3, 0, 20] + [UInt8](repeating: 7, count: 20)
        let sent = unsafe Glibc.send(pair.sockets.client, record, record.count, 0)
        #expect(sent == record.count)
        #expect(pair.server.receive().refusal == "decryption failed or bad record mac")
    }

    @Test func `an old error of the thread does not spoil a later call`() throws {
        var pair = try makePair()
        #expect(pair.handshake() == (.done, .done))
        let empty = unsafe BIO_new(BIO_s_null())
        defer { unsafe BIO_free(empty) }
        #expect(unsafe PEM_read_bio_X509(empty, nil, nil, nil) == nil)
        #expect(ERR_peek_error() != 0)
        #expect(pair.server.receive() == .other(.wantsRead))
    }

    @Test func `writing to a peer that is gone fails and does not kill the process`() async {
        await #expect(processExitsWith: .success) {
            signal(SIGPIPE, SIG_DFL)
            var pair = try ConnectedPair(
                ServerContext(identity: TestAuthority.one.server()), TestAuthority.one.clientContext())
            #expect(pair.handshake() == (.done, .done))
            pair.sockets.dropClient()
            #expect(pair.server.send([1]) == .failed(.disconnected(code: EPIPE)))
        }
    }

    @Test func `a thousand connections leave no descriptor behind`() async {
        // In a process of its own: other tests open files at the same time.
        await #expect(processExitsWith: .success) {
            let serverContext = try ServerContext(identity: TestAuthority.one.server())
            let clientContext = try TestAuthority.one.clientContext()
            func connect() throws {
                var pair = try ConnectedPair(serverContext, clientContext)
                #expect(pair.handshake() == (.done, .done))
                try pair.echo("hello")
                #expect(pair.server.shutdown() == .done)
            }
            try connect()
            let before = descriptorCount()
            for _ in 0..<1000 { try connect() }
            #expect(descriptorCount() == before)
        }
    }

    private func makePair(bufferBytes: Int32? = nil) throws -> ConnectedPair {
        try ConnectedPair(
            ServerContext(identity: authority.server()), authority.clientContext(), bufferBytes: bufferBytes)
    }
}

/// How many descriptors this process has open.
private func descriptorCount() -> Int {
    guard let directory = unsafe opendir("/proc/self/fd") else { return -1 }
    defer { unsafe closedir(directory) }
    var count = 0
    while unsafe readdir(directory) != nil { count += 1 }
    return count
}

/// Pseudorandom bytes on their way from one end to the other.
private struct Flow {
    private let bytes: [UInt8]
    private var sent = 0
    private var received: [UInt8] = []
    private(set) var hasWaitedToSend = false
    private(set) var hasWaitedToReceive = false

    init(bytes count: Int, seed: UInt64) {
        var state = seed
        bytes = (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }

    var isComplete: Bool { received.count == bytes.count }
    var isIntact: Bool { received == bytes }

    mutating func send(by end: inout TLSConnection) {
        while sent < bytes.count {
            // A fresh array each time: the bytes may move between tries.
            switch end.send(Array(bytes[sent..<min(sent + 50_000, bytes.count)])) {
            case .moved(let count):
                sent += count
            case .wantsWrite:
                hasWaitedToSend = true
                return
            case let other:
                Issue.record("sending ended with \(other)")
                return
            }
        }
    }

    mutating func receive(by end: inout TLSConnection) {
        while received.count < bytes.count {
            switch end.receive() {
            case .moved(let more):
                received += more
            case .other(.wantsRead):
                hasWaitedToReceive = true
                return
            case .other(let other):
                Issue.record("receiving ended with \(other)")
                return
            }
        }
    }
}

private import CLinux
private import Dispatch
private import Glibc
private import Synchronization
private import TLS

/// Many connections to one port that mean it ill, all on one thread.
package final class Crowd: Sendable {
    /// What each of them does.
    package enum Conduct: String, CaseIterable, Sendable, CustomStringConvertible {
        /// Agrees on TLS and says nothing.
        case idle
        /// Sends the headers of a request byte by byte.
        case slowHead = "slow headers"
        /// Sends the body of a request byte by byte.
        case slowBody = "slow bodies"
        /// Sends as much of a body as `--max-body-bytes` allows, less the last byte.
        case hoarding = "unfinished 8 MiB bodies"
        /// Connects and sends the beginning of a record.
        case silent = "half a ClientHello"
        /// Greets, and does not go on.
        case halfHandshake = "half a handshake"
        /// Asks, and never reads an answer.
        case slowReader = "answers not read"
        /// Connects and resets, again and again.
        case reset = "connect and reset"
        /// Connects and ends, again and again.
        case close = "connect and close"
        /// Agrees on TLS and leaves, again and again.
        case handshakes = "full handshakes"
        /// Sends what is no TLS.
        case garbage
        /// Sends a TLS record over the largest size.
        case oversized = "oversized records"
        /// Agrees on TLS, sends half a request, and then ends its own side only.
        case halfClosed = "half-closed connections"

        package var description: String { rawValue }

        /// Whether a connection stays; if not, another takes its place.
        package var stays: Bool {
            switch self {
            case .idle, .slowHead, .slowBody, .hoarding, .silent, .halfHandshake, .slowReader: true
            case .reset, .close, .handshakes, .garbage, .oversized, .halfClosed: false
            }
        }
    }

    fileprivate let heldCount = Atomic<Int>(0)
    /// Connections that do what they are for.
    package var held: Int { heldCount.load(ordering: .relaxed) }
    fileprivate let finishedCount = Atomic<Int>(0)
    /// Connections that have done it.
    package var finished: Int { finishedCount.load(ordering: .relaxed) }
    fileprivate let endedCount = Atomic<Int>(0)
    /// Connections that the server has ended although they were to stay.
    package var ended: Int { endedCount.load(ordering: .relaxed) }
    fileprivate let refusedCount = Atomic<Int>(0)
    /// Of these, after the answer 503.
    package var refused: Int { refusedCount.load(ordering: .relaxed) }
    private let isStopped = Atomic<Bool>(false)
    private let end = DispatchGroup()

    /// - Parameter authority: a PEM file.
    package init(_ conduct: Conduct, _ count: Int, port: UInt16, authority: String) throws {
        let context = try ClientContext(authorities: Certificate.all(file: authority))
        DispatchQueue(label: "leasehold.test.crowd").async(group: end) { [self] in
            CrowdLoop(conduct, count, port: port, context, reportingTo: self).run()
        }
    }

    fileprivate var isEnding: Bool { isStopped.load(ordering: .relaxed) }

    /// Closes all connections, and waits until that is done.
    package func stop() async {
        isStopped.store(true, ordering: .relaxed)
        await withCheckedContinuation { continuation in end.notify(queue: .global()) { continuation.resume() } }
    }
}

/// One of a crowd.
private final class CrowdMember {
    enum Phase {
        case connecting
        case greeting
        /// Does what it is for, and stays.
        case held
        /// Waits for the server to end the connection.
        case leaving
    }

    var socket: Int32
    var tls: TLSConnection?
    var phase = Phase.connecting
    var sent = 0
    var received: [UInt8] = []

    init(socket: Int32) { self.socket = socket }

    deinit {
        tls = nil
        Glibc.close(socket)
    }
}

/// What a crowd's thread does.
private final class CrowdLoop {
    /// How many may be on the way to be held at once: as many as one client's patience, and the server's queue, allow.
    private static let startingMax = 128
    /// Each of a large crowd that drips does so every so many seconds.
    private static let dripMilliseconds: Int64 = 4000
    private static let bodyBytes = 8 * 1024 * 1024

    private let conduct: Crowd.Conduct
    private let count: Int
    private let port: UInt16
    private let context: ClientContext
    private let crowd: Crowd
    private let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    private var members: [Int32: CrowdMember] = [:]
    private var starting = 0
    private var dripping: [Int32] = []
    private var nextDrip: Int64 = 0
    private let piece = [UInt8](repeating: 0x78, count: 64 * 1024)
    private let questions = [UInt8](
        String(repeating: "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n", count: 400).utf8)

    init(
        _ conduct: Crowd.Conduct, _ count: Int, port: UInt16, _ context: ClientContext, reportingTo crowd: Crowd
    ) {
        (self.conduct, self.count, self.port, self.context, self.crowd) = (conduct, count, port, context, crowd)
        precondition(epoll >= 0, "epoll_create1: errno \(errno)")
    }

    func run() {
        defer { Glibc.close(epoll) }
        var events = unsafe [epoll_event](repeating: epoll_event(), count: 256)
        while !crowd.isEnding {
            fill()
            let ready = unsafe epoll_wait(epoll, &events, Int32(events.count), 20)
            for index in 0..<max(0, Int(ready)) {
                let event = unsafe events[index]
                guard let member = unsafe members[Int32(truncatingIfNeeded: event.data.u64)] else { continue }
                unsafe proceed(member, event.events)
            }
            drip()
        }
        members = [:]
    }

    /// Brings the crowd to its size, a few at a time.
    private func fill() {
        while members.count < count, starting < Self.startingMax {
            let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
            let member = CrowdMember(socket: socket(AF_INET, kind, 0))
            guard member.socket >= 0 else { return }
            // What a client cannot send lies in its own node's memory for TCP, which here is the server's, too.
            var sendBytes: Int32 = 16 * 1024
            _ = unsafe setsockopt(member.socket, SOL_SOCKET, SO_SNDBUF, &sendBytes, 4)
            if conduct == .slowReader {
                var receiveBytes: Int32 = 4096
                _ = unsafe setsockopt(member.socket, SOL_SOCKET, SO_RCVBUF, &receiveBytes, 4)
            }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            _ = unsafe withUnsafePointer(to: address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe connect(member.socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            members[member.socket] = member
            starting += 1
            watch(member, EPOLLOUT.rawValue, add: true)
        }
    }

    private func watch(_ member: CrowdMember, _ interest: UInt32, add: Bool = false) {
        var event = unsafe epoll_event(
            events: interest | EPOLLRDHUP.rawValue, data: epoll_data_t(u64: UInt64(member.socket)))
        _ = unsafe epoll_ctl(epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, member.socket, &event)
    }

    private func proceed(_ member: CrowdMember, _ events: UInt32) {
        switch member.phase {
        case .connecting:
            guard events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) == 0 else { return remove(member, isDone: false) }
            connected(member)
        case .greeting:
            greet(member)
        case .held:
            if conduct == .hoarding {
                readAnswer(member)
                if members[member.socket] === member, events & EPOLLOUT.rawValue != 0 { hoard(member) }
            } else if events & (EPOLLRDHUP.rawValue | EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 {
                remove(member, isDone: false)
            }
        case .leaving:
            drain(member)
        }
    }

    private func connected(_ member: CrowdMember) {
        switch conduct {
        case .silent:
            sendPlain(member, [0x16, 0x03, 0x01, 0x02])
            hold(member)
        case .halfHandshake:
            sendPlain(member, greeting())
            hold(member)
        case .reset:
            var option = linger(l_onoff: 1, l_linger: 0)
            _ = unsafe setsockopt(
                member.socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
            remove(member, isDone: true)
        case .close:
            remove(member, isDone: true)
        case .garbage:
            sendPlain(member, (0..<600).map { _ in UInt8.random(in: 0...255) })
            leave(member)
        case .oversized:
            // A handshake record of 65,535 bytes; 2^14 are allowed (RFC 8446, section 5.1).
            sendPlain(member, [0x16, 0x03, 0x03, 0xFF, 0xFF] + [UInt8](repeating: 1, count: 600))
            leave(member)
        case .idle, .slowHead, .slowBody, .hoarding, .slowReader, .handshakes, .halfClosed:
            guard let tls = try? TLSConnection(context, serverName: "127.0.0.1", descriptor: member.socket) else {
                return remove(member, isDone: false)
            }
            member.tls = consume tls
            member.phase = .greeting
            greet(member)
        }
    }

    /// A ClientHello. Made aside: a client that sent it itself might find the answer, and finish the handshake.
    private func greeting() -> [UInt8] {
        var ends: [Int32] = [-1, -1]
        let made = unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
        precondition(made == 0, "socketpair: errno \(errno)")
        defer { for end in ends { Glibc.close(end) } }
        var tls = try! TLSConnection(context, serverName: "127.0.0.1", descriptor: ends[0])
        precondition(tls.handshake() == .wantsRead)
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe recv(ends[1], &bytes, bytes.count, Int32(MSG_DONTWAIT))
        precondition(count > 0, "no ClientHello")
        return Array(bytes[..<count])
    }

    private func sendPlain(_ member: CrowdMember, _ bytes: [UInt8]) {
        _ = unsafe send(member.socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    private func greet(_ member: CrowdMember) {
        switch member.tls!.handshake() {
        case .done: greeted(member)
        case .wantsRead:
            watch(member, EPOLLIN.rawValue)
        case .wantsWrite: watch(member, EPOLLOUT.rawValue)
        case .closed, .failed: remove(member, isDone: false)
        }
    }

    private func greeted(_ member: CrowdMember) {
        switch conduct {
        case .idle, .halfHandshake, .silent, .reset, .close, .garbage, .oversized:
            hold(member)
        case .slowHead:
            write(member, [UInt8]("POST /validate HTTP/1.1\r\nHost: h\r\nX-Slow: ".utf8))
            hold(member)
        case .slowBody:
            write(member, [UInt8]("POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: 4000\r\n\r\n{".utf8))
            hold(member)
        case .hoarding:
            let head = "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: \(Self.bodyBytes)\r\n\r\n"
            write(member, [UInt8](head.utf8))
            hold(member)
            hoard(member)
        case .slowReader:
            // Until nothing more is taken: the server's buffer to send is full then.
            for _ in 0..<200 { guard write(member, questions) else { break } }
            hold(member)
        case .handshakes:
            remove(member, isDone: true)
        case .halfClosed:
            write(member, [UInt8]("POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: 4000\r\n\r\n{".utf8))
            shutdown(member.socket, Int32(SHUT_WR))
            leave(member)
        }
    }

    /// - Returns: false: not all was taken.
    @discardableResult
    private func write(_ member: CrowdMember, _ bytes: [UInt8]) -> Bool {
        if case .moved(let count) = unsafe bytes.withUnsafeBytes({ unsafe member.tls!.write($0) }) {
            count == bytes.count
        } else {
            false
        }
    }

    private func hold(_ member: CrowdMember) {
        member.phase = .held
        starting -= 1
        crowd.heldCount.wrappingAdd(1, ordering: .relaxed)
        watch(member, conduct == .hoarding ? EPOLLIN.rawValue | EPOLLOUT.rawValue : 0)
        if conduct == .slowHead || conduct == .slowBody { dripping.append(member.socket) }
    }

    private func leave(_ member: CrowdMember) {
        member.phase = .leaving
        watch(member, EPOLLIN.rawValue)
    }

    /// Takes what comes until the end.
    private func drain(_ member: CrowdMember) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe recv(member.socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 { continue }
            if count < 0, errno == EAGAIN { return }
            return remove(member, isDone: true)
        }
    }

    /// Sends of the body what the server takes, and keeps its last byte.
    private func hoard(_ member: CrowdMember) {
        // A few pieces, so that all of the crowd have their turn.
        for _ in 0..<4 {
            let rest = Self.bodyBytes - 1 - member.sent
            guard rest > 0 else { return watch(member, EPOLLIN.rawValue) }
            let bytes = rest < piece.count ? Array(piece.prefix(rest)) : piece
            guard case .moved(let count) = unsafe bytes.withUnsafeBytes({ unsafe member.tls!.write($0) }) else {
                return
            }
            member.sent += count
        }
    }

    private func readAnswer(_ member: CrowdMember) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            switch unsafe buffer.withUnsafeMutableBytes({ unsafe member.tls!.read(into: $0) }) {
            case .moved(let count): member.received += buffer[..<count]
            case .wantsRead, .wantsWrite: return
            case .closed, .failed:
                if String(decoding: member.received, as: UTF8.self).hasPrefix("HTTP/1.1 503 ") {
                    crowd.refusedCount.wrappingAdd(1, ordering: .relaxed)
                }
                return remove(member, isDone: false)
            }
        }
    }

    private func drip() {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        let now = Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
        guard !dripping.isEmpty, now >= nextDrip else { return }
        // Of all, as many as their turn it is.
        let turns = min(dripping.count, max(1, dripping.count * 20 / Int(Self.dripMilliseconds)))
        for socket in dripping.prefix(turns) {
            if let member = members[socket], member.phase == .held { write(member, [0x78]) }
        }
        dripping = Array(dripping.dropFirst(turns) + dripping.prefix(turns).filter { members[$0] != nil })
        nextDrip = now + 20
    }

    /// - Parameter isDone: whether it did what it was for.
    private func remove(_ member: CrowdMember, isDone: Bool) {
        if member.phase == .held {
            crowd.heldCount.wrappingSubtract(1, ordering: .relaxed)
            crowd.endedCount.wrappingAdd(1, ordering: .relaxed)
        } else {
            starting -= 1
            if isDone { crowd.finishedCount.wrappingAdd(1, ordering: .relaxed) }
        }
        members[member.socket] = nil
    }
}

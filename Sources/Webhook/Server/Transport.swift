internal import CLinux
private import Glibc
internal import TLS

/// A connected socket, with TLS on it or without. Never waits. Confined to one loop.
struct Transport: ~Copyable {
    enum Transfer {
        case moved(Int)
        case wantsRead
        case wantsWrite
        /// The peer sends no more.
        case closed
        /// The connection is of no further use.
        case failed
    }

    // Before the socket, so that it goes first.
    private var tls: TLSConnection?
    private let socket: Descriptor

    /// - Parameter context: for the server's end of a TLS connection; nil for a plain one.
    init(_ socket: consuming Descriptor, _ context: ServerContext?) throws(TLSError) {
        tls = if let context { try TLSConnection(context, descriptor: socket.number) } else { nil }
        self.socket = socket
    }

    var descriptor: Int32 { socket.number }
    var isPlain: Bool { tls == nil }

    /// Goes on with the TLS handshake. Not for a plain socket, which has none.
    mutating func handshake() -> TLSConnection.Progress {
        if tls != nil { tls!.handshake() } else { .done }
    }

    /// Takes received bytes.
    mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        if tls != nil { unsafe Transfer(tls!.read(into: buffer)) } else { unsafe receive(into: buffer) }
    }

    /// Whether received bytes wait in here, for which the socket will not become readable again.
    var hasPending: Bool {
        switch tls {
        case .some(let tls): tls.hasPending
        case nil: false
        }
    }

    /// Sends bytes, possibly fewer than given. After `wantsRead` or `wantsWrite`, call it again with the same bytes and
    /// possibly more after them.
    mutating func write(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        if tls != nil { return unsafe Transfer(tls!.write(bytes)) }
        while true {
            let count = unsafe send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return .moved(count) }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wantsWrite : .failed
        }
    }

    /// Lets what is written from now on wait for ``endOutput()``, to leave in one packet with it.
    mutating func holdBack() {
        if tls != nil { tls!.holdBack() }
    }

    /// Says that no more will be sent (close_notify), as far as that goes without waiting, and closes the way to the
    /// client after what was written. The way from it stays open: see ``discard(into:)``. Not to be called while a write
    /// wants to be continued.
    mutating func endOutput() {
        if tls != nil { _ = tls!.shutdown() }
        _ = Glibc.shutdown(descriptor, Int32(SHUT_WR))
    }

    /// From now on the kernel keeps only a little of what arrives and is not read, however fast it was read before.
    func limitReceiveBuffer() {
        // A failure means that the connection is gone.
        try? socket.set(SOL_SOCKET, SO_RCVBUF, Int32(Limits.receiveBufferBytes), doing: "bound a receive buffer")
    }

    /// Has the close drop what the client has not taken, for which the kernel would keep memory for minutes more.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        // A failure means that there is nothing left to drop.
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// Takes what still arrives, undecrypted, for the sake of taking it.
    func discard(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        unsafe receive(into: buffer)
    }

    private func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        while true {
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .moved(count) }
            if count == 0 { return .closed }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wantsRead : .failed
        }
    }
}

extension Transport.Transfer {
    fileprivate init(_ transfer: TLSConnection.Transfer) {
        self =
            switch transfer {
            case .moved(let count): .moved(count)
            case .wantsRead: .wantsRead
            case .wantsWrite: .wantsWrite
            case .closed: .closed
            case .failed: .failed
            }
    }
}

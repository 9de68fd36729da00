private import COpenSSL
private import Glibc

/// The transport under an `SSL`: one socket, which it does not own.
///
/// In place of OpenSSL's socket BIO, whose write(2) raises SIGPIPE when the peer is gone: here every send(2) has
/// MSG_NOSIGNAL, so no embedding has to ignore that signal for the whole process. And every call has MSG_DONTWAIT, so
/// that no socket left blocking by mistake can hold an event loop. Nor can a peer: what OpenSSL may receive in one call is
/// bounded, as it would go on for as long as bytes arrive that are no data, such as changes of keys.
@safe struct SocketBIO {
    private struct Socket {
        let descriptor: Int32
        var sendFlags: Int32 = 0
        /// How often OpenSSL may still receive in this call of ours.
        var receivesLeft = 0
        /// How many steps OpenSSL may still take for messages that follow the handshake; nil before its end.
        var laterStepsLeft: Int?
    }

    /// A record takes two, when its beginning has come with the one before.
    private static let receivesPerCall = 4

    private let socket: UnsafeMutablePointer<Socket>

    /// Gives `ssl` a transport of its own, which is freed with it.
    static func attach(to ssl: OpaquePointer, descriptor: Int32) throws(TLSError) {
        ErrorQueue.clear()
        guard let method = unsafe method, let bio = unsafe BIO_new(method) else {
            throw ErrorQueue.failure("make a transport")
        }
        let socket = UnsafeMutablePointer<Socket>.allocate(capacity: 1)
        unsafe socket.initialize(to: Socket(descriptor: descriptor))
        unsafe BIO_set_data(bio, socket)
        unsafe BIO_set_init(bio, 1)
        unsafe SSL_set_bio(ssl, bio, bio)
    }

    /// The transport of `ssl`; valid as long as that is.
    init(of ssl: OpaquePointer?) {
        unsafe self.init(SSL_get_rbio(ssl))
    }

    fileprivate init(_ bio: OpaquePointer?) {
        unsafe socket = BIO_get_data(bio)!.assumingMemoryBound(to: Socket.self)
    }

    fileprivate func free() {
        unsafe socket.deallocate()
    }

    // MARK: - What may pass

    /// Begins a call of ours.
    func allowReceives() {
        unsafe socket.pointee.receivesLeft = Self.receivesPerCall
    }

    /// From now on bounds the steps.
    func endHandshake(laterStepsMax: Int) {
        unsafe socket.pointee.laterStepsLeft = laterStepsMax
    }

    /// Counts a step of the handshake.
    func noteStep() {
        guard let left = unsafe socket.pointee.laterStepsLeft else { return }
        unsafe socket.pointee.laterStepsLeft = left - 1
    }

    /// Has every send(2) from now on say that more follows (MSG_MORE): what does not fill a packet stays with the kernel
    /// until the socket's output is shut down, 200 ms at most (tcp(7), TCP_CORK).
    func holdBack() {
        unsafe socket.pointee.sendFlags = Int32(MSG_MORE)
    }

    // MARK: - What OpenSSL calls

    // Made once, read by every thread, never freed: it has to outlive all connections.
    nonisolated(unsafe) private static let method: OpaquePointer? = {
        let kind = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
        guard let method = unsafe BIO_meth_new(kind, "leasehold socket") else { return nil }
        unsafe BIO_meth_set_read_ex(method, receive)
        unsafe BIO_meth_set_write_ex(method, transmit)
        unsafe BIO_meth_set_ctrl(method, control)
        unsafe BIO_meth_set_destroy(method, destroy)
        return unsafe method
    }()

    // BIO_clear_retry_flags(3), a macro.
    fileprivate static let retryFlags = BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY

    fileprivate enum Moved {
        case bytes(Int)
        case end
        /// The same call may succeed later.
        case later
        /// errno says why.
        case failed
    }

    fileprivate func take(into buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Moved {
        if let left = unsafe socket.pointee.laterStepsLeft, left < 0 {
            errno = EPROTO
            return .failed
        }
        // The socket stays readable, so its owner comes back.
        guard unsafe socket.pointee.receivesLeft > 0 else { return .later }
        unsafe socket.pointee.receivesLeft -= 1
        return Self.move { unsafe recv(socket.pointee.descriptor, buffer, size, Int32(MSG_DONTWAIT)) }
    }

    fileprivate func give(_ buffer: UnsafePointer<CChar>?, _ size: Int) -> Moved {
        let flags = unsafe socket.pointee.sendFlags | Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        return Self.move { unsafe Glibc.send(socket.pointee.descriptor, buffer, size, flags) }
    }

    @inline(__always)
    private static func move(_ call: () -> Int) -> Moved {
        while true {
            let count = call()
            if count > 0 { return .bytes(count) }
            if count == 0 { return .end }
            if errno == EINTR { continue }
            return errno == EAGAIN || errno == EWOULDBLOCK ? .later : .failed
        }
    }
}

/// BIO_meth_set_read_ex(3): returns 1 and the count, or 0, then with flags that say whether to try again.
private func receive(
    bio: OpaquePointer?, buffer: UnsafeMutablePointer<CChar>?, size: Int, count: UnsafeMutablePointer<Int>?
) -> Int32 {
    unsafe BIO_clear_flags(bio, SocketBIO.retryFlags)
    unsafe count!.pointee = 0
    switch unsafe SocketBIO(bio).take(into: buffer, size) {
    case .bytes(let received):
        unsafe count!.pointee = received
        return 1
    case .end: unsafe BIO_set_flags(bio, BIO_FLAGS_IN_EOF)
    case .later: unsafe BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
    case .failed: break
    }
    return 0
}

/// BIO_meth_set_write_ex(3): as for reading.
private func transmit(
    bio: OpaquePointer?, buffer: UnsafePointer<CChar>?, size: Int, count: UnsafeMutablePointer<Int>?
) -> Int32 {
    unsafe BIO_clear_flags(bio, SocketBIO.retryFlags)
    unsafe count!.pointee = 0
    switch unsafe SocketBIO(bio).give(buffer, size) {
    case .bytes(let sent):
        unsafe count!.pointee = sent
        return 1
    case .later: unsafe BIO_set_flags(bio, BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
    case .end, .failed: break
    }
    return 0
}

/// BIO_meth_set_destroy(3).
private func destroy(bio: OpaquePointer?) -> Int32 {
    unsafe SocketBIO(bio).free()
    return 1
}

/// BIO_meth_set_ctrl(3): the two questions that libssl asks a transport; 0 is "not supported" for all others.
private func control(bio: OpaquePointer?, command: Int32, number: Int, pointer: UnsafeMutableRawPointer?) -> Int {
    switch command {
    case BIO_CTRL_FLUSH: 1
    case BIO_CTRL_EOF: unsafe BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0
    default: 0
    }
}

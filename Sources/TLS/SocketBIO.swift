private import COpenSSL
private import Glibc

/// The transport under an `SSL`: one socket, which it does not own.
///
/// In place of OpenSSL's socket BIO, whose write(2) raises SIGPIPE when the peer is gone: here every send(2) has
/// MSG_NOSIGNAL, so no embedding has to ignore that signal for the whole process. And every call has MSG_DONTWAIT, so
/// that no socket left blocking by mistake can hold an event loop.
enum SocketBIO {
    /// - Returns: A BIO with one reference, for `SSL_set_bio`.
    static func make(descriptor: Int32) throws(TLSError) -> OpaquePointer {
        ErrorQueue.clear()
        guard let method = unsafe method, let bio = unsafe BIO_new(method) else {
            throw ErrorQueue.failure("make a transport")
        }
        unsafe set(descriptor, 0, of: bio)
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }

    /// Has every send(2) from now on say that more follows (MSG_MORE): what does not fill a packet stays with the kernel
    /// until the socket's output is shut down, 200 ms at most (tcp(7), TCP_CORK).
    static func holdBack(_ bio: OpaquePointer) {
        unsafe set(descriptor(of: bio), Int32(MSG_MORE), of: bio)
    }

    /// Both travel in the pointer itself, the descriptor one higher so that 0 is not nil.
    private static func set(_ descriptor: Int32, _ sendFlags: Int32, of bio: OpaquePointer) {
        unsafe BIO_set_data(bio, UnsafeMutableRawPointer(bitPattern: Int(sendFlags) << 32 | Int(descriptor) + 1))
    }

    // Made once, read by every thread, never freed: it has to outlive all connections.
    nonisolated(unsafe) private static let method: OpaquePointer? = {
        let kind = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
        guard let method = unsafe BIO_meth_new(kind, "leasehold socket") else { return nil }
        unsafe BIO_meth_set_read_ex(method, receive)
        unsafe BIO_meth_set_write_ex(method, transmit)
        unsafe BIO_meth_set_ctrl(method, control)
        return unsafe method
    }()

    // BIO_clear_retry_flags(3), a macro.
    fileprivate static let retryFlags = BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY

    fileprivate static func descriptor(of bio: OpaquePointer?) -> Int32 {
        unsafe Int32(Int(bitPattern: BIO_get_data(bio)) & 0xFFFF_FFFF) - 1
    }

    fileprivate static func sendFlags(of bio: OpaquePointer?) -> Int32 {
        unsafe Int32(Int(bitPattern: BIO_get_data(bio)) >> 32)
    }
}

/// BIO_meth_set_read_ex(3): returns 1 and the count, or 0, then with flags that say whether to try again.
private func receive(
    bio: OpaquePointer?, buffer: UnsafeMutablePointer<CChar>?, size: Int, count: UnsafeMutablePointer<Int>?
) -> Int32 {
    unsafe BIO_clear_flags(bio, SocketBIO.retryFlags)
    while true {
        let received = unsafe recv(SocketBIO.descriptor(of: bio), buffer, size, Int32(MSG_DONTWAIT))
        if received > 0 {
            unsafe count!.pointee = received
            return 1
        }
        if received == 0 {
            unsafe BIO_set_flags(bio, BIO_FLAGS_IN_EOF)
        } else if errno == EINTR {
            continue
        } else if errno == EAGAIN || errno == EWOULDBLOCK {
            unsafe BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
        }
        unsafe count!.pointee = 0
        return 0
    }
}

/// BIO_meth_set_write_ex(3): as for reading.
private func transmit(
    bio: OpaquePointer?, buffer: UnsafePointer<CChar>?, size: Int, count: UnsafeMutablePointer<Int>?
) -> Int32 {
    unsafe BIO_clear_flags(bio, SocketBIO.retryFlags)
    while true {
        let flags = unsafe SocketBIO.sendFlags(of: bio) | Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        let sent = unsafe send(SocketBIO.descriptor(of: bio), buffer, size, flags)
        if sent >= 0 {
            unsafe count!.pointee = sent
            return 1
        }
        if errno == EINTR { continue }
        if errno == EAGAIN || errno == EWOULDBLOCK {
            unsafe BIO_set_flags(bio, BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
        }
        unsafe count!.pointee = 0
        return 0
    }
}

/// BIO_meth_set_ctrl(3): the two questions that libssl asks a transport; 0 is "not supported" for all others.
private func control(bio: OpaquePointer?, command: Int32, number: Int, pointer: UnsafeMutableRawPointer?) -> Int {
    switch command {
    case BIO_CTRL_FLUSH: 1
    case BIO_CTRL_EOF: unsafe BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0
    default: 0
    }
}

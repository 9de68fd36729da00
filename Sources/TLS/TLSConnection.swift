private import COpenSSL
private import Glibc

/// One TLS connection over a socket, which it does not own: close the socket after this is gone.
///
/// Never waits: a call that cannot go on says what the socket has to become ready for. Confined to one thread at a time.
/// Once a call has said `failed`, or ``handshake()`` has said `closed`, only `deinit` is left to do.
@safe package struct TLSConnection: ~Copyable {
    package enum Progress: Equatable {
        case done
        /// Call again once the socket is readable.
        case wantsRead
        /// Call again once the socket is writable.
        case wantsWrite
        /// The peer is gone, without an error on its part.
        case closed
        case failed(TLSError)
    }

    package enum Transfer: Equatable {
        /// So many bytes, never 0 unless the buffer was empty.
        case moved(Int)
        /// Call again once the socket is readable.
        case wantsRead
        /// Call again once the socket is writable.
        case wantsWrite
        /// The peer has said that it sends no more (close_notify).
        case closed
        case failed(TLSError)
    }

    /// How many steps of OpenSSL's handshake a peer may cause after the handshake, by new keys (TLS 1.3, three steps each),
    /// tickets, or wishes to agree anew, which are declined. Beyond, the connection fails: each costs as much as some
    /// requests, and the clients that there are need none, or one.
    private static let laterStepsMax = 300

    private let ssl: OpaquePointer
    // OpenSSL forbids SSL_shutdown after a fatal error (SSL_get_error(3)).
    private var isBroken = false
    private var hasSaidGoodbye = false

    /// The server's end of `descriptor`, a connected stream socket.
    package init(_ context: ServerContext, descriptor: Int32) throws(TLSError) {
        try unsafe self.init(owning: context.handle.makeConnection(), descriptor: descriptor)
        unsafe SSL_set_accept_state(ssl)
    }

    /// The client's end of `descriptor`, a connected stream socket.
    ///
    /// - Parameter serverName: The host name or IP address that the server's certificate must hold.
    package init(_ context: ClientContext, serverName: String, descriptor: Int32) throws(TLSError) {
        try unsafe self.init(owning: context.makeConnection(serverName: serverName), descriptor: descriptor)
        unsafe SSL_set_connect_state(ssl)
    }

    private init(owning ssl: OpaquePointer, descriptor: Int32) throws(TLSError) {
        do throws(TLSError) {
            try unsafe SocketBIO.attach(to: ssl, descriptor: descriptor)
        } catch {
            unsafe SSL_free(ssl)
            throw error
        }
        unsafe self.ssl = ssl
    }

    deinit { unsafe SSL_free(ssl) }

    /// Goes on with the handshake; `done` once data may flow. A peer that connects and leaves has `closed`.
    ///
    /// After `done`, read before waiting for the socket: the peer's first bytes may have come in with the handshake.
    package mutating func handshake() -> Progress {
        begin()
        let result = unsafe SSL_do_handshake(ssl)
        if result == 1 {
            unsafe SocketBIO(of: ssl).endHandshake(laterStepsMax: Self.laterStepsMax)
            return .done
        }
        return switch outcome(result) {
        case .wantsRead: .wantsRead
        case .wantsWrite: .wantsWrite
        case .closed, .failed(.truncated): .closed
        case .failed(let error): .failed(error)
        }
    }

    /// Takes received bytes, at most one record of 16 KiB.
    ///
    /// Read until `wantsRead`, or until ``hasPending`` is false (which saves a system call if the poll is level-triggered):
    /// bytes that wait in here do not make the socket readable again.
    package mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        if unsafe buffer.isEmpty { return .moved(0) }
        begin()
        var count = 0
        let result = unsafe SSL_read_ex(ssl, buffer.baseAddress, buffer.count, &count)
        return result == 1 ? .moved(count) : transfer(result)
    }

    /// Sends bytes, possibly fewer than given.
    ///
    /// After `wantsRead` or `wantsWrite` call it again with the same bytes, at the same place in memory or another, and
    /// possibly more after them: OpenSSL has begun a record with them.
    package mutating func write(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        if unsafe bytes.isEmpty { return .moved(0) }
        begin()
        var count = 0
        let result = unsafe SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &count)
        return result == 1 ? .moved(count) : transfer(result)
    }

    /// Lets what is sent from now on wait for the end of the socket's output, to leave in one packet with it. The caller
    /// brings that end about by shutdown(2), after ``shutdown()``.
    package mutating func holdBack() {
        unsafe SocketBIO(of: ssl).holdBack()
    }

    /// Says that no more will be sent (close_notify); `done` once that is with the operating system.
    ///
    /// It does not wait for the peer's own close_notify, as TLS allows (RFC 8446, section 6.1). Not to be called while a
    /// write wants to be continued.
    package mutating func shutdown() -> Progress {
        if hasSaidGoodbye { return .done }
        // Nothing to end: before the handshake is complete OpenSSL refuses, after a failure it forbids the call.
        if unsafe isBroken || SSL_is_init_finished(ssl) == 0 { return .closed }
        begin()
        let result = unsafe SSL_shutdown(ssl)
        if result >= 0 {
            hasSaidGoodbye = true
            return .done
        }
        return switch outcome(result) {
        case .wantsRead: .wantsRead
        case .wantsWrite: .wantsWrite
        case .closed: .closed
        case .failed(let error): .failed(error)
        }
    }

    /// What each call begins with.
    private func begin() {
        ErrorQueue.clear()
        unsafe SocketBIO(of: ssl).allowReceives()
    }

    /// Whether received bytes wait in here, decrypted or not, for which the socket will not become readable again.
    ///
    /// When true, a read may still say `wantsRead`: a record may have arrived in part, or hold no data.
    package var hasPending: Bool {
        unsafe SSL_has_pending(ssl) == 1
    }

    /// The version agreed on, as in "TLSv1.3".
    package var version: String {
        unsafe String(cString: SSL_get_version(ssl))
    }

    /// The cipher suite agreed on, by OpenSSL's name.
    package var cipher: String {
        guard let cipher = unsafe SSL_get_current_cipher(ssl) else { return "none" }
        return unsafe String(cString: SSL_CIPHER_get_name(cipher))
    }

    /// The application protocol agreed on (ALPN), or nil.
    package var applicationProtocol: String? {
        var bytes: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(ssl, &bytes, &count)
        guard count > 0 else { return nil }
        return unsafe String(decoding: UnsafeBufferPointer(start: bytes, count: Int(count)), as: UTF8.self)
    }

    /// The certificate that the peer has proved to own, or nil if it was not asked for one.
    package var peerCertificate: Certificate? {
        guard let raw = unsafe SSL_get1_peer_certificate(ssl) else { return nil }
        return unsafe Certificate(owning: raw)
    }

    /// Why a call did not succeed.
    private enum Outcome {
        case wantsRead
        case wantsWrite
        case closed
        case failed(TLSError)
    }

    private mutating func transfer(_ result: Int32) -> Transfer {
        switch outcome(result) {
        case .wantsRead: .wantsRead
        case .wantsWrite: .wantsWrite
        case .closed: .closed
        case .failed(let error): .failed(error)
        }
    }

    private mutating func outcome(_ result: Int32) -> Outcome {
        // First of all, as any call may change it.
        let systemError = errno
        switch unsafe SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ:
            return .wantsRead
        case SSL_ERROR_WANT_WRITE:
            return .wantsWrite
        case SSL_ERROR_ZERO_RETURN:
            return .closed
        case SSL_ERROR_SYSCALL:
            isBroken = true
            ErrorQueue.clear()
            return .failed(systemError == 0 ? .truncated : .disconnected(code: systemError))
        default:
            isBroken = true
            // An end of stream without close_notify. SSL_OP_IGNORE_UNEXPECTED_EOF would make it look like a proper end,
            // which an attacker on the network can forge, so it stays off and the caller judges.
            if ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING {
                ErrorQueue.clear()
                return .failed(.truncated)
            }
            return .failed(.refused(reason: reason()))
        }
    }

    private func reason() -> String {
        let reasons = ErrorQueue.drain()
        let verification = unsafe SSL_get_verify_result(ssl)
        guard verification != Int(X509_V_OK) else { return reasons }
        return unsafe "\(reasons) (\(String(cString: X509_verify_cert_error_string(verification))))"
    }
}

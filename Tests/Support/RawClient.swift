private import COpenSSL

/// A client of OpenSSL's own, for what the project's would never do. It checks no certificate.
@safe package final class RawClient {
    private let context: OpaquePointer
    private let ssl: OpaquePointer

    /// What no server of ours may agree on.
    package static let versionsBefore12 = TLS1_VERSION...TLS1_1_VERSION
    package static let versions = TLS1_VERSION...TLS1_3_VERSION

    /// - Parameters:
    ///   - descriptor: A connected socket, which stays the caller's.
    ///   - versions: As OpenSSL numbers them. Old ones need security level 0, which this client therefore has.
    ///   - protocols: To offer by ALPN.
    ///   - session: Of an earlier connection, to resume.
    package init(
        descriptor: Int32, versions: ClosedRange<Int32> = RawClient.versions,
        ciphers: String = "ALL:@SECLEVEL=0", protocols: [String] = [], session: Session? = nil
    ) {
        unsafe context = SSL_CTX_new(TLS_client_method())!
        unsafe SSL_CTX_set_security_level(context, 0)
        unsafe SSL_CTX_set_cipher_list(context, ciphers)
        _ = unsafe shim_SSL_CTX_set_min_proto_version(context, versions.lowerBound)
        _ = unsafe shim_SSL_CTX_set_max_proto_version(context, versions.upperBound)
        let offers = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        unsafe SSL_CTX_set_alpn_protos(context, offers, UInt32(offers.count))
        unsafe ssl = SSL_new(context)!
        unsafe SSL_set_fd(ssl, descriptor)
        if let session { unsafe SSL_set_session(ssl, session.raw) }
        unsafe SSL_set_connect_state(ssl)
    }

    deinit {
        // Without this OpenSSL would hold the connection for broken off and never resume its session.
        unsafe SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN)
        unsafe SSL_free(ssl)
        unsafe SSL_CTX_free(context)
    }

    @safe package final class Session {
        fileprivate let raw: OpaquePointer
        fileprivate init(_ raw: OpaquePointer) { unsafe self.raw = raw }
        deinit { unsafe SSL_SESSION_free(raw) }
    }

    package enum Result: Equatable {
        case done
        case waits
        case failed(String)
    }

    package func handshake() -> Result {
        ERR_clear_error()
        return result(unsafe SSL_do_handshake(ssl))
    }

    /// Asks for a new handshake on this connection (TLS 1.2); ``handshake()`` then carries it out.
    package func beginRenegotiation() -> Bool {
        unsafe SSL_renegotiate(ssl) == 1
    }

    /// Changes its keys (TLS 1.3), which costs the server as much.
    package func updateKeys() -> Result {
        ERR_clear_error()
        guard unsafe SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 else { return .failed("no key update") }
        return handshake()
    }

    package func read() -> Result {
        ERR_clear_error()
        var byte: UInt8 = 0
        return result(unsafe SSL_read(ssl, &byte, 1))
    }

    package func write(_ text: String) -> Result {
        ERR_clear_error()
        return result(unsafe SSL_write(ssl, text, Int32(text.utf8.count)))
    }

    package var session: Session? {
        unsafe SSL_get1_session(ssl).map { unsafe Session($0) }
    }

    package var hasResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

    private func result(_ code: Int32) -> Result {
        if code > 0 { return .done }
        let error = unsafe SSL_get_error(ssl, code)
        if error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE { return .waits }
        let reason = unsafe ERR_reason_error_string(ERR_peek_error())
        return .failed(unsafe reason.map { unsafe String(cString: $0) } ?? "error \(error)")
    }
}

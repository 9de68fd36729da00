private import COpenSSL

/// One `SSL_CTX` with the settings that servers and clients share. Not changed once its owner has been made.
///
/// Each `SSL` made from it holds its own reference, so connections outlive the context that they came from.
@safe final class ContextHandle: @unchecked Sendable {
    // OpenSSL allows any number of threads to make connections from one SSL_CTX; it is only written while being set up,
    // before another thread can see it.
    private let raw: OpaquePointer

    // Forward secrecy and authenticated encryption only. AES-128 first: with AES instructions it is the cheapest.
    private static let ciphers12 = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")
    private static let ciphers13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    private static let groups = "X25519:P-256:P-384"

    init(server: Bool, identity: Identity?) throws(TLSError) {
        ErrorQueue.clear()
        guard let raw = unsafe SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()) else {
            throw ErrorQueue.failure("make a TLS context")
        }
        unsafe self.raw = raw

        // The system's openssl.cnf may set other values, so each one is set, whatever the library's own default.
        unsafe SSL_CTX_set_security_level(raw, 2)
        let complete =
            unsafe shim_SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) == 1
            && shim_SSL_CTX_set_max_proto_version(raw, TLS1_3_VERSION) == 1
            && SSL_CTX_set_cipher_list(raw, Self.ciphers12) == 1
            && SSL_CTX_set_ciphersuites(raw, Self.ciphers13) == 1
            && shim_SSL_CTX_set1_groups_list(raw, Self.groups) == 1
        guard complete else { throw ErrorQueue.failure("choose TLS versions, ciphers and groups") }

        // No session is kept or resumed: a connection lives long here, tickets would need keys that are shared and
        // changed, and the cache is a lock that all connections take.
        _ = unsafe SSL_CTX_set_options(
            raw, shim_SSL_OP_NO_COMPRESSION | shim_SSL_OP_NO_RENEGOTIATION | shim_SSL_OP_NO_TICKET)
        _ = unsafe shim_SSL_CTX_set_session_cache_mode(raw, Int(SSL_SESS_CACHE_OFF))

        // AUTO_RETRY stays on, as it must with read-ahead (SSL_CTX_set_read_ahead(3)): "wants read" then means that no
        // whole record is left in the buffer.
        _ = unsafe shim_SSL_CTX_set_mode(
            raw,
            Int(SSL_MODE_ENABLE_PARTIAL_WRITE) | Int(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER)
                | Int(SSL_MODE_RELEASE_BUFFERS) | Int(SSL_MODE_AUTO_RETRY))
        // One recv(2) for a record in place of two, for its header and its body: 3 to 7 % less CPU time for requests of
        // 1.5 to 500 KB. Room for several records (SSL_CTX_set_default_read_buffer_len) gained nothing that could be
        // told from noise, nor did keeping the buffers.
        _ = unsafe shim_SSL_CTX_set_read_ahead(raw, 1)

        unsafe SSL_CTX_set_info_callback(raw, noteState)

        if let identity { try use(identity) }
    }

    deinit { unsafe SSL_CTX_free(raw) }

    /// Makes one `SSL`, for its owner to free. Any thread may call it.
    func makeConnection() throws(TLSError) -> OpaquePointer {
        ErrorQueue.clear()
        guard let ssl = unsafe SSL_new(raw) else { throw ErrorQueue.failure("make a TLS connection") }
        return unsafe ssl
    }

    /// Lends OpenSSL's `SSL_CTX`, which stays valid for the call. For setting it up only.
    func withRaw<Result>(_ body: (OpaquePointer) -> Result) -> Result {
        withExtendedLifetime(self) { unsafe body(raw) }
    }

    /// Trusts these authorities, and no others, to sign the peer's certificate.
    ///
    /// An intermediate authority is enough (as in Go's programs): what is listed is trusted, its issuer need not be.
    func trust(_ authorities: [Certificate]) throws(TLSError) {
        let store = unsafe SSL_CTX_get_cert_store(raw)
        guard !authorities.isEmpty else {
            throw TLSError.invalid("the list of trusted authorities", problem: "is empty")
        }
        for authority in authorities {
            let added = unsafe authority.withRaw { unsafe X509_STORE_add_cert(store, $0) == 1 }
            guard added else { throw ErrorQueue.failure("trust \(authority.subject)") }
        }
        guard unsafe X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN)) == 1 else {
            throw ErrorQueue.failure("trust intermediate authorities")
        }
    }

    private func use(_ identity: Identity) throws(TLSError) {
        let leafUsed = unsafe identity.certificate.withRaw { unsafe SSL_CTX_use_certificate(raw, $0) == 1 }
        guard leafUsed else { throw refusal(of: identity.certificate) }
        for certificate in identity.chain.dropFirst() {
            let added = unsafe certificate.withRaw { unsafe shim_SSL_CTX_add1_chain_cert(raw, $0) == 1 }
            guard added else { throw refusal(of: certificate) }
        }
        let keyUsed = unsafe identity.key.withRaw { unsafe SSL_CTX_use_PrivateKey(raw, $0) == 1 }
        guard keyUsed else { throw ErrorQueue.failure("use the private key of \(identity.certificate.subject)") }
    }

    // Here OpenSSL applies the security level: an RSA key of 1024 bits or a SHA-1 signature ends up here.
    private func refusal(of certificate: Certificate) -> TLSError {
        .invalid("the certificate \(certificate.subject)", problem: "cannot be used: \(ErrorQueue.drain())")
    }
}

/// SSL_CTX_set_info_callback(3): called for each step of a handshake, and of what follows it.
private func noteState(ssl: OpaquePointer?, place: Int32, result: Int32) {
    if place & SSL_CB_LOOP != 0 { unsafe SocketBIO(of: ssl).noteStep() }
}

private import COpenSSL

/// What a TLS server offers: its identity, TLS 1.2 and 1.3, HTTP/1.1, and whether clients must prove themselves.
///
/// Immutable; any thread may make connections from it. Connections keep what they need of it.
package final class ServerContext: Sendable {
    let handle: ContextHandle

    /// The certificate that clients see.
    package let certificate: Certificate

    /// - Parameter clientAuthorities: When given, a handshake fails unless the client has a certificate, valid now and
    ///   usable for clients, that one of these signed.
    package init(identity: Identity, clientAuthorities: [Certificate]? = nil) throws(TLSError) {
        handle = try ContextHandle(server: true, identity: identity)
        certificate = identity.certificate
        unsafe handle.withRaw { raw in
            // Our order of ciphers counts, but a client that wants ChaCha20 has no AES instructions and gets it.
            _ = unsafe SSL_CTX_set_options(
                raw, shim_SSL_OP_CIPHER_SERVER_PREFERENCE | shim_SSL_OP_PRIORITIZE_CHACHA)
            _ = unsafe SSL_CTX_set_num_tickets(raw, 0)
            unsafe SSL_CTX_set_alpn_select_cb(raw, selectProtocol, nil)
        }
        if let clientAuthorities { try require(clientAuthorities) }
    }

    private func require(_ clientAuthorities: [Certificate]) throws(TLSError) {
        try handle.trust(clientAuthorities)
        // The names of the authorities go to the client, which chooses its certificate by them.
        for authority in clientAuthorities {
            let named = unsafe handle.withRaw { raw in
                unsafe authority.withRaw { unsafe SSL_CTX_add_client_CA(raw, $0) == 1 }
            }
            guard named else { throw ErrorQueue.failure("name \(authority.subject) to clients") }
        }
        unsafe handle.withRaw { raw in
            unsafe SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        }
    }
}

/// ALPN (RFC 7301): takes http/1.1 if the client offers it, and goes on without ALPN if not.
///
/// Kubernetes' API server offers h2 and http/1.1. `selected` may point into `offered` (SSL_CTX_set_alpn_select_cb(3)).
private func selectProtocol(
    ssl: OpaquePointer?, selected: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    selectedCount: UnsafeMutablePointer<UInt8>?, offered: UnsafePointer<UInt8>?, offeredCount: UInt32,
    context: UnsafeMutableRawPointer?
) -> Int32 {
    // Each name follows its length; OpenSSL has checked that the lengths add up (RFC 7301, section 3.1).
    let offers = unsafe UnsafeBufferPointer(start: offered, count: Int(offeredCount))
    var start = 0
    while start < offers.count {
        let end = unsafe start + 1 + Int(offers[start])
        guard end <= offers.count else { break }
        let name = unsafe offers[(start + 1)..<end]
        if unsafe name.elementsEqual("http/1.1".utf8) {
            unsafe selected!.pointee = offers.baseAddress! + start + 1
            unsafe selectedCount!.pointee = UInt8(name.count)
            return SSL_TLSEXT_ERR_OK
        }
        start = end
    }
    return SSL_TLSEXT_ERR_NOACK
}

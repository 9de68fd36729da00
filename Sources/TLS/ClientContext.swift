private import COpenSSL

/// What a TLS client trusts and, for mutual TLS, what it proves itself with.
///
/// Immutable; any thread may make connections from it. Connections keep what they need of it.
package final class ClientContext: Sendable {
    let handle: ContextHandle

    /// - Parameters:
    ///   - authorities: Those that may have signed the server's certificate. The system's own are not trusted.
    ///   - identity: What to show to a server that asks.
    package init(authorities: [Certificate], identity: Identity? = nil) throws(TLSError) {
        handle = try ContextHandle(server: false, identity: identity)
        try handle.trust(authorities)
        unsafe handle.withRaw { unsafe SSL_CTX_set_verify($0, SSL_VERIFY_PEER, nil) }
    }

    /// Makes an `SSL` that will only accept a certificate for `serverName`, a host name or an IP address.
    func makeConnection(serverName: String) throws(TLSError) -> OpaquePointer {
        // An empty name would switch the check off, and one with a NUL would be cut there.
        guard !serverName.isEmpty, !serverName.utf8.contains(0) else {
            throw TLSError.invalid("the server name \"\(serverName)\"", problem: "is no host name or address")
        }
        let ssl = try unsafe handle.makeConnection()
        let parameters = unsafe SSL_get0_param(ssl)
        // The common name never counts as a host name (RFC 6125, section 6.4.4).
        unsafe X509_VERIFY_PARAM_set_hostflags(
            parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS) | UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
        let complete =
            if SubjectName.isAddress(serverName) {
                // No server name indication for addresses (RFC 6066, section 3).
                unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, serverName) == 1
            } else {
                unsafe X509_VERIFY_PARAM_set1_host(parameters, serverName, 0) == 1
                    && shim_SSL_set_tlsext_host_name(ssl, serverName) == 1
            }
        guard complete else {
            unsafe SSL_free(ssl)
            throw TLSError.invalid("the server name \"\(serverName)\"", problem: "is refused: \(ErrorQueue.drain())")
        }
        return unsafe ssl
    }
}

private import COpenSSL

/// Which OpenSSL runs, asked of the library itself: what the headers said at build time may be older
/// (OpenSSL_version(3)). Any thread may call it.
package func openSSLVersion() -> String {
    unsafe String(cString: OpenSSL_version(OPENSSL_VERSION))
}

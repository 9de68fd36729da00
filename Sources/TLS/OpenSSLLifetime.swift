private import COpenSSL

/// Keeps OpenSSL whole until the process is gone; to be called before anything else of OpenSSL or libcurl.
///
/// Otherwise exit(3) frees OpenSSL's locks and tables while other threads still serve and ask, and a process that ends in
/// good order crashes now and then (OPENSSL_init_crypto(3)).
package func keepOpenSSLUntilTheEnd() {
    _ = OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
}

private import COpenSSL

/// What one end of a connection proves itself with: a certificate, the ones that lead to its authority, and its key.
package struct Identity: Sendable {
    /// The leaf first, then the intermediates in order. Never empty.
    package let chain: [Certificate]
    package let key: PrivateKey

    package var certificate: Certificate { chain[0] }

    /// - Throws: `TLSError.invalid` when the key does not belong to the first certificate.
    package init(chain: [Certificate], key: PrivateKey, source: String = "the private key") throws(TLSError) {
        guard let leaf = chain.first else { throw TLSError.invalid("the certificate chain", problem: "is empty") }
        guard leaf.matches(key) else {
            throw TLSError.invalid(
                source, problem: "does not belong to the first certificate of the chain (\(leaf.subject))")
        }
        self.chain = chain
        self.key = key
    }

    /// Reads a PEM file with the leaf and its intermediates and a PEM file with the key; they may be the same file.
    package init(chainFile: String, keyFile: String) throws(TLSError) {
        try self.init(
            chain: Certificate.all(file: chainFile), key: PrivateKey(file: keyFile),
            source: "the private key in \(keyFile)")
    }
}

private import COpenSSL

/// A private key. Never printed: neither its description nor an error about it shows any of it.
@safe package final class PrivateKey: @unchecked Sendable {
    // OpenSSL counts references atomically, and nothing here changes a key once it is made.
    private let raw: OpaquePointer

    private init(owning raw: OpaquePointer) {
        unsafe self.raw = raw
    }

    deinit { unsafe EVP_PKEY_free(raw) }

    /// Makes a new ECDSA key on the curve P-256.
    package static func generate() throws(TLSError) -> PrivateKey {
        ErrorQueue.clear()
        guard let raw = unsafe shim_EVP_EC_gen("P-256") else { throw ErrorQueue.failure("make a P-256 key") }
        return unsafe PrivateKey(owning: raw)
    }

    /// Reads the first private key of a PEM text; other blocks, such as certificates, are skipped.
    ///
    /// - Parameter source: What errors call it.
    package convenience init(pem: Span<UInt8>, source: String = "the private key") throws(TLSError) {
        let raw = try unsafe PEM.reading(pem) { (bio) throws(TLSError) -> OpaquePointer in
            // Without a callback OpenSSL would ask for a pass phrase on the terminal.
            if let raw = unsafe PEM_read_bio_PrivateKey(bio, nil, { _, _, _, _ in -1 }, nil) { return unsafe raw }
            let code = ERR_peek_last_error()
            let reason = ErrorQueue.drain()
            let problem =
                switch (ERR_GET_LIB(code), ERR_GET_REASON(code)) {
                // OpenSSL 3 says "unsupported" when no block of the text is of a kind that it knows as a key.
                case (ERR_LIB_OSSL_DECODER, shim_ERR_R_UNSUPPORTED): "holds no private key in PEM"
                case (ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ): "is encrypted; store it without a pass phrase"
                default: "cannot be read as a private key: \(reason)"
                }
            throw TLSError.invalid(source, problem: problem)
        }
        unsafe self.init(owning: raw)
    }

    /// Reads the first private key of a PEM file of at most 1 MiB.
    package convenience init(file path: String) throws(TLSError) {
        let key = try SmallFile.withContents(of: path) { (bytes) throws(TLSError) -> PrivateKey in
            try PrivateKey(pem: bytes, source: "the private key in \(path)")
        }
        unsafe EVP_PKEY_up_ref(key.raw)
        unsafe self.init(owning: key.raw)
    }

    /// Lends the key as PEM (PKCS #8, not encrypted) to `body`, then wipes it from memory.
    package func withPEM<Result>(_ body: (Span<UInt8>) throws(TLSError) -> Result) throws(TLSError) -> Result {
        try unsafe PEM.writing(
            "a private key",
            { bio in unsafe withRaw { unsafe PEM_write_bio_PKCS8PrivateKey(bio, $0, nil, nil, 0, nil, nil) } }, body)
    }

    /// Writes the key to a PEM file that only this user can read (mode 0600), replacing it in one step.
    package func write(to path: String) throws(TLSError) {
        try withPEM { (bytes) throws(TLSError) in try SmallFile.replace(path, with: bytes, mode: 0o600) }
    }

    /// Signs `bytes`: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2), which JSON web tokens call RS256.
    ///
    /// - Throws: ``TLSError/invalid(_:problem:)`` when this is no RSA key.
    package func rsaSignature(of bytes: Span<UInt8>) throws(TLSError) -> [UInt8] {
        guard unsafe withRaw({ unsafe EVP_PKEY_get_base_id($0) }) == EVP_PKEY_RSA else {
            throw TLSError.invalid("the private key", problem: "is of another kind than RSA")
        }
        ErrorQueue.clear()
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        let started = unsafe withRaw { unsafe EVP_DigestSignInit(context, nil, EVP_sha256(), nil, $0) }
        var signature = [UInt8](repeating: 0, count: Int(unsafe withRaw { unsafe EVP_PKEY_get_size($0) }))
        var count = signature.count
        let signed = unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe EVP_DigestSign(context, &signature, &count, bytes.baseAddress, bytes.count)
        }
        guard started == 1, signed == 1 else { throw ErrorQueue.failure("sign with an RSA key") }
        return Array(signature.prefix(count))
    }

    /// Lends OpenSSL's `EVP_PKEY`, which stays valid for the call.
    func withRaw<Result>(_ body: (OpaquePointer) -> Result) -> Result {
        withExtendedLifetime(self) { unsafe body(raw) }
    }
}

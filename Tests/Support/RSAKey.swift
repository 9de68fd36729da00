private import COpenSSL

/// An RSA key as OpenSSL makes it, to check signatures with.
@safe package final class RSAKey: @unchecked Sendable {
    // Nothing changes a key once it is made.
    private let raw: OpaquePointer

    /// Made once; making one takes a while.
    package static let one = RSAKey()

    private init() {
        let context = unsafe EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        let isMade =
            unsafe EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048) == 1
            && EVP_PKEY_keygen(context, &key) == 1
        precondition(isMade, "OpenSSL makes no RSA key")
        unsafe raw = key!
    }

    deinit { unsafe EVP_PKEY_free(raw) }

    /// The private key, PKCS #8.
    package var pem: String {
        let bio = unsafe BIO_new(BIO_s_mem())
        defer { unsafe BIO_free(bio) }
        let written = unsafe PEM_write_bio_PKCS8PrivateKey(bio, raw, nil, nil, 0, nil, nil)
        precondition(written == 1, "OpenSSL writes no key")
        var start: UnsafeMutablePointer<CChar>?
        let count = unsafe shim_BIO_get_mem_data(bio, &start)
        return unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }

    /// Whether `signature` is one of `bytes` by this key, by RSASSA-PKCS1-v1_5 with SHA-256.
    package func verifies(_ signature: [UInt8], of bytes: [UInt8]) -> Bool {
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        return unsafe EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, raw) == 1
            && EVP_DigestVerify(context, signature, signature.count, bytes, bytes.count) == 1
    }
}

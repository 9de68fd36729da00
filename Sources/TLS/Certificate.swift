private import COpenSSL
private import Glibc

/// An X.509 certificate.
@safe package final class Certificate: @unchecked Sendable {
    // OpenSSL counts references atomically and locks what it works out late (X509_check_purpose); nothing else changes.
    private let raw: OpaquePointer

    /// - Parameter raw: An `X509` with a reference that passes to this object.
    init(owning raw: OpaquePointer) {
        unsafe self.raw = raw
    }

    deinit { unsafe X509_free(raw) }

    /// Reads all certificates of a PEM text, in their order; other blocks, such as keys, are skipped.
    ///
    /// - Parameter source: What errors call it.
    /// - Returns: At least one certificate.
    package static func all(
        pem: Span<UInt8>, source: String = "the certificate chain"
    ) throws(TLSError) -> [Certificate] {
        let certificates = try unsafe PEM.reading(pem) { (bio) throws(TLSError) -> [Certificate] in
            var certificates: [Certificate] = []
            while let raw = unsafe PEM_read_bio_X509(bio, nil, { _, _, _, _ in -1 }, nil) {
                unsafe certificates.append(Certificate(owning: raw))
            }
            // The text ends when no further block begins. Anything else is a damaged block, and no reason to go on
            // with the ones before it.
            let code = ERR_peek_last_error()
            let reason = ErrorQueue.drain()
            guard ERR_GET_LIB(code) == ERR_LIB_PEM, ERR_GET_REASON(code) == PEM_R_NO_START_LINE else {
                throw TLSError.invalid(
                    source, problem: "has a damaged certificate after \(certificates.count) good ones: \(reason)")
            }
            return certificates
        }
        guard !certificates.isEmpty else {
            throw TLSError.invalid(source, problem: "holds no PEM block of a certificate")
        }
        return certificates
    }

    /// Reads all certificates of a PEM file of at most 1 MiB.
    package static func all(file path: String) throws(TLSError) -> [Certificate] {
        try SmallFile.withContents(of: path) { (bytes) throws(TLSError) -> [Certificate] in
            try all(pem: bytes, source: "the certificates in \(path)")
        }
    }

    /// The certificate as PEM.
    package func pem() throws(TLSError) -> String {
        try unsafe PEM.text("a certificate") { bio in unsafe withRaw { unsafe PEM_write_bio_X509(bio, $0) } }
    }

    /// Writes certificates, a leaf first, to a PEM file that everyone can read, replacing it in one step.
    package static func write(_ certificates: [Certificate], to path: String) throws(TLSError) {
        var text = ""
        for certificate in certificates { text += try certificate.pem() }
        try SmallFile.replace(path, with: Array(text.utf8).span, mode: 0o644)
    }

    /// The owner's distinguished name, as RFC 2253 writes it ("CN=leasehold").
    package var subject: String {
        unsafe withRaw { raw in
            let text = try? unsafe PEM.text("a subject") { bio in
                unsafe X509_NAME_print_ex(bio, X509_get_subject_name(raw), 0, shim_XN_FLAG_RFC2253) >= 0 ? 1 : 0
            }
            return text ?? "(unreadable subject)"
        }
    }

    /// The owner's DNS names and addresses.
    package var names: [SubjectName] {
        unsafe withRaw { unsafe SubjectName.all(of: $0) }
    }

    /// The serial number in hexadecimal digits.
    package var serialNumber: String {
        unsafe withRaw { raw in
            let number = unsafe ASN1_INTEGER_to_BN(X509_get0_serialNumber(raw), nil)
            defer { unsafe BN_free(number) }
            guard let digits = unsafe BN_bn2hex(number) else { return "" }
            defer { unsafe CRYPTO_free(digits, #file, #line) }
            return unsafe String(cString: digits)
        }
    }

    package var validity: Validity {
        unsafe withRaw { raw in
            unsafe Validity(
                notBefore: Self.microseconds(X509_get0_notBefore(raw)),
                notAfter: Self.microseconds(X509_get0_notAfter(raw)))
        }
    }

    /// Whether it may sign certificates.
    package var isAuthority: Bool {
        unsafe withRaw { unsafe X509_check_ca($0) == 1 }
    }

    /// Whether `key` is the private half of this certificate's key.
    package func matches(_ key: PrivateKey) -> Bool {
        defer { ErrorQueue.clear() }
        return unsafe withRaw { raw in unsafe key.withRaw { unsafe X509_check_private_key(raw, $0) == 1 } }
    }

    /// Whether `authority` may sign certificates and its key signed this one. Nobody's time is looked at.
    package func isSigned(by authority: Certificate) -> Bool {
        defer { ErrorQueue.clear() }
        return unsafe withRaw { raw in
            unsafe authority.withRaw { issuer in
                unsafe X509_check_issued(issuer, raw) == X509_V_OK && X509_verify(raw, X509_get0_pubkey(issuer)) == 1
            }
        }
    }

    /// Lends OpenSSL's `X509`, which stays valid for the call.
    func withRaw<Result>(_ body: (OpaquePointer) -> Result) -> Result {
        withExtendedLifetime(self) { unsafe body(raw) }
    }

    private static func microseconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64 {
        var fields = unsafe tm()
        guard unsafe ASN1_TIME_to_tm(time, &fields) == 1 else { return 0 }
        return unsafe Int64(timegm(&fields)) * 1_000_000
    }
}

extension Certificate: Equatable {
    package static func == (one: Certificate, other: Certificate) -> Bool {
        unsafe one.withRaw { first in unsafe other.withRaw { unsafe X509_cmp(first, $0) == 0 } }
    }
}

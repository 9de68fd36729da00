private import COpenSSL
private import Glibc

/// A small certificate authority: one self-signed certificate and its key, which signs leaf certificates.
package struct CertificateAuthority: Sendable {
    /// What a leaf may be used for (extendedKeyUsage).
    package enum Purpose: String, Sendable {
        case server = "serverAuth"
        case client = "clientAuth"
        case both = "serverAuth,clientAuth"
    }

    private let identity: Identity

    /// The certificate that others must trust.
    package var certificate: Certificate { identity.certificate }
    package var key: PrivateKey { identity.key }

    /// Takes up an authority that exists.
    ///
    /// - Throws: `TLSError.invalid` when the key is another's or the certificate may not sign.
    package init(certificate: Certificate, key: PrivateKey) throws(TLSError) {
        guard certificate.isAuthority else {
            throw TLSError.invalid("the certificate \(certificate.subject)", problem: "is not an authority's")
        }
        identity = try Identity(chain: [certificate], key: key, source: "the authority's private key")
    }

    /// Makes a new authority with a new ECDSA P-256 key.
    package static func make(
        commonName: String, validity: Validity = .days(3650)
    ) throws(TLSError) -> CertificateAuthority {
        let key = try PrivateKey.generate()
        let certificate = try makeCertificate(
            commonName: commonName, names: [], key: key, validity: validity, issuer: nil,
            extensions: [
                (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
                (NID_key_usage, "critical,keyCertSign,cRLSign"),
                (NID_subject_key_identifier, "hash"),
                (NID_authority_key_identifier, "keyid:always"),
            ])
        return try CertificateAuthority(certificate: certificate, key: key)
    }

    /// Makes a new ECDSA P-256 key and signs a certificate for it.
    ///
    /// - Parameters:
    ///   - commonName: At most 64 characters. Who connects is judged by `names`; this is for people.
    ///   - validity: Cut to the authority's own, since a certificate is worth nothing beyond it.
    package func issue(
        commonName: String, names: [SubjectName], purpose: Purpose, validity: Validity = .days(90)
    ) throws(TLSError) -> Identity {
        let key = try PrivateKey.generate()
        let own = certificate.validity
        let certificate = try Self.makeCertificate(
            commonName: commonName, names: names, key: key,
            validity: Validity(
                notBefore: max(validity.notBefore, own.notBefore), notAfter: min(validity.notAfter, own.notAfter)),
            issuer: identity,
            extensions: [
                (NID_basic_constraints, "critical,CA:FALSE"),
                (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, purpose.rawValue),
                (NID_subject_key_identifier, "hash"),
                (NID_authority_key_identifier, "keyid:always"),
            ])
        return try Identity(chain: [certificate], key: key)
    }

    /// - Parameter issuer: Who signs; nil for a certificate that signs itself.
    private static func makeCertificate(
        commonName: String, names: [SubjectName], key: PrivateKey, validity: Validity, issuer: Identity?,
        extensions: [(kind: Int32, value: String)]
    ) throws(TLSError) -> Certificate {
        ErrorQueue.clear()
        guard let raw = unsafe X509_new() else { throw ErrorQueue.failure("make a certificate") }
        let certificate = unsafe Certificate(owning: raw)
        let issuerCertificate = issuer?.certificate ?? certificate
        let issuerKey = issuer?.key ?? key

        try unsafe setSubject(commonName, of: raw)
        try unsafe setRandomSerialNumber(of: raw)
        let complete = unsafe issuerCertificate.withRaw { issuerRaw in
            unsafe X509_set_version(raw, Int(X509_VERSION_3)) == 1
                && X509_set_issuer_name(raw, X509_get_subject_name(issuerRaw)) == 1
                && ASN1_TIME_set(X509_getm_notBefore(raw), Int(validity.notBefore / 1_000_000)) != nil
                && ASN1_TIME_set(X509_getm_notAfter(raw), Int(validity.notAfter / 1_000_000)) != nil
                && key.withRaw { unsafe X509_set_pubkey(raw, $0) == 1 }
        }
        guard complete else { throw ErrorQueue.failure("fill in a certificate") }

        for (kind, value) in extensions {
            let added = unsafe issuerCertificate.withRaw { issuerRaw in
                var context = unsafe X509V3_CTX()
                unsafe X509V3_set_ctx(&context, issuerRaw, raw, nil, nil, 0)
                guard let item = unsafe X509V3_EXT_conf_nid(nil, &context, kind, value) else { return false }
                defer { unsafe X509_EXTENSION_free(item) }
                return unsafe X509_add_ext(raw, item, -1) == 1
            }
            guard added else { throw ErrorQueue.failure("add the extension \(value) to a certificate") }
        }
        if !names.isEmpty { try unsafe SubjectName.add(names, to: raw) }

        guard unsafe issuerKey.withRaw({ unsafe X509_sign(raw, $0, EVP_sha256()) > 0 }) else {
            throw ErrorQueue.failure("sign a certificate")
        }
        return certificate
    }

    private static func setSubject(_ commonName: String, of raw: OpaquePointer) throws(TLSError) {
        guard (1...64).contains(commonName.unicodeScalars.count) else {
            throw TLSError.invalid(
                "the common name \"\(commonName)\"",
                problem: "has \(commonName.unicodeScalars.count) characters; 1 to 64 are allowed")
        }
        var text = commonName
        let added = text.withUTF8 { bytes in
            unsafe X509_NAME_add_entry_by_NID(
                X509_get_subject_name(raw), NID_commonName, MBSTRING_UTF8, bytes.baseAddress, Int32(bytes.count), -1, 0)
                == 1
        }
        guard added else { throw ErrorQueue.failure("set the common name of a certificate") }
    }

    // 128 random bits: nobody can guess the next certificate, and no count has to be kept.
    private static func setRandomSerialNumber(of raw: OpaquePointer) throws(TLSError) {
        let number = unsafe BN_new()
        defer { unsafe BN_free(number) }
        let set =
            unsafe BN_rand(number, 128, Int32(BN_RAND_TOP_ANY), Int32(BN_RAND_BOTTOM_ANY)) == 1
            && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(raw)) != nil
        guard set else { throw ErrorQueue.failure("draw a serial number") }
    }
}

internal import Election
internal import Kubernetes
internal import TLS

/// Why a Secret cannot be used, as a sentence for people with what to do; never with anything of its content.
struct SecretProblem: Error, Hashable, CustomStringConvertible {
    let description: String
}

/// The keys of Secrets, as in type `kubernetes.io/tls`.
enum SecretKey {
    static let certificate = "tls.crt"
    static let key = "tls.key"
    static let authorities = "ca.crt"
    static let nextCertificate = "next.crt"
    static let nextKey = "next.key"
}

extension Authority {
    /// Any value of it asks for a new authority; it is removed when that signs.
    static let rotationAnnotation = "leaderelection.600lyy.io/rotate-authority"
    /// When the signing authority began to sign.
    private static let sinceAnnotation = "leaderelection.600lyy.io/signing-since"

    /// Reads what ``write(into:)`` has written, or an authority that somebody else has put there.
    ///
    /// - Throws: ``SecretProblem`` when not everything in it can be used. It is then to be left as it is: whoever trusts this
    ///   authority would not trust another one.
    init(_ secret: SecretObject) throws(SecretProblem) {
        do throws(TLSError) {
            let signing = try Self.pair(SecretKey.certificate, SecretKey.key, of: secret)
            let next =
                secret.data[SecretKey.nextCertificate] == nil && secret.data[SecretKey.nextKey] == nil
                ? nil : try Self.pair(SecretKey.nextCertificate, SecretKey.nextKey, of: secret)
            var former: [Certificate] = []
            if let bundle = secret.data[SecretKey.authorities] {
                former = try Certificate.all(pem: bundle.span, source: SecretKey.authorities)
                former.removeAll { $0 == signing.certificate || $0 == next?.certificate }
            }
            if let other = former.first(where: { !$0.isAuthority }) {
                throw TLSError.invalid(SecretKey.authorities, problem: "holds \(other.subject), which is no authority")
            }
            self.init(
                signing: signing, next: next, former: former,
                signingSince: secret.metadata.annotations?[Self.sinceAnnotation].flatMap(Timestamp.parse))
        } catch {
            throw SecretProblem(
                description:
                    "The authority in the Secret \(secret.metadata.name ?? "") cannot be used: \(error). Nothing is "
                    + "changed there; mend it, or delete the Secret to have a new authority made, which everybody is "
                    + "then told to trust")
        }
        isRotationAsked = secret.metadata.annotations?[Self.rotationAnnotation] != nil
    }

    private static func pair(
        _ certificate: String, _ key: String, of secret: SecretObject
    ) throws(TLSError) -> CertificateAuthority {
        let pair = try secret.identity(certificate, key)
        return try CertificateAuthority(certificate: pair.certificate, key: pair.key)
    }

    /// Puts all of it into the Secret, and leaves alone what else is there.
    func write(into secret: inout SecretObject) throws(TLSError) {
        secret.data[SecretKey.authorities] = try trusted.pem()
        try secret.put(signing, SecretKey.certificate, SecretKey.key)
        if let next {
            try secret.put(next, SecretKey.nextCertificate, SecretKey.nextKey)
        } else {
            secret.data[SecretKey.nextCertificate] = nil
            secret.data[SecretKey.nextKey] = nil
        }
        var annotations = secret.metadata.annotations ?? [:]
        annotations[Self.sinceAnnotation] = signingSince.map(Timestamp.format)
        if !isRotationAsked { annotations[Self.rotationAnnotation] = nil }
        secret.metadata.annotations = annotations
    }
}

extension SecretObject {
    /// A certificate and its private key, PEM.
    func identity(
        _ certificate: String = SecretKey.certificate, _ key: String = SecretKey.key
    ) throws(TLSError) -> Identity {
        let (chain, secret) = (data[certificate] ?? [], data[key] ?? [])
        return try Identity(
            chain: Certificate.all(pem: chain.span, source: certificate),
            key: PrivateKey(pem: secret.span, source: key), source: key)
    }

    fileprivate mutating func put(
        _ authority: CertificateAuthority, _ certificate: String, _ key: String
    ) throws(TLSError) {
        // What is there and means the same stays to the byte: a Secret by somebody else may be in another form of PEM.
        if let there = try? identity(certificate, key).certificate, there == authority.certificate { return }
        data[certificate] = try [authority.certificate].pem()
        data[key] = try authority.key.pem()
    }
}

extension [Certificate] {
    func pem() throws(TLSError) -> [UInt8] {
        var text = ""
        for certificate in self { text += try certificate.pem() }
        return [UInt8](text.utf8)
    }
}

extension PrivateKey {
    /// As what a Secret holds. Not for keeping.
    func pem() throws(TLSError) -> [UInt8] {
        try withPEM { bytes in unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) } }
    }
}

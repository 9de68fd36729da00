internal import Kubernetes
internal import Platform
internal import TLS

/// What one certificate of the authority is for, and when it has to be made anew.
struct IssuedCertificate: Sendable {
    /// In metrics and logs.
    let label: String
    let commonName: String
    let purpose: CertificateAuthority.Purpose
    let names: [SubjectName]

    /// Whether it can stay in use: of the authority that signs now, for all names, and young.
    func isCurrent(
        _ certificate: Certificate, of authority: Authority, at now: Int64, _ lifetimes: CertificateLifetimes
    ) -> Bool {
        let validity = certificate.validity
        // One that was made to live longer than certificates do now would outlive its authority's time of being trusted.
        let latest =
            now + (lifetimes.certificate + lifetimes.clockTolerance(of: lifetimes.certificate) * 2).inMicroseconds
        return certificate.isSigned(by: authority.signing.certificate) && Set(names).isSubset(of: certificate.names)
            && validity.notBefore <= now && now < CertificateLifetimes.renewal(of: validity)
            && validity.notAfter <= latest
    }

    /// - Parameter old: the one before. When that lacks a name, its own stay: replicas with other names, as in a rolling
    ///   update, do not take them away from each other.
    func issue(
        by authority: Authority, insteadOf old: Certificate?, at now: Int64, _ lifetimes: CertificateLifetimes
    ) throws(TLSError) -> Identity {
        var all = names
        if let old, !Set(names).isSubset(of: old.names) { all += old.names.filter { !names.contains($0) } }
        return try authority.signing.issue(
            commonName: commonName, names: all, purpose: purpose,
            validity: lifetimes.validity(for: lifetimes.certificate, at: now))
    }
}

/// A certificate in a Secret of type `kubernetes.io/tls`, for pods that mount it.
struct IssuedSecret: Sendable {
    let name: String
    let namespace: String
    let certificate: IssuedCertificate

    /// Marks what was made here and may be made anew.
    private static let owner = (label: "app.kubernetes.io/managed-by", value: "leasehold")

    /// What it should be.
    ///
    /// - Parameter old: as it is; nil: there is none.
    /// - Throws: ``SecretProblem`` when it is somebody else's.
    func wanted(
        insteadOf old: SecretObject?, of authority: Authority, at now: Int64, _ lifetimes: CertificateLifetimes
    ) throws -> (secret: SecretObject, issued: Identity?, inUse: Certificate) {
        var secret =
            old
            ?? SecretObject(
                metadata: ObjectMetadata(name: name, namespace: namespace), type: "kubernetes.io/tls")
        let isOurs = secret.metadata.labels?[Self.owner.label] == Self.owner.value
        guard isOurs || secret.data[SecretKey.certificate]?.isEmpty ?? true else {
            throw SecretProblem(
                description: "The Secret \(name) holds a certificate that was not made here: it lacks the label "
                    + "\(Self.owner.label)=\(Self.owner.value). It is left as it is; delete it if nothing else keeps it, or "
                    + "run the controllers without --authority-secret")
        }
        secret.metadata.labels = (secret.metadata.labels ?? [:]).merging([Self.owner.label: Self.owner.value]) { $1 }
        secret.data[SecretKey.authorities] = try authority.trusted.pem()

        // What cannot be read is made anew: nothing depends on this very certificate, and pods wait for one.
        let found = try? secret.identity().certificate
        if let found, certificate.isCurrent(found, of: authority, at: now, lifetimes) { return (secret, nil, found) }
        let made = try certificate.issue(by: authority, insteadOf: found, at: now, lifetimes)
        secret.data[SecretKey.certificate] = try made.chain.pem()
        secret.data[SecretKey.key] = try made.key.pem()
        return (secret, made, made.certificate)
    }

    /// The bundle that readers of it trust now.
    static func bundle(of secret: SecretObject?) -> [UInt8]? { secret?.data[SecretKey.authorities] }
}

/// Files with a certificate, its key and whom to trust, in a directory of this machine.
package struct IssuedFiles: Sendable {
    private let directory: String

    package init(in directory: String) {
        self.directory = directory
    }

    package var authorities: String { "\(directory)/ca.crt" }
    package var chain: String { "\(directory)/tls.crt" }
    package var key: String { "\(directory)/tls.key" }

    /// Makes what is missing or has to be made anew. Reads and writes files.
    func ensure(
        _ certificate: IssuedCertificate, of authority: Authority, at now: Int64, _ lifetimes: CertificateLifetimes
    ) throws(TLSError) -> (issued: Identity?, inUse: Certificate) {
        // First of all: who is asked with a new certificate must know its authority.
        if (try? Certificate.all(file: authorities)) != authority.trusted {
            try Certificate.write(authority.trusted, to: authorities)
        }
        let found = try? Identity(chainFile: chain, keyFile: key).certificate
        if let found, certificate.isCurrent(found, of: authority, at: now, lifetimes) { return (nil, found) }
        let made = try certificate.issue(by: authority, insteadOf: found, at: now, lifetimes)
        // The key first: a server that looks in between keeps its old pair, which a new key does not fit.
        try made.key.write(to: key)
        try Certificate.write(made.chain, to: chain)
        return (made, made.certificate)
    }
}

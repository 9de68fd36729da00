private import Election
private import Platform
internal import Support
private import TLS

/// One authority for all webhooks and controllers, made here; good for longer than any clock is set back or forward.
struct ChaosCertificates: Sendable {
    /// PEM.
    let authority: [UInt8]
    let authorityFile: String
    private let issuer: CertificateAuthority
    private let validity: Validity
    /// Of the webhooks' servers.
    let chain: String
    let key: String
    /// Of both ends of the grants.
    let grantsChain: String
    let grantsKey: String

    private static let day = Int64(86_400) * 1_000_000

    init(in directory: TemporaryDirectory) throws {
        let now = Reading.now().realtime / 1000
        let validity = Validity(notBefore: now - 2 * Self.day, notAfter: now + 30 * Self.day)
        let authority = try CertificateAuthority.make(commonName: "chaos authority", validity: validity)
        (issuer, self.validity) = (authority, validity)
        self.authority = Array(try authority.certificate.pem().utf8)
        authorityFile = directory.file("ca.crt")
        try Certificate.write([authority.certificate], to: authorityFile)
        (chain, key) = (directory.file("tls.crt"), directory.file("tls.key"))
        (grantsChain, grantsKey) = (directory.file("grants.crt"), directory.file("grants.key"))
        try issue()
    }

    /// New keys and certificates in place of those in the files.
    func issue() throws {
        for (name, purpose, chain, key) in [
            (SubjectName.ip("127.0.0.1"), CertificateAuthority.Purpose.server, chain, key),
            (.dns("leasehold-grants"), .both, grantsChain, grantsKey),
        ] {
            let leaf = try issuer.issue(commonName: "leasehold", names: [name], purpose: purpose, validity: validity)
            try leaf.key.write(to: key)
            try Certificate.write(leaf.chain, to: chain)
        }
    }
}

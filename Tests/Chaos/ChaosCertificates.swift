private import Election
private import FoundationEssentials
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
    /// Of the webhooks' servers: key and certificates in one file, so that who starts while they change finds a pair.
    let tls: String
    /// Of both ends of the grants.
    let grants: String

    private static let day = Int64(86_400) * 1_000_000

    init(in directory: TemporaryDirectory) throws {
        let now = Reading.now().realtime / 1000
        let validity = Validity(notBefore: now - 2 * Self.day, notAfter: now + 30 * Self.day)
        let authority = try CertificateAuthority.make(commonName: "chaos authority", validity: validity)
        (issuer, self.validity) = (authority, validity)
        self.authority = Array(try authority.certificate.pem().utf8)
        authorityFile = directory.file("ca.crt")
        try Certificate.write([authority.certificate], to: authorityFile)
        (tls, grants) = (directory.file("tls.pem"), directory.file("grants.pem"))
        try issue()
    }

    /// New keys and certificates in place of those in the files.
    func issue() throws {
        for (name, purpose, file) in [
            (SubjectName.ip("127.0.0.1"), CertificateAuthority.Purpose.server, tls),
            (.dns("leasehold-grants"), .both, grants),
        ] {
            let leaf = try issuer.issue(commonName: "leasehold", names: [name], purpose: purpose, validity: validity)
            try leaf.key.write(to: file + ".new")
            let key = try String(contentsOfFile: file + ".new", encoding: .utf8)
            try SecretFile.write(key + leaf.chain.map { try $0.pem() }.joined(), to: file)
        }
    }
}

private import Election
private import Platform
internal import Support
private import TLS

/// One authority for all webhooks and controllers, made here; good for longer than any clock is set back or forward.
struct ChaosCertificates: Sendable {
    /// PEM.
    let authority: [UInt8]
    let authorityFile: String
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
        self.authority = Array(try authority.certificate.pem().utf8)
        authorityFile = directory.file("ca.crt")
        try Certificate.write([authority.certificate], to: authorityFile)
        func issue(_ name: SubjectName, _ purpose: CertificateAuthority.Purpose, _ file: String) throws -> (
            chain: String, key: String
        ) {
            let leaf = try authority.issue(
                commonName: "leasehold", names: [name], purpose: purpose, validity: validity)
            let files = (directory.file("\(file).crt"), directory.file("\(file).key"))
            try leaf.key.write(to: files.1)
            try Certificate.write(leaf.chain, to: files.0)
            return files
        }
        (chain, key) = try issue(.ip("127.0.0.1"), .server, "tls")
        (grantsChain, grantsKey) = try issue(.dns("leasehold-grants"), .both, "grants")
    }
}

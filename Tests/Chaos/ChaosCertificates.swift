private import FoundationEssentials
internal import Support
private import TLS

/// One authority for all webhooks, made here, so that no clock that is set decides how long it is good.
struct ChaosCertificates: Sendable {
    /// PEM.
    let authority: [UInt8]
    let chain: String
    let key: String

    init(in directory: TemporaryDirectory) throws {
        chain = directory.file("tls.crt")
        key = directory.file("tls.key")
        let authority = try CertificateAuthority.make(commonName: "chaos authority")
        self.authority = Array(try authority.certificate.pem().utf8)
        let leaf = try authority.issue(commonName: "leasehold", names: [.ip("127.0.0.1")], purpose: .server)
        try leaf.key.write(to: key)
        try Certificate.write(leaf.chain, to: chain)
    }
}

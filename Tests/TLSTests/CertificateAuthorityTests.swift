import FoundationEssentials
import Glibc
import Support
import TLS
import Testing

@Suite struct CertificateAuthorityTests {
    private static let minute: Int64 = 60_000_000
    private static let day: Int64 = 86_400_000_000

    @Test func `an authority signs for ten years and no further down`() throws {
        let certificate = try CertificateAuthority.make(commonName: "leasehold authority").certificate
        #expect(certificate.isAuthority)
        #expect(certificate.subject == "CN=leasehold authority")
        let validity = certificate.validity
        #expect(validity.notAfter - validity.notBefore == 3650 * Self.day + 5 * Self.minute)
        let text = try certificate.text()
        #expect(text.contains("X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0"))
        #expect(text.contains("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign"))
        #expect(text.contains("X509v3 Subject Key Identifier"))
        #expect(text.contains("X509v3 Authority Key Identifier"))
        #expect(text.contains("ASN1 OID: prime256v1"))
        #expect(text.contains("Signature Algorithm: ecdsa-with-SHA256"))
    }

    @Test(arguments: [
        (CertificateAuthority.Purpose.server, "TLS Web Server Authentication"),
        (.client, "TLS Web Client Authentication"),
        (.both, "TLS Web Server Authentication, TLS Web Client Authentication"),
    ])
    func `a leaf holds its names and purpose, is valid for 90 days, and may not sign`(
        purpose: CertificateAuthority.Purpose, usage: String
    ) throws {
        let names: [SubjectName] = [
            .dns("webhook.system.svc"), .dns("*.example.org"), .ip("127.0.0.1"), .ip("fd00::1"),
        ]
        let leaf = try TestAuthority.one.authority.issue(commonName: "webhook", names: names, purpose: purpose)
        #expect(leaf.certificate.names == names)
        #expect(leaf.certificate.subject == "CN=webhook")
        #expect(!leaf.certificate.isAuthority)
        #expect(leaf.certificate.matches(leaf.key))
        let text = try leaf.certificate.text()
        #expect(text.contains("X509v3 Extended Key Usage: \n                \(usage)\n"))
        #expect(text.contains("X509v3 Key Usage: critical\n                Digital Signature\n"))
        #expect(text.contains("X509v3 Basic Constraints: critical\n                CA:FALSE"))
    }

    @Test func `a leaf begins in the past and ends after 90 days unless its authority begins or ends inside`() throws {
        let now = Validity.days(0).notAfter
        let old = try CertificateAuthority.make(
            commonName: "old", validity: Validity(notBefore: now - 99 * Self.day, notAfter: now + 99 * Self.day))
        let leaf = try old.issue(commonName: "leaf", names: [], purpose: .server).certificate.validity
        #expect(leaf.notAfter - leaf.notBefore == 90 * Self.day + 5 * Self.minute)
        #expect(leaf.notBefore < now)

        let short = try CertificateAuthority.make(commonName: "short", validity: .days(7))
        let cut = try short.issue(
            commonName: "leaf", names: [], purpose: .server,
            validity: Validity(notBefore: now - 99 * Self.day, notAfter: now + 99 * Self.day))
        #expect(cut.certificate.validity == short.certificate.validity)
    }

    @Test func `dates beyond 2049, which X_509 writes in another form, are kept`() throws {
        // 1 January 2060.
        let end: Int64 = 2_840_140_800_000_000
        let certificate = try CertificateAuthority.make(
            commonName: "late", validity: Validity(notBefore: 0, notAfter: end)
        ).certificate
        #expect(certificate.validity == Validity(notBefore: 0, notAfter: end))
    }

    @Test func `serial numbers are long and differ`() throws {
        let serials = try (0..<50).map { _ in
            try TestAuthority.one.authority.issue(commonName: "leaf", names: [], purpose: .client)
                .certificate.serialNumber
        }
        #expect(Set(serials).count == serials.count)
        #expect(serials.map(\.utf8.count).max() == 32)
    }

    @Test(arguments: [
        SubjectName.dns(""), .dns("a,DNS:b"), .dns("a b"), .dns("münchen.example"), .dns("a\u{0}b"),
        .dns(String(repeating: "a", count: 254)), .ip("localhost"), .ip("10.0.0.256"), .ip("10.0.0.1/8"), .ip(""),
    ])
    func `a name that is no host name or address is refused`(name: SubjectName) throws {
        let error = #expect(throws: TLSError.self) {
            try TestAuthority.one.authority.issue(commonName: "leaf", names: [name], purpose: .server)
        }
        #expect(error?.description.contains(" \"\(name)\" is n") == true)
    }

    @Test(arguments: [0, 65]) func `a common name of a length that X_509 forbids is refused`(length: Int) throws {
        let error = #expect(throws: TLSError.self) {
            try CertificateAuthority.make(commonName: String(repeating: "a", count: length))
        }
        #expect(error?.description.contains("has \(length) characters; 1 to 64 are allowed") == true)
    }

    @Test func `an authority is taken up again from its files, but not from another's key or a leaf`() throws {
        let directory = try TemporaryDirectory()
        let one = TestAuthority.one.authority
        try Certificate.write([one.certificate], to: directory.file("ca.crt"))
        try one.key.write(to: directory.file("ca.key"))
        #expect(permissions(of: directory.file("ca.crt")) == 0o644)
        let again = try CertificateAuthority(
            certificate: Certificate.all(file: directory.file("ca.crt"))[0],
            key: PrivateKey(file: directory.file("ca.key")))
        let leaf = try again.issue(commonName: "leaf", names: [.dns("localhost")], purpose: .server)
        var pair = try ConnectedPair(ServerContext(identity: leaf), TestAuthority.one.clientContext())
        #expect(pair.handshake() == (.done, .done))

        #expect(throws: TLSError.self) {
            try CertificateAuthority(certificate: one.certificate, key: TestAuthority.other.authority.key)
        }
        #expect(throws: TLSError.self) { try CertificateAuthority(certificate: leaf.certificate, key: leaf.key) }
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")))
    func `the openssl command verifies what the authority signs`() throws {
        let directory = try TemporaryDirectory()
        let one = TestAuthority.one
        try Certificate.write([one.authority.certificate], to: directory.file("ca.crt"))
        try Certificate.write([one.server().certificate], to: directory.file("server.crt"))
        try Certificate.write([TestAuthority.other.server().certificate], to: directory.file("other.crt"))
        func verify(_ name: String, _ purpose: String) -> Int32 {
            run([
                "/usr/bin/openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile",
                directory.file("ca.crt"), directory.file(name),
            ])
        }
        #expect(verify("server.crt", "sslserver") == 0)
        #expect(verify("server.crt", "sslclient") != 0)
        #expect(verify("other.crt", "sslserver") != 0)
    }
}

/// Runs a program without output and returns its exit status.
private func run(_ arguments: [String]) -> Int32 {
    var pid: pid_t = 0
    var words: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
    defer {
        for index in arguments.indices { unsafe free(words[index]) }
    }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
        unsafe posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_WRONLY, 0)
    }
    guard unsafe posix_spawn(&pid, arguments[0], &actions, nil, &words, environ) == 0 else { return -1 }
    var status: Int32 = 0
    while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    return status
}

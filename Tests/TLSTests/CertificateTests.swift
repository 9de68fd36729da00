import COpenSSL
import TLS
import Testing

@Suite struct CertificateTests {
    @Test func `a chain is read in its order, past blocks of other kinds`() throws {
        let leaf = try TestAuthority.one.server()
        let text =
            try "a comment\n" + leaf.certificate.pem() + pem(of: leaf.key)
            + TestAuthority.one.authority.certificate.pem()
        let chain = try Certificate.all(pem: Array(text.utf8).span)
        #expect(chain.map(\.subject) == ["CN=server", "CN=test authority"])
        #expect(try chain[0].pem() == leaf.certificate.pem())
    }

    @Test func `a text with a damaged certificate is refused as a whole`() throws {
        let good = try TestAuthority.one.server().certificate.pem()
        let cut = String(good.dropLast(60))
        let broken = good.replacing("MII", with: "AAA")
        for text in [good + cut, good + broken] {
            let error = #expect(throws: TLSError.self) {
                try Certificate.all(pem: Array(text.utf8).span, source: "it")
            }
            #expect(error?.description.hasPrefix("it has a damaged certificate after 1 good ones: ") == true)
        }
    }

    @Test func `who has signed a certificate is told by the signature, not by the name`() throws {
        let (one, namesake) = (
            try CertificateAuthority.make(commonName: "x"), try CertificateAuthority.make(commonName: "x")
        )
        let leaf = try one.issue(commonName: "leaf", names: [], purpose: .client).certificate
        #expect(leaf.isSigned(by: one.certificate))
        #expect(!leaf.isSigned(by: namesake.certificate))
        #expect(one.certificate.isSigned(by: one.certificate))
        #expect(!one.certificate.isSigned(by: leaf))
    }

    @Test func `certificates are equal when they are the same to the byte`() throws {
        let authority = TestAuthority.one.authority.certificate
        #expect(try Certificate.all(pem: Array(authority.pem().utf8).span) == [authority])
        #expect(try TestAuthority.one.server().certificate != TestAuthority.one.server().certificate)
    }

    @Test(arguments: ["", "not PEM"]) func `a text without a certificate is refused`(text: String) throws {
        #expect(throws: TLSError.invalid("it", problem: "holds no PEM block of a certificate")) {
            try Certificate.all(pem: Array(text.utf8).span, source: "it")
        }
    }

    @Test func `an identity whose key belongs to another certificate is refused`() throws {
        let (one, other) = (try TestAuthority.one.server(), try TestAuthority.one.server())
        let error = #expect(throws: TLSError.self) { try Identity(chain: one.chain, key: other.key) }
        #expect(error?.description.contains("does not belong to the first certificate") == true)
        #expect(throws: TLSError.self) { try Identity(chain: [], key: other.key) }
    }
}

extension Certificate {
    /// The certificate as OpenSSL prints it for people, to look at its extensions.
    func text() throws -> String {
        let pem = try pem()
        let input = unsafe BIO_new(BIO_s_mem())
        let output = unsafe BIO_new(BIO_s_mem())
        #expect(unsafe BIO_write(input, pem, Int32(pem.utf8.count)) == pem.utf8.count)
        let certificate = unsafe PEM_read_bio_X509(input, nil, nil, nil)
        defer {
            unsafe BIO_free(input)
            unsafe BIO_free(output)
            unsafe X509_free(certificate)
        }
        #expect(unsafe X509_print_ex(output, certificate, 0, 0) == 1)
        var start: UnsafeMutablePointer<CChar>?
        let count = unsafe shim_BIO_get_mem_data(output, &start)
        return unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }
}

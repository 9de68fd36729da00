import COpenSSL
import Glibc
import Support
import TLS
import Testing

@Suite struct PrivateKeyTests {
    @Test func `a key survives being written as PEM and read back`() throws {
        let key = try PrivateKey.generate()
        let copy = try key.withPEM { (bytes) throws(TLSError) in try PrivateKey(pem: bytes) }
        let authority = try CertificateAuthority.make(commonName: "authority")
        #expect(!authority.certificate.matches(copy))
        #expect(authority.certificate.matches(authority.key))
        let text = pem(of: key)
        #expect(text == pem(of: copy))
        #expect(text.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
        #expect(text != pem(of: try PrivateKey.generate()))
    }

    @Test func `a key file is readable for its owner only, whatever was there before`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("tls.key")
        let key = try PrivateKey.generate()
        try key.write(to: path)
        #expect(permissions(of: path) == 0o600)
        try directory.write("something longer than a key\n", to: "open.key")
        #expect(permissions(of: directory.file("open.key"))! & 0o044 != 0)
        try key.write(to: directory.file("open.key"))
        #expect(permissions(of: directory.file("open.key")) == 0o600)
        #expect(try pem(of: PrivateKey(file: directory.file("open.key"))) == pem(of: key))
        #expect(try directory.names() == ["open.key", "tls.key"])
    }

    @Test func `a key file that cannot be written is an error that names it and leaves nothing behind`() throws {
        let directory = try TemporaryDirectory()
        let key = try PrivateKey.generate()
        let missing = directory.file("missing/tls.key")
        let error = #expect(throws: TLSError.self) { try key.write(to: missing) }
        #expect(error?.description.contains(missing) == true)
        #expect(error?.description.contains("No such file or directory") == true)
        // A directory cannot be replaced by a file.
        #expect(throws: TLSError.self) { try key.write(to: directory.path) }
        #expect(try directory.names() == [])
    }

    @Test func `nothing printed of a key shows it`() throws {
        let key = try PrivateKey.generate()
        let secret = pem(of: key).split(separator: "\n")[1]
        var dumped = ""
        dump(key, to: &dumped)
        for text in ["\(key)", String(reflecting: key), dumped] { #expect(!text.contains(secret)) }
    }

    @Test func `what an RSA key signs is its signature of these bytes and no others`() throws {
        let key = try PrivateKey(pem: Array(RSAKey.one.pem.utf8).span)
        for bytes in [[], [1], [UInt8](repeating: 7, count: 100_000)] as [[UInt8]] {
            let signature = try key.rsaSignature(of: bytes.span)
            #expect(signature.count == 256)
            #expect(RSAKey.one.verifies(signature, of: bytes))
            #expect(!RSAKey.one.verifies(signature, of: bytes + [0]))
        }
    }

    @Test func `a key of another kind signs nothing as RSA`() throws {
        let key = try PrivateKey.generate()
        #expect(throws: TLSError.invalid("the private key", problem: "is of another kind than RSA")) {
            try key.rsaSignature(of: [UInt8(1)].span)
        }
    }

    @Test(arguments: UnusableKey.all) func `a text that is no usable key is refused with the reason`(
        unusable: UnusableKey
    ) throws {
        let error = #expect(throws: TLSError.self) {
            try PrivateKey(pem: Array(unusable.text.utf8).span, source: "it")
        }
        #expect(error?.description.hasPrefix("it \(unusable.problem)") == true)
    }

    struct UnusableKey: CustomTestStringConvertible {
        let testDescription: String
        let text: String
        let problem: String

        static let all = [
            UnusableKey(testDescription: "empty", text: "", problem: "holds no private key in PEM"),
            UnusableKey(testDescription: "not PEM", text: "secret", problem: "holds no private key in PEM"),
            UnusableKey(
                testDescription: "damaged",
                text: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                problem: "cannot be read as a private key"),
            UnusableKey(
                testDescription: "encrypted", text: encrypted,
                problem: "is encrypted; store it without a pass phrase"),
        ]
    }

    @Test func `a key is found behind the certificates of the same file`() throws {
        let identity = try TestAuthority.one.server()
        let text = try identity.certificate.pem() + pem(of: identity.key)
        #expect(pem(of: try PrivateKey(pem: Array(text.utf8).span)) == pem(of: identity.key))
    }

    @Test func `files that are no small regular files are refused without waiting`() throws {
        let directory = try TemporaryDirectory()
        try directory.write(String(repeating: "x", count: 1 << 20 + 1), to: "large")
        #expect(unsafe mkfifo(directory.file("fifo"), 0o600) == 0)
        for (path, problem) in [
            (directory.file("large"), "more than the 1048576 allowed"),
            (directory.file("fifo"), "is not a regular file"),
            (directory.path, "is not a regular file"), (directory.file("missing"), "No such file or directory"),
        ] {
            let error = #expect(throws: TLSError.self) { try PrivateKey(file: path) }
            #expect(error?.description.contains(problem) == true)
            #expect(error?.description.contains(path) == true)
        }
    }
}

/// A key as text; only tests may do this.
func pem(of key: PrivateKey) -> String {
    var text = ""
    try! key.withPEM { bytes in
        for index in bytes.indices { text.unicodeScalars.append(Unicode.Scalar(bytes[index])) }
    }
    return text
}

/// A key that only a pass phrase opens, as PEM.
private let encrypted: String = {
    let key = unsafe shim_EVP_EC_gen("P-256")
    let output = unsafe BIO_new(BIO_s_mem())
    defer {
        unsafe EVP_PKEY_free(key)
        unsafe BIO_free(output)
    }
    let written = unsafe PEM_write_bio_PKCS8PrivateKey(output, key, EVP_aes_128_cbc(), "secret", 6, nil, nil)
    precondition(written == 1, "OpenSSL refused to encrypt a key")
    var start: UnsafeMutablePointer<CChar>?
    let count = unsafe shim_BIO_get_mem_data(output, &start)
    return unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
}()

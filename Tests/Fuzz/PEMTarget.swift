import TLS

/// Certificates and keys, from files, Secrets and kubeconfigs.
enum PEMTarget {
    static func run(_ bytes: [UInt8]) {
        if let certificates = try? Certificate.all(pem: bytes.span) {
            for certificate in certificates { _ = try? certificate.pem() }
        }
        _ = try? PrivateKey(pem: bytes.span)
    }
}

private import Election
private import Glibc
private import Platform
internal import TLS

/// The authority and the certificate that a process makes for itself, or several of one machine for each other, and that
/// are kept between runs.
///
/// Clients trust ``authority``, which stays the same for years; the serving certificate changes every few weeks.
struct SelfMadeCertificates {
    let directory: String
    /// What the serving certificate is made out to, among others.
    let names: [SubjectName]
    var purpose = CertificateAuthority.Purpose.server

    /// The authority's certificate: what `curl --cacert` and a webhook's `caBundle` need.
    var authority: String { "\(directory)/ca.crt" }
    var chain: String { "\(directory)/tls.crt" }
    var key: String { "\(directory)/tls.key" }
    private var authorityKey: String { "\(directory)/ca.key" }

    /// Makes what is missing, is about to end, or lacks one of the names.
    ///
    /// Processes that share the directory may call it at once. Reads files and makes keys: a few milliseconds.
    ///
    /// - Parameter now: microseconds since 1970.
    /// - Returns: whether a serving certificate was made.
    func ensure(now: Int64 = Reading.now().realtime / 1000) throws -> Bool {
        let lock = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0, flock(lock, LOCK_EX) == 0 else {
            let reason = unsafe String(cString: strerror(errno))
            if lock >= 0 { close(lock) }
            throw CommandFailure("the certificates' directory \(directory) cannot be locked: \(reason)")
        }
        // Closing unlocks.
        defer { close(lock) }

        let found = try readAuthority(now)
        // One that cannot be read is as good as none.
        let old = try? Identity(chainFile: chain, keyFile: key).certificate
        if found != nil, let old, isCurrent(old, now) { return false }
        let signer = try found ?? makeAuthority()
        // Replicas on one machine share the certificate and serve at different addresses: none takes another's name away.
        let others = (old?.names ?? []).filter { !names.contains($0) }
        let leaf = try signer.issue(commonName: "leasehold", names: names + others, purpose: purpose)
        // The key first: a server that looks in between keeps its old pair, which a new key does not fit.
        try leaf.key.write(to: key)
        try Certificate.write(leaf.chain, to: chain)
        return true
    }

    private func readAuthority(_ now: Int64) throws -> CertificateAuthority? {
        // The certificate is written last: without it, the authority was never in use.
        guard unsafe access(authority, F_OK) == 0 else { return nil }
        do {
            let found = try CertificateAuthority(
                certificate: Certificate.all(file: authority)[0], key: PrivateKey(file: authorityKey))
            return Self.isYoung(found.certificate.validity, now) ? found : nil
        } catch {
            throw CommandFailure(
                "\(error). To have a new authority made, which clients must then trust, delete \(authority) and "
                    + authorityKey)
        }
    }

    private func makeAuthority() throws -> CertificateAuthority {
        let made = try CertificateAuthority.make(commonName: "leasehold authority")
        try made.key.write(to: authorityKey)
        try Certificate.write([made.certificate], to: authority)
        return made
    }

    /// Whether the serving certificate can go on being used.
    private func isCurrent(_ leaf: Certificate, _ now: Int64) -> Bool {
        Self.isYoung(leaf.validity, now) && Set(names).isSubset(of: leaf.names)
    }

    /// Within the first two thirds of its life.
    private static func isYoung(_ validity: Validity, _ now: Int64) -> Bool {
        now >= validity.notBefore && now < validity.notBefore + (validity.notAfter - validity.notBefore) / 3 * 2
    }
}

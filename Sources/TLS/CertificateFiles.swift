private import Platform

/// A server's certificate files and the context made of them, made anew when they change.
///
/// Kubernetes replaces mounted Secrets and ConfigMaps by turning a symbolic link, certificate tools by renaming; both
/// are noticed. A connection keeps the context that it began with. Any thread may ask for ``context``; one owner calls
/// ``reloadIfChanged()`` from time to time (every second costs three stat(2) calls).
package final class CertificateFiles: Sendable {
    package enum Reload: Equatable, Sendable {
        case unchanged
        case reloaded
        /// The new files cannot be used and the old context stays. Tried again with every check, but said once for each
        /// change of the files.
        case failed(TLSError)
    }

    private let paths: Paths
    private let current: Locked<Current>

    private struct Paths {
        let chain: String
        let key: String
        let clientAuthorities: String?

        var all: [String] { [chain, key] + (clientAuthorities.map { [$0] } ?? []) }

        /// What the files look like now; nil for one that is missing.
        func stamps() -> [SmallFile.Stamp?] { SmallFile.stamps(of: all) }

        func load() throws(TLSError) -> ServerContext {
            let identity = try Identity(chainFile: chain, keyFile: key)
            guard let clientAuthorities else { return try ServerContext(identity: identity) }
            return try ServerContext(
                identity: identity, clientAuthorities: Certificate.all(file: clientAuthorities))
        }
    }

    private struct Current {
        var context: ServerContext
        /// Whether the files have never been there; the context is then one that nobody trusts.
        var isAwaited = false
        var stamps: [SmallFile.Stamp?]
        /// Why the files with these stamps cannot be used; nil if the context is made of them.
        var failure: TLSError?
    }

    /// Loads the files for the first time; waits a second for them to match if they do not.
    ///
    /// - Parameters:
    ///   - chain: PEM, the leaf first, then its intermediates.
    ///   - key: PEM, not encrypted; may be the same file as `chain`.
    ///   - clientAuthorities: PEM; when given, clients must have a certificate that one of these signed.
    package init(chain: String, key: String, clientAuthorities: String? = nil) throws(TLSError) {
        let paths = Paths(chain: chain, key: key, clientAuthorities: clientAuthorities)
        let (context, stamps) = try SmallFile.loadSettled(paths.all, paths.load)
        self.paths = paths
        current = Locked(Current(context: context, stamps: stamps))
    }

    /// For files that this process makes itself, as soon as it can: until then every handshake fails, since the certificate is
    /// of an authority that nobody knows, and so must a client's be.
    package init(awaiting chain: String, key: String, clientAuthorities: String) throws(TLSError) {
        paths = Paths(chain: chain, key: key, clientAuthorities: clientAuthorities)
        let stamps = paths.stamps()
        // Of a run before this one, perhaps.
        if let context = try? paths.load() {
            current = Locked(Current(context: context, stamps: stamps))
            return
        }
        let nobody = try CertificateAuthority.make(commonName: "nobody")
        let context = try ServerContext(
            identity: nobody.issue(commonName: "nobody", names: [], purpose: .server),
            clientAuthorities: [nobody.certificate])
        current = Locked(Current(context: context, isAwaited: true, stamps: []))
    }

    /// Whether there is nothing yet that a client could trust.
    package var isAwaited: Bool { current.withLock { $0.isAwaited } }

    /// What new connections should be made from.
    package var context: ServerContext {
        current.withLock { $0.context }
    }

    /// Looks at the files and, if they have changed, loads them all and lets new connections use them.
    ///
    /// Reads files, so not for an event loop. Not to be called twice at the same time.
    package func reloadIfChanged() -> Reload {
        let (known, failure) = current.withLock { ($0.stamps, $0.failure) }
        var stamps = paths.stamps()
        if isAwaited, stamps.contains(where: { $0 == nil }) { return .unchanged }
        // After a failure the reason may be gone although the files are the same, as when descriptors had run out.
        guard stamps != known || failure != nil else { return .unchanged }

        var result = load()
        // Certificate and key are replaced one after the other; a pair that was read in between does not match. The
        // second look is at what they have become; should it be too early again, the next check comes soon.
        let stampsAfter = paths.stamps()
        if stampsAfter != stamps {
            stamps = stampsAfter
            result = load()
        }

        switch result {
        case .success(let context):
            current.withLock { $0 = Current(context: context, stamps: stamps) }
            return .reloaded
        case .failure(let error):
            current.withLock { ($0.stamps, $0.failure) = (stamps, error) }
            return stamps == known && error == failure ? .unchanged : .failed(error)
        }
    }

    private func load() -> Result<ServerContext, TLSError> {
        do throws(TLSError) { return .success(try paths.load()) } catch { return .failure(error) }
    }
}

internal import Controller
internal import Platform
internal import TLS

/// What a webhook proves itself to controllers with, and whom it trusts; read again when the files change.
///
/// Any thread may ask for ``client``; one owner calls ``refresh(_:)``.
final class GrantCredentials: Sendable {
    private struct State {
        var client: ClientContext
        /// When the certificate ends, in microseconds since 1970.
        var end: Int64
        /// What the files looked like when they were last looked at.
        var stamps: [SmallFile.Stamp?]
        /// Why the files that are there now cannot be used.
        var failure: String?
    }

    private let paths: GrantFiles.Paths
    private let state: Locked<State>

    /// - Throws: ``CommandFailure`` when the files cannot be used.
    init(_ paths: GrantFiles.Paths) throws(CommandFailure) {
        self.paths = paths
        do throws(TLSError) {
            let (loaded, stamps) = try SmallFile.loadSettled(paths.all) { () throws(TLSError) in try Self.load(paths) }
            state = Locked(State(client: loaded.client, end: loaded.end, stamps: stamps))
        } catch {
            throw CommandFailure(
                "the files of --grants-ca-file, --grants-cert-file or --grants-key-file cannot be used: \(error)")
        }
    }

    /// What the next question is to be asked with.
    var client: ClientContext { state.withLock { $0.client } }

    /// Looks at the files, and asks with what is new in them from then on.
    func refresh(_ log: Log) {
        let (known, failure) = state.withLock { ($0.stamps, $0.failure) }
        let stamps = SmallFile.stamps(of: paths.all)
        guard stamps != known || failure != nil else { return }
        do throws(TLSError) {
            let (client, end) = try Self.load(paths)
            state.withLock { $0 = State(client: client, end: end, stamps: stamps) }
            log.info("Asks for grants with new certificates", ["file": paths.chain])
        } catch {
            // A certificate and its key change one after the other: what does not fit may fit at the next look.
            let text = "\(error)"
            state.withLock { ($0.stamps, $0.failure) = (stamps, text) }
            guard text != failure else { return }
            log.error("The new files for asking for grants cannot be used, so the old ones stay in use: \(text)")
        }
    }

    func families() -> [MetricFamily] {
        [.certificateExpiry([("grants_client", state.withLock { $0.end })])]
    }

    private static func load(_ paths: GrantFiles.Paths) throws(TLSError) -> (client: ClientContext, end: Int64) {
        let authorities = try Certificate.all(file: paths.authority)
        let identity = try Identity(chainFile: paths.chain, keyFile: paths.key)
        let client = try ClientContext(authorities: authorities, identity: identity)
        return (client, identity.certificate.validity.notAfter)
    }
}

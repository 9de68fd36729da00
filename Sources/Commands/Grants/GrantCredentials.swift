internal import Controller
private import FoundationEssentials
internal import HTTP
internal import Platform
private import TLS

/// What a webhook proves itself to controllers with, and whom it trusts; read again when the files change.
///
/// Any thread may ask for ``client``; one owner calls ``refresh(_:)``.
final class GrantCredentials: Sendable {
    private struct Files: Equatable {
        let authority: [UInt8]
        let chain: [UInt8]
        let key: [UInt8]
        /// When the certificate ends, in microseconds since 1970.
        let end: Int64
    }

    private struct State {
        var files: Files
        var client: HTTPClient
        /// Why the files that are there now cannot be used.
        var failure: String?
    }

    private let paths: GrantFiles.Paths
    private let state: Locked<State>

    /// - Throws: ``CommandFailure`` when the files cannot be used.
    init(_ paths: GrantFiles.Paths) throws(CommandFailure) {
        self.paths = paths
        do {
            let files = try Self.read(paths)
            state = Locked(State(files: files, client: try Self.client(files)))
        } catch {
            throw CommandFailure(
                "the files of --grants-ca-file, --grants-cert-file or --grants-key-file cannot be used: \(error)")
        }
    }

    /// What the next question is to be asked with.
    var client: HTTPClient { state.withLock { $0.client } }

    /// Looks at the files, and asks with what is new in them from then on.
    func refresh(_ log: Log) {
        let (known, failure) = state.withLock { ($0.files, $0.failure) }
        do {
            let files = try Self.read(paths)
            guard files != known || failure != nil else { return }
            let client = try Self.client(files)
            state.withLock { $0 = State(files: files, client: client) }
            log.info("Asks for grants with new certificates", ["file": paths.chain])
        } catch {
            // A certificate and its key change one after the other: what does not fit may fit at the next look.
            let text = "\(error)"
            state.withLock { $0.failure = text }
            guard text != failure else { return }
            log.error("The new files for asking for grants cannot be used, so the old ones stay in use: \(text)")
        }
    }

    func families() -> [MetricFamily] {
        [.certificateExpiry([("grants_client", state.withLock { $0.files.end })])]
    }

    private static func read(_ paths: GrantFiles.Paths) throws -> Files {
        // Checked by the types that read them for servers: sizes, kinds of files, whether the key fits.
        _ = try Certificate.all(file: paths.authority)
        let identity = try Identity(chainFile: paths.chain, keyFile: paths.key)
        func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(filePath: path))) }
        return Files(
            authority: try bytes(paths.authority), chain: try bytes(paths.chain), key: try bytes(paths.key),
            end: identity.certificate.validity.notAfter)
    }

    private static func client(_ files: Files) throws -> HTTPClient {
        // Once more, of the very bytes: the files may have changed in between.
        let chain = try Certificate.all(pem: files.chain.span)
        _ = try Identity(chain: chain, key: PrivateKey(pem: files.key.span))
        var options = HTTPClient.Options()
        options.trust = .authorities(files.authority)
        options.identity = HTTPClient.Options.Identity(chain: files.chain, key: files.key)
        options.serverName = GrantFiles.serverName
        // Inside one cluster: never by way of a proxy.
        options.proxy = ""
        return HTTPClient(options)
    }
}

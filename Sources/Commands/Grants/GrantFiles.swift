internal import Controller
private import Kubernetes
internal import TLS

/// The flags that name the files by which controllers and webhooks know each other.
struct GrantFiles {
    var authority: String?
    var certificate: String?
    var key: String?

    /// What a controller's certificate is made out to, and what webhooks insist on.
    ///
    /// No host name: a headless Service leads to pods whose addresses change, which no certificate can list. A webhook's
    /// certificate does not have this name, so that nobody can pass for a controller with it.
    static let serverName = "leasehold-grants"

    static func flags<Options>(at path: WritableKeyPath<Options, GrantFiles>) -> [Flag<Options>] {
        [
            Flag(
                "grants-ca-file", path.appending(path: \.authority), .file,
                "Certificates, PEM, of which one must have signed the other side's. Read again when it changes.",
                defaultText: "made by itself, for the processes that share the state directory"),
            Flag(
                "grants-cert-file", path.appending(path: \.certificate), .file,
                "The certificate to show to the other side, and its intermediates, PEM; a controller's is for the DNS name "
                    + "\(serverName)."),
            Flag(
                "grants-key-file", path.appending(path: \.key), .file, "The private key of --grants-cert-file, PEM."),
        ]
    }

    /// Paths of files that exist, unless they were given and do not.
    struct Paths: Hashable {
        let authority: String
        let chain: String
        let key: String

        var all: [String] { [authority, chain, key] }
    }

    /// The files that were given, or that the processes of this machine make for each other.
    ///
    /// - Parameter state: where to keep the latter.
    func paths(state: () throws -> StateDirectory) throws -> (paths: Paths, selfMade: SelfMadeCertificates?) {
        if let authority, let certificate, let key {
            return (Paths(authority: authority, chain: certificate, key: key), nil)
        }
        // One certificate for both sides: whoever may read this directory may be either.
        let selfMade = SelfMadeCertificates(
            directory: try state().grants(), names: [.dns(Self.serverName)], purpose: .both)
        _ = try selfMade.ensure()
        return (Paths(authority: selfMade.authority, chain: selfMade.chain, key: selfMade.key), selfMade)
    }

    /// - Throws: ``UsageError`` when only some were given, or none where nobody else could have the ones made here.
    func check(_ environment: [String: String]) throws(UsageError) {
        let given = [("--grants-ca-file", authority), ("--grants-cert-file", certificate), ("--grants-key-file", key)]
        guard let missing = given.first(where: { $0.1 == nil })?.0 else { return }
        if let other = given.first(where: { $0.1 != nil })?.0 {
            throw UsageError("\(missing) got nothing; allowed: the path of a file, as \(other) is given")
        }
        if KubernetesCredentials.isInCluster(environment: environment) {
            throw UsageError(
                "\(missing) got nothing; allowed: in a pod, the path of a file, as a certificate made by itself would stay in "
                    + "the pod")
        }
    }
}

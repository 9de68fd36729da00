internal import Controller
internal import Election
internal import Platform
internal import TLS
internal import Webhook

/// A controller's port for the webhooks of its cluster, which must prove themselves with a certificate.
struct GrantServing {
    static let path = "/v1/grants"
    /// One kept alive for each webhook, and some in the handshake.
    private static let connectionsMax = 1024

    let certificate: ServingCertificate
    private let address: SocketAddress
    private let board: LeadershipBoard
    private let timing: Timing

    init(_ address: SocketAddress, _ certificate: ServingCertificate, controller: ControllerPart) {
        self.address = address
        self.certificate = certificate
        (board, timing) = (controller.board, controller.timing)
    }

    /// The certificate in files that exist.
    static func certificate(
        _ files: (paths: GrantFiles.Paths, selfMade: SelfMadeCertificates?)
    ) throws(CommandFailure) -> ServingCertificate {
        let (paths, selfMade) = files
        let files: CertificateFiles
        do {
            files = try CertificateFiles(chain: paths.chain, key: paths.key, clientAuthorities: paths.authority)
        } catch {
            throw CommandFailure(
                "the files of --grants-ca-file, --grants-cert-file or --grants-key-file cannot be used: \(error)")
        }
        let names = files.context.certificate.names
        guard names.contains(.dns(GrantFiles.serverName)) else {
            throw CommandFailure(
                "the certificate in \(paths.chain) is for \(names.map(\.description).joined(separator: ", ")), and webhooks "
                    + "insist on the DNS name \(GrantFiles.serverName): issue it for that one")
        }
        return ServingCertificate(label, files: files, selfMade: selfMade)
    }

    /// The certificate that the keeper of the authority puts into `directory`, sooner or later. The port is open before, so that
    /// whatever is wrong with it shows at the start, but no webhook gets through.
    static func certificate(awaitedIn directory: String) throws -> ServingCertificate {
        let files = IssuedFiles(in: directory)
        return ServingCertificate(
            label,
            files: try CertificateFiles(
                awaiting: files.chain, key: files.key, clientAuthorities: files.authorities), selfMade: nil)
    }

    private static let label = "grants_server"

    func serve(_ ports: Ports) throws -> Server {
        var limits = Limits()
        limits.connectionsMax = Self.connectionsMax
        limits.bodyBytesMax = 1024
        return try ports.open(
            "grants", address, "--grants-bind-address", [Self.route(board, timing)], limits, loops: 1
        ) { [certificate] in certificate.context }
    }

    func families() -> [MetricFamily] { certificate.families() }

    /// `GET /v1/grants`: what a webhook may act on, beginning with the request; see ``GrantQuestion``.
    static func route(_ board: LeadershipBoard, _ timing: Timing) -> Route {
        Route(.get, path) {
            return { _, query, answer in
                guard let question = GrantQuestion(query: query) else {
                    answer.append(contentsOf: "the query is not incarnation=I&revision=N, nor empty\n".utf8)
                    return Route.Answer(.badRequest, "text/plain; charset=utf-8")
                }
                // The table first, then the clocks: a table posted in between would be judged by an older reading.
                let table = board.table()
                let grant = Grant(of: table, known: question.known, at: .now(), timing: timing)
                do {
                    try grant.write(to: &answer)
                    return Route.Answer(.ok, "application/json")
                } catch {
                    // Numbers and texts always encode; a webhook takes this for no answer.
                    answer.append(contentsOf: "the grant cannot be written: \(error)\n".utf8)
                    return Route.Answer(.unavailable, "text/plain; charset=utf-8")
                }
            }
        }
    }
}

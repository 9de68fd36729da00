internal import Controller
internal import Platform
internal import TLS
internal import Webhook

/// A process's admission webhook: what it serves, and the certificate that it serves with.
struct WebhookPart {
    let options: WebhookOptions
    let certificate: ServingCertificate
    /// The file of the authority's certificate, when that was made here.
    let authority: String?
    private let admissions = AdmissionCounters()
    private let route: Route

    /// Makes a serving certificate where none is given.
    ///
    /// - Parameter state: where to keep it then.
    init(
        _ options: WebhookOptions, policy: Policy, board: LeadershipBoard, state: () throws -> StateDirectory, log: Log
    ) throws {
        self.options = options
        route = .validate(policy: policy, board: board, counters: admissions)
        if let chain = options.tlsCertificate, let key = options.tlsKey {
            certificate = ServingCertificate(Self.label, files: try Self.files(chain, key, options), selfMade: nil)
            authority = nil
            return
        }
        var names: [SubjectName] = [.dns("localhost"), .ip("127.0.0.1"), .ip("::1")]
        let address = options.bindAddress
        let bound = address.isAny ? nil : ValueType.subjectName.parse(address.host)
        for name in [bound].compactMap(\.self) + options.tlsNames where !names.contains(name) { names.append(name) }
        let selfMade = SelfMadeCertificates(directory: try state().certificates, names: names)
        if try selfMade.ensure() { log.info("Made a serving certificate", ["file": selfMade.chain]) }
        certificate = ServingCertificate(
            Self.label, files: try Self.files(selfMade.chain, selfMade.key, options), selfMade: selfMade)
        authority = selfMade.authority
    }

    private static let label = "serving"

    private static func files(_ chain: String, _ key: String, _ options: WebhookOptions) throws -> CertificateFiles {
        do {
            return try CertificateFiles(chain: chain, key: key, clientAuthorities: options.clientCA)
        } catch {
            throw CommandFailure("the files of --tls-certificate, --tls-key or --client-ca cannot be used: \(error)")
        }
    }

    func serve(_ ports: Ports) throws -> Server {
        try ports.open(
            "webhook", options.bindAddress, "--bind-address", [route], options.limits,
            loops: options.threads ?? Server.coreCount
        ) { [certificate] in certificate.context }
    }

    func families() -> [MetricFamily] { admissions.families() + certificate.families() }
}

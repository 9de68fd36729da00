import Chaos
import FoundationEssentials
import HTTP
import Support

/// One way to ask a cluster whether the sample's operator may write now.
struct AdmissionDoor: Sendable {
    enum Kind: String, Hashable, Sendable {
        /// With an AdmissionReview, as the API server would ask.
        case webhook
        /// With a dry run of a real write, as the operator.
        case apiServer = "API server"
    }

    enum Verdict: Hashable, Sendable {
        case admitted
        /// Also when the API server could not ask the webhook (`failurePolicy: Fail`).
        case denied(code: Int, retryAfterSeconds: Int?)
        /// No HTTP answer.
        case unanswered
    }

    /// What came back, and when, by the one clock of this process.
    struct Answer: Sendable, CustomStringConvertible {
        let cluster: String
        let kind: Kind
        /// Before the first byte left.
        let sent: ContinuousClock.Instant
        /// After the last byte had come.
        let received: ContinuousClock.Instant
        let verdict: Verdict
        let text: String

        var isAdmitted: Bool { verdict == .admitted }

        var description: String {
            "\(cluster)'s \(kind.rawValue): \(verdict) after \(received - sent): \(text.prefix(500))"
        }
    }

    let cluster: String
    let kind: Kind
    private let client: HTTPClient
    private let request: HTTPRequest

    /// Longer than a test lets a server sleep.
    private static let timeout = Duration.seconds(60)

    static func webhook(of cluster: TestCluster) throws -> AdmissionDoor {
        // Made at the first start, and kept in the state directory.
        let authority = try bytes("\(cluster.plane.directory.file("state"))/clusters/\(cluster.name)/tls/ca.crt")
        return try webhook(of: cluster.name, at: cluster.port, trusting: authority)
    }

    /// - Parameter authority: PEM.
    static func webhook(of cluster: String, at port: UInt16, trusting authority: [UInt8]) throws -> AdmissionDoor {
        let request = HTTPRequest(
            .post, "https://127.0.0.1:\(port)/validate",
            headers: [.init("Content-Type", "application/json")],
            body: try bytes(ControlPlane.projectFile("Tests/WebhookTests/Fixtures/01-create-guestbooks.json")),
            timeout: timeout)
        return AdmissionDoor(cluster, .webhook, trusting: authority, request)
    }

    static func apiServer(of cluster: TestCluster) throws -> AdmissionDoor {
        try apiServer(of: cluster.name, as: cluster.operatorOfTeamA)
    }

    /// - Parameter kubeconfig: of the sample's operator.
    static func apiServer(of cluster: String, as kubeconfig: String) throws -> AdmissionDoor {
        let access = try JSONDecoder().decode(Kubeconfig.self, from: Data(bytes(kubeconfig)))
        guard let server = access.clusters.first?.cluster, let user = access.users.first?.user else {
            throw ChildProcess.Failure("\(kubeconfig) names no server or no user")
        }
        let request = HTTPRequest(
            .post, "\(server.server)/apis/webapp.my.domain/v1/namespaces/team-a/guestbooks?dryRun=All",
            headers: [.init("Content-Type", "application/json"), .init("Authorization", "Bearer \(user.token)")],
            body: Array(
                """
                {"apiVersion": "webapp.my.domain/v1", "kind": "Guestbook", "metadata": {"generateName": "asked-"},
                 "spec": {"book": "visitors", "replicas": 1}}
                """.utf8), timeout: timeout)
        return AdmissionDoor(cluster, .apiServer, trusting: [UInt8](server.authority), request)
    }

    private init(_ cluster: String, _ kind: Kind, trusting authority: [UInt8], _ request: HTTPRequest) {
        self.cluster = cluster
        self.kind = kind
        self.request = request
        var options = HTTPClient.Options()
        options.trust = .authorities(authority)
        client = HTTPClient(options)
    }

    func ask() async -> Answer {
        let sent = ContinuousClock.now
        let (verdict, text): (Verdict, String)
        do throws(HTTPError) {
            let response = try await client.send(request)
            verdict = kind == .webhook ? Self.verdict(ofWebhook: response) : Self.verdict(ofServer: response)
            text = String(decoding: response.body.prefix(1000), as: UTF8.self)
        } catch {
            (verdict, text) = (.unanswered, "\(error)")
        }
        return Answer(cluster: cluster, kind: kind, sent: sent, received: .now, verdict: verdict, text: text)
    }

    // MARK: - Reading answers

    private static func verdict(ofWebhook response: HTTPResponse) -> Verdict {
        guard response.status == 200, let answer = ReviewAnswer(parsing: response.body) else {
            return .denied(code: response.status, retryAfterSeconds: nil)
        }
        return answer.isAllowed
            ? .admitted : .denied(code: answer.code, retryAfterSeconds: answer.retryAfterSeconds)
    }

    private static func verdict(ofServer response: HTTPResponse) -> Verdict {
        if response.status == 201 { return .admitted }
        let status = try? JSONDecoder().decode(Status.self, from: Data(response.body))
        return .denied(code: response.status, retryAfterSeconds: status?.details?.retryAfterSeconds)
    }

    private struct Status: Decodable {
        struct Details: Decodable { let retryAfterSeconds: Int? }
        let details: Details?
    }

    /// What the harness writes.
    private struct Kubeconfig: Decodable {
        struct NamedCluster: Decodable {
            struct Cluster: Decodable {
                private enum CodingKeys: String, CodingKey {
                    case server
                    case authority = "certificate-authority-data"
                }
                let server: String
                let authority: Data
            }
            let cluster: Cluster
        }
        struct NamedUser: Decodable {
            struct User: Decodable { let token: String }
            let user: User
        }
        let clusters: [NamedCluster]
        let users: [NamedUser]
    }

    private static func bytes(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(filePath: path)))
    }
}

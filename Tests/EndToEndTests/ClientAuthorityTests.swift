import FoundationEssentials
import Glibc
import Support
import TLS
import Testing

/// A webhook that only answers who proves to be the API server (`--client-ca`), as docs/api-server-identity.md describes.
struct ClientAuthorityTests {
    private let directory: TemporaryDirectory
    private let port: UInt16

    init() throws {
        directory = try TemporaryDirectory()
        port = try FreePort.any()
    }

    /// What `--admission-control-config-file` of kube-apiserver names.
    private func writeConfiguration() throws -> String {
        let authority = try CertificateAuthority.make(commonName: "webhook clients")
        let identity = try authority.issue(commonName: "kube-apiserver", names: [], purpose: .client)
        try Certificate.write([authority.certificate], to: directory.file("client-ca.crt"))
        try Certificate.write(identity.chain, to: directory.file("client.crt"))
        try identity.key.write(to: directory.file("client.key"))
        try directory.write(
            """
            apiVersion: apiserver.config.k8s.io/v1
            kind: AdmissionConfiguration
            plugins:
              - name: ValidatingAdmissionWebhook
                configuration:
                  apiVersion: apiserver.config.k8s.io/v1
                  kind: WebhookAdmissionConfiguration
                  kubeConfigFile: \(directory.file("webhooks.kubeconfig"))

            """, to: "admission.yaml")
        return directory.file("admission.yaml")
    }

    /// - Parameter user: the part of the kubeconfig that names the webhook; empty: none.
    private func writeUsers(_ user: String) throws {
        try directory.write(
            "apiVersion: v1\nkind: Config\nusers:\(user.isEmpty ? " []" : "\n" + user)\n", to: "webhooks.kubeconfig")
    }

    private var user: String {
        """
          - name: 127.0.0.1:\(port)
            user:
              client-certificate: \(directory.file("client.crt"))
              client-key: \(directory.file("client.key"))
        """
    }

    private func restart(_ plane: ControlPlane, _ user: String) async throws {
        await plane.killServer()
        try writeUsers(user)
        try await plane.startServer()
    }

    @Test func `with --client-ca the API server must prove itself, else no guarded write passes`() async throws {
        let configuration = try writeConfiguration()
        try writeUsers(user)
        let plane = try await ControlPlane.start(
            "east", serverArguments: ["--admission-control-config-file=\(configuration)"])
        try await plane.installLeasehold(servingAt: port)
        let process = try await plane.startLeasehold(
            servingAt: port,
            ["--store", "file://\(directory.file("store"))", "--client-ca", directory.file("client-ca.crt")])
        let account = try await plane.serviceAccount("guestbook-operator", in: "team-a")
        let door = try AdmissionDoor.apiServer(of: "east", as: account)
        func until(_ what: String, _ isMeant: (AdmissionDoor.Answer) -> Bool) async throws {
            var last: AdmissionDoor.Answer?
            do {
                try await eventually(what) {
                    guard !process.hasExited else { throw ChildProcess.Failure("leasehold has ended") }
                    let answer = await door.ask()
                    last = answer
                    return isMeant(answer)
                }
            } catch {
                throw ChildProcess.Failure("\(error): \(last.map { "\($0)" } ?? "")\nThe log:\n\(process.err)")
            }
        }
        try await until("an API server with a certificate is answered") { $0.isAdmitted }

        // Who has none learns nothing.
        let authority = try Data(
            contentsOf: URL(filePath: "\(plane.directory.file("state"))/clusters/east/tls/ca.crt"))
        let stranger = try AdmissionDoor.webhook(of: "east", at: port, trusting: [UInt8](authority))
        #expect(await stranger.ask().verdict == .unanswered)
        try await restart(plane, "")
        try await until("an API server without one cannot ask, and refuses the write") {
            $0.verdict == .denied(code: 500, retryAfterSeconds: nil)
                && $0.text.contains("remote error: tls: certificate required")
        }
        try await restart(plane, user)
        try await until("it is answered again") { $0.isAdmitted }

        process.send(SIGTERM)
        #expect(await process.exitCode() == 0, "\(process.err)")
    }
}

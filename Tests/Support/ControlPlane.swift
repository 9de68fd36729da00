private import FoundationEssentials
private import Glibc
private import Platform
private import TLS

/// A cluster's control plane on this machine: etcd and a real kube-apiserver, on ports of 127.0.0.1, with RBAC on.
///
/// There is no kube-controller-manager: nobody makes a namespace's default service account, nobody fills aggregated roles
/// (`view`, `edit`, `admin` are empty), and nobody collects garbage; ``finishDeletion(of:)`` does what tests need of it.
/// etcd asks nobody who they are, so that any user of this machine may read and write what is in it.
///
/// Everything ends with this object, or with this program, whichever ends first. Any thread may call it.
package final class ControlPlane: Sendable {
    /// Also the name of the cluster in kubeconfig files.
    package let name: String
    /// A kubeconfig file (0600) of an administrator, who may do anything (group `system:masters`).
    package let admin: String
    /// `https://127.0.0.1:PORT`, also after a restart.
    package let url: String
    package let directory: TemporaryDirectory
    package let binaries: ControlPlaneBinaries
    /// The certificate, PEM, by which clients know the API server.
    let authority: String

    private let port: UInt16
    private let serverArguments: [String]
    private let etcd: ChildProcess
    /// nil while the API server is down.
    private let server = Locked<ChildProcess?>(nil)

    /// - Parameter serverArguments: for the API server, beside its own.
    private init(_ name: String, serverArguments: [String], binaries: ControlPlaneBinaries) throws {
        self.name = name
        self.binaries = binaries
        directory = try TemporaryDirectory()
        port = try FreePort.any()
        url = "https://127.0.0.1:\(port)"

        let authority = try CertificateAuthority.make(commonName: "\(name) authority")
        self.authority = try authority.certificate.pem()
        let identity = try authority.issue(
            commonName: "kube-apiserver", names: [.ip("127.0.0.1"), .dns("localhost")], purpose: .server)
        let (certificate, key) = (directory.file("server.crt"), directory.file("server.key"))
        try Certificate.write(identity.chain, to: certificate)
        try identity.key.write(to: key)
        let tokens = directory.file("tokens.csv")
        let token = Self.secret()
        try SecretFile.write("\(token),admin,admin,system:masters\n", to: tokens)
        admin = directory.file("\(name).admin.kubeconfig")

        let etcdURL = "http://127.0.0.1:\(try FreePort.any())"
        etcd = try ChildProcess(
            binaries.etcd,
            [
                "--data-dir", directory.file("etcd"), "--listen-client-urls", etcdURL, "--advertise-client-urls",
                etcdURL,
                "--listen-peer-urls", "http://127.0.0.1:0", "--initial-advertise-peer-urls", "http://127.0.0.1:0",
                "--initial-cluster", "default=http://127.0.0.1:0", "--log-level", "warn",
            ], in: directory)
        self.serverArguments =
            [
                "--etcd-servers=\(etcdURL)", "--bind-address=127.0.0.1", "--secure-port=\(port)",
                "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
                "--cert-dir=\(directory.file("certificates"))", "--tls-cert-file=\(certificate)",
                "--tls-private-key-file=\(key)", "--token-auth-file=\(tokens)", "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=https://kubernetes.default.svc",
                // Tokens are signed with the serving key, since that is at hand; a certificate serves as public key.
                "--service-account-signing-key-file=\(key)", "--service-account-key-file=\(certificate)",
            ] + serverArguments
        try writeKubeconfig(user: "admin", token: token, namespace: "default", to: admin)
    }

    /// Tests begin at once, and an API server needs some seconds of a processor until it serves: all of them together would
    /// need minutes, each.
    private static let starts = Turnstile(2)

    /// Starts one, when it is its turn, and waits until it serves.
    package static func start(_ name: String, serverArguments: [String] = []) async throws -> ControlPlane {
        try await starts.pass { try await startNow(name, serverArguments) }
    }

    private static func startNow(_ name: String, _ serverArguments: [String]) async throws -> ControlPlane {
        let binaries = try ControlPlaneBinaries.find()
        var attempts = 3
        while true {
            do {
                let made = try ControlPlane(name, serverArguments: serverArguments, binaries: binaries)
                try await made.startServer()
                return made
            } catch let error as PortTaken {
                attempts -= 1
                if attempts == 0 { throw error }
            }
        }
    }

    // MARK: - The API server alone

    /// Starts the API server, on its port and with what etcd kept, and waits until it serves. For one that is down.
    package func startServer() async throws {
        let process = try ChildProcess(binaries.server, serverArguments, in: directory)
        server.withLock { server in
            precondition(server == nil, "the API server of \(name) runs already")
            server = process
        }
        try await eventually("the API server of \(name) listens") {
            try check(process)
            return FreePort.isServed(port)
        }
        // The namespace is made by the server itself, and a little later than it says that it is ready.
        for path in ["/readyz", "/api/v1/namespaces/kube-system"] {
            try await eventually("the API server of \(name) serves \(path)") {
                try check(process)
                return try await kubectl("get", "--raw", path).code == 0
            }
        }
    }

    /// Kills the API server with no time to finish anything; the port then refuses connections.
    package func killServer() async {
        let process = server.withLock { server in
            defer { server = nil }
            return server
        }
        process?.send(SIGKILL)
        _ = await process?.exit()
    }

    /// Stops the API server in its tracks: connections are accepted by the kernel, but nothing is answered.
    package func freezeServer() { signalServer(SIGSTOP) }

    package func thawServer() { signalServer(SIGCONT) }

    private func signalServer(_ signal: Int32) {
        server.withLock { $0?.send(signal) }
    }

    /// What the API server has logged since its last start.
    package var log: String { server.withLock { $0?.err ?? "" } }

    /// The processes that run now; for tests of this harness.
    package var pids: [Int32] { [etcd.pid] + server.withLock { [$0?.pid].compactMap(\.self) } }

    private struct PortTaken: Error, CustomStringConvertible {
        let description: String
    }

    private func check(_ server: ChildProcess) throws {
        for (name, process) in [("etcd", etcd), ("kube-apiserver", server)] where process.hasExited {
            let text = process.err
            if text.contains("address already in use") { throw PortTaken(description: "\(name): its port is taken") }
            throw ChildProcess.Failure("\(name) of \(self.name) ended; its last words: \(text.suffix(2000))")
        }
    }

    // MARK: - Credentials

    /// A kubeconfig in which only `token` is secret. JSON, which is YAML too.
    func writeKubeconfig(user: String, token: String, namespace: String, to path: String) throws {
        let authority = Data(authority.utf8).base64EncodedString()
        let text = """
            {"apiVersion": "v1", "kind": "Config", "current-context": "\(name)",
             "clusters": [{"name": "\(name)",
              "cluster": {"server": "\(url)", "certificate-authority-data": "\(authority)"}}],
             "users": [{"name": "\(user)", "user": {"token": "\(token)"}}],
             "contexts": [{"name": "\(name)",
              "context": {"cluster": "\(name)", "user": "\(user)", "namespace": "\(namespace)"}}]}

            """
        try SecretFile.write(text, to: path)
    }

    private static func secret() -> String {
        var random = SystemRandomNumberGenerator()
        return (0..<4).map { _ in String(random.next(), radix: 36) }.joined()
    }
}

import FoundationEssentials
import Glibc
import Kubernetes
import Platform
import Support
import TLS
import Testing

/// A cluster whose controllers keep their authority in a Secret: an API server, two controllers, two webhooks that it asks
/// both, and for each webhook a kubelet that copies Secrets.
final class CertificateScene: Sendable {
    static let authority = "leader-election-authority"
    static let webhookTLS = "leader-election-webhook-tls"
    static let grantsTLS = "leader-election-grants-tls"

    /// Decades in a minute. A certificate is made anew every eight seconds, and then has four left.
    private static let lifetimes = ["--authority-lifetime", "36s", "--certificate-lifetime", "12s"]
    /// No lease or grant is to run out because the machine has much to do.
    private static let patience = [
        "--lease-duration", "120s", "--renew-interval", "1s", "--poll-interval", "1s", "--grant-duration", "30s",
        "--commit-margin", "500ms",
    ]

    /// One webhook: where it serves, its pod's mounts, and how often its kubelet looks.
    struct Webhook: Sendable {
        let port: UInt16
        let tls: ProjectedSecret
        let grants: ProjectedSecret
        let kubeletPause: Duration
    }

    /// What one look at the cluster saw.
    struct Look: Sendable {
        var secrets: [String: SecretObject] = [:]
        /// What the API server trusts, PEM; of each webhook.
        var bundles: [[UInt8]] = []
    }

    let plane: ControlPlane
    let operatorOfTeamA: String
    let webhooks: [Webhook]
    let client: KubernetesClient
    private let grantPorts: [UInt16]
    /// The kubeconfig of the controllers.
    private let account: String
    private let directory: TemporaryDirectory
    private let processes = Locked<[(name: String, process: ChildProcess)]>([])
    private let kubelets = Locked<[Task<Void, Never>]>([])

    private init(_ plane: ControlPlane) async throws {
        self.plane = plane
        let directory = try TemporaryDirectory()
        self.directory = directory
        grantPorts = [try FreePort.any(), try FreePort.any()]
        webhooks = try [Duration.milliseconds(50), .milliseconds(300)].enumerated().map { at, pause in
            Webhook(
                port: try FreePort.any(), tls: try ProjectedSecret(in: directory.file("pod-\(at)/tls")),
                grants: try ProjectedSecret(in: directory.file("pod-\(at)/grants")), kubeletPause: pause)
        }
        client = KubernetesClient(
            try await KubernetesCredentials.kubeconfig(
                path: plane.admin, context: nil,
                environment: ["HOME": directory.path, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""]),
            log: Log { _ in })
        try await plane.installLeasehold(servingAt: webhooks[0].port)
        account = try await plane.leaseholdAccount()
        operatorOfTeamA = try await plane.serviceAccount("guestbook-operator", in: "team-a")
    }

    static func start() async throws -> CertificateScene {
        let scene = try await CertificateScene(ControlPlane.start("east"))
        try await scene.askBothWebhooks()
        for number in 0...1 { try scene.startController(number) }
        for number in 0...1 { try await scene.startWebhook(number) }
        return scene
    }

    deinit {
        for kubelet in kubelets.withLock({ $0 }) { kubelet.cancel() }
    }

    // MARK: - What runs

    /// A write is admitted when both admit it.
    private func askBothWebhooks() async throws {
        try await plane.run(
            "patch", "validatingwebhookconfiguration", ControlPlane.webhookConfiguration, "--type=json", "--patch",
            """
            [{"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 10},
             {"op": "copy", "from": "/webhooks/0", "path": "/webhooks/1"},
             {"op": "replace", "path": "/webhooks/1/name", "value": "other.leaderelection.600lyy.io"},
             {"op": "replace", "path": "/webhooks/1/clientConfig",
              "value": {"url": "https://127.0.0.1:\(webhooks[1].port)/validate"}}]
            """)
    }

    /// - Parameter number: 0 and 1 for those that webhooks ask.
    @discardableResult
    func startController(_ number: Int, healthPort: UInt16 = 0) throws -> ChildProcess {
        let port = number < grantPorts.count ? grantPorts[number] : try FreePort.any()
        return try start(
            "controller \(number)",
            [
                "controller", "--cluster", "east", "--kubeconfig", account, "--store",
                "file://\(directory.file("store"))", "--state-directory", directory.file("state-\(number)"),
                "--grants-bind-address", "127.0.0.1:\(port)", "--authority-secret", Self.authority,
                "--webhook-tls-name", "127.0.0.1", "--health-probe-bind-address",
                healthPort == 0 ? "0" : "127.0.0.1:\(healthPort)",
            ] + Self.patience + Self.lifetimes)
    }

    private func startWebhook(_ number: Int) async throws {
        let webhook = webhooks[number]
        let kubelet = Task { [weak self] in
            var seen: [String: [String: [UInt8]]] = [:]
            while !Task.isCancelled {
                guard let client = self?.client else { return }
                for (name, mount) in [(Self.webhookTLS, webhook.tls), (Self.grantsTLS, webhook.grants)] {
                    // A kubelet leaves a pod what it has when the Secret is gone or the API server is away.
                    guard let data = try? await Self.read(name, client)?.data, data != seen[name] else { continue }
                    do {
                        try mount.write(data)
                        seen[name] = data
                    } catch { Issue.record("the kubelet cannot write: \(error)") }
                }
                // Interrupted only at the end.
                try? await Task.sleep(for: webhook.kubeletPause, clock: .continuous)
            }
        }
        kubelets.withLock { $0.append(kubelet) }
        try await eventually("the Secrets are there") {
            FileManager.default.fileExists(atPath: webhook.tls.file("tls.crt"))
                && FileManager.default.fileExists(atPath: webhook.grants.file("tls.crt"))
        }
        try start(
            "webhook \(number)",
            [
                "webhook", "--health-probe-bind-address", "0", "--cluster", "east", "--bind-address",
                "127.0.0.1:\(webhook.port)",
                "--tls-certificate", webhook.tls.file("tls.crt"), "--tls-key", webhook.tls.file("tls.key"),
                "--grants-ca-file", webhook.grants.file("ca.crt"), "--grants-cert-file",
                webhook.grants.file("tls.crt"), "--grants-key-file", webhook.grants.file("tls.key"),
            ] + grantPorts.flatMap { ["--grants-address", "127.0.0.1:\($0)"] })
    }

    @discardableResult
    private func start(_ name: String, _ arguments: [String]) throws -> ChildProcess {
        let process = try ChildProcess(
            leasehold: arguments + ["--metrics-bind-address", "127.0.0.1:0"],
            // For kubectl, by which kubeconfigs are read.
            environment: ["HOME": directory.path, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""],
            in: directory)
        processes.withLock { $0.append((name, process)) }
        return process
    }

    /// Ends all processes in good order.
    func end() async {
        let processes = processes.withLock { $0 }
        for (_, process) in processes { process.send(SIGTERM) }
        for (name, process) in processes {
            #expect(await process.exitCode() == 0, "\(name): \(process.err)")
        }
    }

    var logs: [String] { processes.withLock { $0.map { "The log of \($0.name):\n\($0.process.err)" } } }

    func until(_ what: String, _ condition: () async throws -> Bool) async throws {
        do {
            try await eventually(what) {
                for (name, process) in processes.withLock({ $0 }) where process.hasExited {
                    throw ChildProcess.Failure("\(name) has ended")
                }
                return try await condition()
            }
        } catch { throw ChildProcess.Failure("\(what): \(error)\n\(logs.joined(separator: "\n"))") }
    }

    // MARK: - What is to be seen

    private static func read(_ name: String, _ client: KubernetesClient) async throws -> SecretObject? {
        do {
            return try await client.read(SecretObject.self, name, namespace: ControlPlane.systemNamespace)
        } catch let error where error.code == .notFound { return nil }
    }

    func look() async throws -> Look {
        var look = Look()
        for name in [Self.authority, Self.webhookTLS, Self.grantsTLS] {
            look.secrets[name] = try await Self.read(name, client)
        }
        look.bundles =
            try await client.read(WebhookConfigurationObject.self, ControlPlane.webhookConfiguration)
            .webhooks?.map { [UInt8](Data(base64Encoded: $0.clientConfig.caBundle ?? "") ?? Data()) } ?? []
        return look
    }

    func door() throws -> AdmissionDoor { try .apiServer(of: "east", as: operatorOfTeamA) }
}

extension CertificateScene.Look {
    /// Whether the API server trusts what the authority's Secret says.
    var isTold: Bool {
        guard let wanted = secrets[CertificateScene.authority]?.data["ca.crt"] else { return false }
        return !bundles.isEmpty && bundles.allSatisfy { $0 == wanted }
    }

    /// The serial number of the certificate in a Secret.
    func serial(_ name: String) throws -> String? {
        guard let pem = secrets[name]?.data["tls.crt"] else { return nil }
        return try Certificate.all(pem: pem.span)[0].serialNumber
    }
}

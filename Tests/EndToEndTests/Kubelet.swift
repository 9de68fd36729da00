import FoundationEssentials
import Glibc
import HTTP
import Support

/// Runs the pods of `config/manager` as processes of this machine: with their arguments, their environment, the rights of
/// their accounts and their Secrets. Only what a cluster's network would do is done by other addresses.
struct Kubelet: Sendable {
    let plane: ControlPlane
    let webhookPort: UInt16
    private let grantPort: UInt16
    private let health: (controller: UInt16, webhook: UInt16)
    private let directory: TemporaryDirectory

    init(_ plane: ControlPlane, webhookPort: UInt16) throws {
        (self.plane, self.webhookPort) = (plane, webhookPort)
        grantPort = try FreePort.any()
        health = (try FreePort.any(), try FreePort.any())
        directory = try TemporaryDirectory()
    }

    /// - Parameter more: further arguments.
    func startController(_ pod: Pod, _ more: [String] = []) async throws -> ChildProcess {
        try await mountSecrets(of: pod, named: "controller")
        return try start(
            pod, named: "controller",
            [
                "--kubeconfig", try await plane.leaseholdAccount(), "--grants-bind-address", "127.0.0.1:\(grantPort)",
                "--health-probe-bind-address", "127.0.0.1:\(health.controller)",
            ] + more, ["LEASEHOLD_STORE": "file:\(directory.file("store"))"])
    }

    /// When its Secrets are there.
    func startWebhook(_ pod: Pod) async throws -> ChildProcess {
        try await mountSecrets(of: pod, named: "webhook")
        return try start(
            pod, named: "webhook",
            [
                "--bind-address", "127.0.0.1:\(webhookPort)", "--health-probe-bind-address",
                "127.0.0.1:\(health.webhook)",
            ],
            // As in each pod, though this one has no token for it.
            ["KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"])
    }

    /// `leasehold doctor`, with the controller's account and store, but out of reach of the cluster's Services.
    ///
    /// - Returns: of each check its status and message.
    func doctor() async throws -> [String: String] {
        struct Report: Decodable {
            struct Finding: Decodable { let check, status, message: String }
            let checks: [Finding]
        }
        let process = try ChildProcess(
            leasehold: [
                "doctor", "--output", "json", "--kubeconfig", try await plane.leaseholdAccount(), "--store",
                "file:\(directory.file("store"))", "--authority-secret", "leader-election-authority",
            ],
            environment: ["HOME": directory.path, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""],
            in: directory)
        guard [0, 3].contains(await process.exitCode()) else { throw ChildProcess.Failure(process.err) }
        let checks = try JSONDecoder().decode(Report.self, from: Data(process.out.utf8)).checks
        return Dictionary(uniqueKeysWithValues: checks.map { ($0.check, "\($0.status): \($0.message)") })
    }

    /// Whether both pods' readiness probes succeed.
    func areReady() async -> Bool {
        for port in [health.controller, health.webhook] {
            do throws(HTTPError) {
                let answer = try await HTTPClient().send(HTTPRequest(.get, "http://127.0.0.1:\(port)/readyz"))
                guard answer.status == 200 else { return false }
            } catch { return false }
        }
        return true
    }

    private func start(
        _ pod: Pod, named name: String, _ more: [String], _ environment: [String: String]
    ) throws -> ChildProcess {
        let container = pod.containers[0]
        let grants = "leader-election-grants.\(ControlPlane.systemNamespace).svc:9443"
        let arguments = container.args.map { argument in
            argument == "--grants-address=\(grants)"
                ? "--grants-address=127.0.0.1:\(grantPort)" : here(argument, in: name)
        }
        var variables = [
            "LEASEHOLD_CLUSTER": "east", "HOME": directory.path,
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
        ]
        for variable in container.env {
            variables[variable.name] = variable.value.map { here($0, in: name) } ?? ControlPlane.systemNamespace
        }
        variables.merge(environment) { _, new in new }
        return try ChildProcess(
            leasehold: arguments + ["--metrics-bind-address", "0"] + more, environment: variables, in: directory)
    }

    /// A path of a pod, on this machine; each pod has files of its own.
    private func here(_ text: String, in pod: String) -> String {
        text.replacing("/etc/leasehold/", with: directory.file("\(pod)/etc/")).replacing(
            "/var/lib/leasehold", with: directory.file("\(pod)/state"))
    }

    private func mountSecrets(of pod: Pod, named podName: String) async throws {
        struct Secret: Decodable { let data: [String: Data] }
        for mount in pod.containers[0].volumeMounts {
            guard let name = pod.volumes.first(where: { $0.name == mount.name })?.secret?.secretName else { continue }
            var text = ""
            try await eventually("there is a Secret \(name)") {
                let outcome = try await plane.kubectl(
                    "get", "secret", name, "--namespace", ControlPlane.systemNamespace, "--output", "json")
                text = outcome.out
                return outcome.code == 0
            }
            let path = here(mount.mountPath + "/", in: podName)
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            for (key, value) in try JSONDecoder().decode(Secret.self, from: Data(text.utf8)).data {
                try SecretFile.write(String(decoding: value, as: UTF8.self), to: path + key)
            }
        }
    }
}

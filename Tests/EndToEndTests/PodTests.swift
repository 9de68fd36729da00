import FoundationEssentials
import Glibc
import HTTP
import Support
import Testing

/// The pods of `config/manager` as processes of this machine: with their arguments, their environment, the rights of their
/// accounts and their Secrets. Only what a cluster's network and kubelets would do is done here.
struct PodTests {
    private let directory: TemporaryDirectory
    private let grantPort: UInt16
    private let webhookPort: UInt16

    init() throws {
        directory = try TemporaryDirectory()
        grantPort = try FreePort.any()
        webhookPort = try FreePort.any()
    }

    @Test func `what the manifests start elects, grants and admits, with its own certificates and rights`() async throws
    {
        let plane = try await ControlPlane.start("east")
        try await plane.installLeasehold(servingAt: webhookPort)
        let manifests = try await Manifests.build("manager", by: plane)
        try await plane.run("apply", "--validate=false", "--filename", "-", input: manifests.text)
        try await plane.run("apply", "--filename", ControlPlane.projectFile("config/webhook/service.yaml"))
        let deployments = try await Deployment.all(on: plane)
        let (controllers, webhooks) = (deployments[0].spec.template, deployments[1].spec.template)
        try await checkServices(deployments, on: plane)

        let health = (controller: try FreePort.any(), webhook: try FreePort.any())
        let controller = try start(
            controllers.spec,
            [
                "--kubeconfig", try await plane.leaseholdAccount(), "--grants-bind-address", "127.0.0.1:\(grantPort)",
                "--webhook-tls-name", "127.0.0.1", "--health-probe-bind-address", "127.0.0.1:\(health.controller)",
            ], ["LEASEHOLD_STORE": "file:\(directory.file("store"))"])
        try await mountSecrets(of: webhooks.spec, plane)
        let webhook = try start(
            webhooks.spec,
            [
                "--bind-address", "127.0.0.1:\(webhookPort)", "--health-probe-bind-address",
                "127.0.0.1:\(health.webhook)",
            ],
            // As in each pod, though this one has no token for it.
            ["KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"])

        let account = try await plane.serviceAccount("guestbook-operator", in: "team-a")
        let sample = ControlPlane.projectFile("config/samples/guestbook.yaml")
        do {
            try await eventually("both are ready, and the operator may write") {
                guard !controller.hasExited, !webhook.hasExited else { throw ChildProcess.Failure("one ended") }
                guard await isReady(health.controller), await isReady(health.webhook) else { return false }
                return try await plane.kubectl("apply", "--filename", sample, as: account).code == 0
            }
        } catch {
            Issue.record("\(error)\n\(controller.err)\n\(webhook.err)")
        }
        for process in [webhook, controller] {
            process.send(SIGTERM)
            #expect(await process.exitCode() == 0, "\(process.err)")
            #expect(!process.err.contains("orbidden"), "\(process.err)")
        }
    }

    /// That each Service leads to a port of the pods of one Deployment.
    private func checkServices(_ deployments: [Deployment], on plane: ControlPlane) async throws {
        struct List: Decodable { let items: [Service] }
        let text = try await plane.run(
            "get", "services", "--namespace", ControlPlane.systemNamespace, "--output", "json")
        let services = try JSONDecoder().decode(List.self, from: Data(text.utf8)).items
        #expect(services.map(\.metadata.name) == ["leader-election-grants", "leader-election-webhook-service"])
        for service in services {
            let behind = deployments.filter { deployment in
                let labels = deployment.spec.template.metadata.labels
                return service.spec.selector.allSatisfy { labels[$0.key] == $0.value }
            }
            #expect(behind.count == 1)
            let ports = behind.first?.spec.template.spec.containers[0].ports.map(\.name) ?? []
            #expect(service.spec.ports.allSatisfy { ports.contains($0.targetPort) })
        }
    }

    private struct Service: Decodable {
        struct Spec: Decodable {
            let selector: [String: String]
            let ports: [Port]
        }
        struct Port: Decodable { let targetPort: String }
        let metadata: Deployment.Metadata
        let spec: Spec
    }

    // MARK: - What a kubelet does

    /// - Parameter more: arguments for a machine that all pods share.
    private func start(_ pod: Pod, _ more: [String], _ environment: [String: String]) throws -> ChildProcess {
        let container = pod.containers[0]
        let grants = "leader-election-grants.\(ControlPlane.systemNamespace).svc:9443"
        let arguments = container.args.map { argument in
            argument == "--grants-address=\(grants)" ? "--grants-address=127.0.0.1:\(grantPort)" : here(argument)
        }
        var variables = [
            "LEASEHOLD_CLUSTER": "east", "HOME": directory.path,
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
        ]
        for variable in container.env {
            variables[variable.name] = variable.value.map(here) ?? ControlPlane.systemNamespace
        }
        variables.merge(environment) { _, new in new }
        return try ChildProcess(
            leasehold: arguments + ["--metrics-bind-address", "0"] + more, environment: variables, in: directory)
    }

    /// A path of a pod, on this machine.
    private func here(_ text: String) -> String {
        text.replacing("/etc/leasehold/", with: directory.file("etc/")).replacing(
            "/var/lib/leasehold", with: directory.file("state"))
    }

    private func mountSecrets(of pod: Pod, _ plane: ControlPlane) async throws {
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
            let path = here(mount.mountPath + "/")
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            for (key, value) in try JSONDecoder().decode(Secret.self, from: Data(text.utf8)).data {
                try SecretFile.write(String(decoding: value, as: UTF8.self), to: path + key)
            }
        }
    }

    private func isReady(_ port: UInt16) async -> Bool {
        do throws(HTTPError) {
            return try await HTTPClient().send(HTTPRequest(.get, "http://127.0.0.1:\(port)/readyz")).status == 200
        } catch { return false }
    }
}

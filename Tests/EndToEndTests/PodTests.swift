import FoundationEssentials
import Glibc
import Support
import TLS
import Testing

/// What `config/` starts, by a ``Kubelet``.
@Suite(.serialized) struct PodTests {
    @Test func `what the manifests start elects, grants and admits, with its own certificates and rights`() async throws
    {
        let plane = try await ControlPlane.start("east")
        let kubelet = try Kubelet(plane, webhookPort: FreePort.any())
        try await plane.installLeasehold(servingAt: kubelet.webhookPort)
        let manifests = try await Manifests.build("manager", by: plane)
        try await plane.run("apply", "--validate=false", "--filename", "-", input: manifests.text)
        try await plane.run("apply", "--filename", ControlPlane.projectFile("config/webhook/service.yaml"))
        let deployments = try await Deployment.all(on: plane)
        try await checkServices(deployments, on: plane)

        let pods = deployments.map(\.spec.template.spec)
        let service = "leader-election-webhook-service.\(ControlPlane.systemNamespace).svc"
        let controller = try await kubelet.startController(
            pods[0], ["--webhook-tls-name", "127.0.0.1", "--webhook-tls-name", service])
        let webhook = try await kubelet.startWebhook(pods[1])
        try await check(controller, webhook, kubelet) { try await examine(kubelet) }
    }

    @Test(.enabled("kubectl is older than 1.21", { try await Manifests.canBeBuilt() }))
    func `with cert-manager they do the same by the certificates that it issues, without a right to any Secret`()
        async throws
    {
        let plane = try await ControlPlane.start("east")
        let kubelet = try Kubelet(plane, webhookPort: FreePort.any())
        try await plane.installLeasehold(servingAt: kubelet.webhookPort)
        for kind in ["role", "rolebinding", "clusterrole", "clusterrolebinding"] {
            let name = "leader-election-authority-role" + (kind.hasSuffix("binding") ? "binding" : "")
            try await plane.run("delete", kind, name, "--namespace", ControlPlane.systemNamespace)
        }
        let certManager = try await CertManager(on: plane)
        let manifests = try await Manifests.build("certmanager", by: plane)
        #expect(
            manifests.only("ValidatingWebhookConfiguration").contains(
                "cert-manager.io/inject-ca-from: \(ControlPlane.systemNamespace)/leader-election-webhook-tls"))
        try await plane.run(
            "apply", "--filename", "-",
            input: manifests.only("Deployment", "ConfigMap", "ServiceAccount", "Certificate", "Issuer"))
        try await certManager.issue(in: ControlPlane.systemNamespace)
        try await certManager.inject(into: ControlPlane.webhookConfiguration)

        let pods = try await Deployment.all(on: plane).map(\.spec.template.spec)
        let controller = try await kubelet.startController(pods[0])
        try await check(controller, try await kubelet.startWebhook(pods[1]), kubelet)
    }

    /// That doctor finds nothing wrong but what cannot be reached here: the registration leads to the Service.
    private func examine(_ kubelet: Kubelet) async throws {
        let plane = kubelet.plane
        try await plane.run("delete", "validatingwebhookconfiguration", ControlPlane.webhookConfiguration)
        try await plane.run(
            "apply", "--validate=false", "--filename",
            ControlPlane.projectFile("config/webhook/validating_webhook.yaml"))
        let place = "the Secret \(ControlPlane.systemNamespace)/leader-election-webhook-tls"
        var checks: [String: String] = [:]
        try await eventually("the controller has written the caBundle") {
            checks = try await kubelet.doctor()
            return checks["webhook-certificate"]?.hasPrefix("ok: \(place) has a certificate") == true
        }
        // Those of controllers, and those to the Secrets of the authority.
        #expect(checks["rights"]?.hasPrefix("ok: the caller may do all") == true, "\(checks)")
        for check in ["api-server", "lease-kind", "controller", "webhook-configuration", "store-records"] {
            #expect(checks[check]?.hasPrefix("ok: ") == true, "\(checks)")
        }

        for name in ["role", "rolebinding"] {
            try await plane.run(
                "delete", name, "leader-election-authority-\(name)", "--namespace", ControlPlane.systemNamespace)
        }
        let without = try await kubelet.doctor()
        #expect(without["rights"]?.hasPrefix("failed: ") == true, "\(without)")
        #expect(without["rights"]?.contains("may not get secrets") == true, "\(without)")
        #expect(without["webhook-certificate"]?.contains("\(place) cannot be read") == true, "\(without)")
    }

    /// That an operator may write, and that nothing is refused to Leasehold itself.
    ///
    /// - Parameter then: what else to look at while both run; it may take rights away.
    private func check(
        _ controller: ChildProcess, _ webhook: ChildProcess, _ kubelet: Kubelet, then: (() async throws -> Void)? = nil
    ) async throws {
        let account = try await kubelet.plane.serviceAccount("guestbook-operator", in: "team-a")
        let sample = ControlPlane.projectFile("config/samples/guestbook.yaml")
        var last = "not ready"
        do {
            try await eventually("both are ready, and the operator may write") {
                guard !controller.hasExited, !webhook.hasExited else { throw ChildProcess.Failure("one ended") }
                guard await kubelet.areReady() else { return false }
                let outcome = try await kubelet.plane.kubectl("apply", "--filename", sample, as: account)
                last = outcome.err
                return outcome.code == 0
            }
        } catch {
            Issue.record("\(error); last: \(last)\n\(controller.err)\n\(webhook.err)")
        }
        try await then?()
        for process in [webhook, controller] {
            process.send(SIGTERM)
            #expect(await process.exitCode() == 0, "\(process.err)")
            #expect(then != nil || !process.err.contains("orbidden"), "\(process.err)")
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
}

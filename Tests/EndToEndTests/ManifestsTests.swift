import FoundationEssentials
import Support
import Testing

/// `config/`, as an API server sees it.
struct ManifestsTests {
    private static let manager =
        "system:serviceaccount:multi-cluster-leader-election-system:"
        + "leader-election-controller-manager"

    @Test func `the manifests are accepted, by an API server that is older than some of their fields`() async throws {
        let cluster = try await ControlPlane.start("east")
        try await cluster.installLeasehold(servingAt: FreePort.any())
        try await cluster.run("apply", "--filename", ControlPlane.projectFile("config/webhook/service.yaml"))
        try await cluster.run("apply", "--validate=false", "--kustomize", ControlPlane.projectFile("config/manager"))
        try await checkRights(cluster)
        try await checkLeases(cluster)
        try await checkGuard(cluster)
    }

    /// Least privilege: what the controller needs, and nothing near it.
    private func checkRights(_ cluster: ControlPlane) async throws {
        func may(_ arguments: String...) async throws -> Bool {
            let outcome = try await cluster.kubectl(["auth", "can-i"] + arguments + ["--as=\(Self.manager)"])
            return outcome.out.hasPrefix("yes")
        }
        let leases = "leases.leaderelection.600lyy.io"
        let system = "--namespace=\(ControlPlane.systemNamespace)"
        let heartbeats = "leases.coordination.k8s.io/"
        let configuration = "validatingwebhookconfigurations/"
        #expect(try await may("watch", "namespaces"))
        #expect(try await may("create", leases, "--namespace=team-a"))
        #expect(try await may("patch", leases, "--subresource=status", "--namespace=team-a"))
        #expect(try await may("create", "events", "--namespace=team-a"))
        #expect(try await may("patch", heartbeats + "leader-election-controller", system))
        #expect(try await may("patch", configuration + ControlPlane.webhookConfiguration))
        #expect(try await !may("delete", leases, "--namespace=team-a"))
        #expect(try await !may("patch", heartbeats + "another", system))
        #expect(try await !may("create", "leases.coordination.k8s.io", "--namespace=team-a"))
        #expect(try await !may("patch", configuration + "another"))
        #expect(try await !may("get", "secrets", system))
        #expect(try await !may("get", "guestbooks.webapp.my.domain", "--namespace=team-a"))
    }

    /// The schema, its defaults and the printed columns.
    private func checkLeases(_ cluster: ControlPlane) async throws {
        func lease(_ spec: String) -> String {
            """
            {"apiVersion": "leaderelection.600lyy.io/v1", "kind": "Lease",
             "metadata": {"name": "lease-gsc", "namespace": "team-a"}, "spec": \(spec)}
            """
        }
        func refusal(_ spec: String) async throws -> String {
            try await cluster.kubectl("create", "--validate=false", "-f", "-", input: lease(spec)).err
        }
        #expect(try await refusal("{}").contains("spec.holderIdentity: Required value"))
        #expect(
            try await refusal(#"{"holderIdentity": "", "leaseDurationSeconds": 15}"#)
                .contains("spec.holderIdentity in body should be at least 1 chars long"))
        #expect(
            try await refusal(#"{"holderIdentity": "east", "leaseDurationSeconds": 2}"#)
                .contains("spec.leaseDurationSeconds in body should be greater than or equal to 3"))
        #expect(
            try await refusal(#"{"holderIdentity": "east", "leaseDurationSeconds": "long"}"#)
                .contains("spec.leaseDurationSeconds in body must be of type integer"))

        try await cluster.run(
            "create", "-f", "-", input: lease(#"{"holderIdentity": "east", "leaseDurationSeconds": 15}"#))
        let path = "/apis/leaderelection.600lyy.io/v1/namespaces/team-a/leases/lease-gsc/status"
        var object = lease(#"{"holderIdentity": "east", "leaseDurationSeconds": 15}"#)
        object.removeLast()
        object += """
            , "status": {"observedHolderIdentity": "west", "term": 1795370400,
             "observedRenewTime": "2026-11-22T18:00:00.123456Z", "conditions": [{"type": "Held", "status": "True",
             "reason": "Held", "message": "", "lastTransitionTime": "2026-11-22T18:00:00Z"}]}}
            """
        let version = try await cluster.run(
            "get", "ll", "lease-gsc", "--namespace", "team-a", "--output", "jsonpath={.metadata.resourceVersion}")
        try await cluster.run(
            "replace", "--raw", path, "-f", "-",
            input: object.replacing(
                #""name": "lease-gsc""#, with: #""name": "lease-gsc", "resourceVersion": "\#(version)""#))
        let table = try await cluster.run("get", "ll", "--namespace", "team-a").split(separator: "\n")
        #expect(table[0].split(separator: " ") == ["NAME", "LEADER", "HOLDER", "TERM", "RENEWED", "AGE"])
        #expect(table[1].split(separator: " ").prefix(4) == ["lease-gsc", "false", "west", "1795370400"])
        #expect(!table[1].contains("<"))
        let transitions = try await cluster.run(
            "get", "ll", "lease-gsc", "--namespace", "team-a", "--output", "jsonpath={.status.leaseTransitions}")
        #expect(transitions == "0")
    }

    /// Where no webhook answers, guarded writes and dry runs are rejected, and only those.
    private func checkGuard(_ cluster: ControlPlane) async throws {
        let account = try await cluster.serviceAccount("guestbook-operator", in: "team-a")
        let sample = ControlPlane.projectFile("config/samples/guestbook.yaml")
        for more in [[], ["--dry-run=server"]] {
            let outcome = try await cluster.kubectl(["create", "-f", sample] + more, as: account)
            #expect(outcome.err.contains(#"failed calling webhook "guard.leaderelection.600lyy.io""#), "\(outcome)")
        }
        try await cluster.run("create", "configmap", "one", "--namespace", "team-a")
    }

    @Test(arguments: ["crd", "rbac", "manager", "webhook", "samples", "default"])
    func `kubectl kustomize builds config`(folder: String) async throws {
        let directory = try TemporaryDirectory()
        let kubectl = try ControlPlaneBinaries.find().kubectl
        let process = try ChildProcess(
            kubectl, ["kustomize", ControlPlane.projectFile("config/\(folder)")], in: directory)
        let code = await process.exitCode()
        // The kubectl of Debian 12 has a kustomize that does not know directories as resources.
        if code != 0, folder == "default", process.err.contains("must be a file") { return }
        #expect(code == 0, "\(process.err)")
        #expect(process.err.isEmpty)
        #expect(process.out.contains("kind: "))
    }
}

import FoundationEssentials
import Support
import Testing

/// `config/`, as an API server sees it.
@Suite(.serialized) struct ManifestsTests {
    @Test func `the manifests are accepted, by an API server that is older than some of their fields`() async throws {
        let cluster = try await ControlPlane.start("east")
        try await cluster.installLeasehold(servingAt: FreePort.any())
        try await cluster.run("apply", "--filename", ControlPlane.projectFile("config/webhook/service.yaml"))
        for folder in ["manager", "network-policy"] {
            let manifests = try await Manifests.build(folder, by: cluster)
            try await cluster.run("apply", "--validate=false", "--filename", "-", input: manifests.text)
        }
        try await checkPods(cluster)
        try await checkLeases(cluster)
        try await checkGuard(cluster)
    }

    /// That they are as little of a danger to their node as pods can be, and as little disturbed.
    private func checkPods(_ cluster: ControlPlane) async throws {
        let deployments = try await Deployment.all(on: cluster)
        #expect(deployments.map(\.metadata.name) == ["leader-election-controller-manager", "leader-election-webhook"])
        for deployment in deployments {
            #expect(deployment.spec.replicas == 2)
            #expect(deployment.spec.strategy.rollingUpdate == ["maxSurge": 1, "maxUnavailable": 0])
            let pod = deployment.spec.template.spec
            #expect(pod.problems == [])
            #expect(pod.priorityClassName == "system-cluster-critical")
            #expect(pod.topologySpreadConstraints?.count == 2)
        }
        let webhook = deployments[1].spec.template.spec
        #expect(webhook.serviceAccountName == "leader-election-webhook")
        #expect(webhook.automountServiceAccountToken == false)
        let account = try await cluster.run(
            "get", "serviceaccount", "leader-election-webhook", "--namespace", ControlPlane.systemNamespace,
            "--output", "jsonpath={.automountServiceAccountToken}")
        #expect(account == "false")
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

    @Test func `whoever mends Leasehold in its own namespace is not asked about, though nothing answers`() async throws
    {
        let cluster = try await ControlPlane.start("east")
        try await cluster.installLeasehold(servingAt: FreePort.any())
        let guestbook = #"{"apiVersion": "webapp.my.domain/v1", "kind": "Guestbook", "metadata": {"name": "one"}}"#
        func create(in namespace: String) async throws -> ControlPlane.Outcome {
            try await cluster.kubectl(
                "create", "--filename", "-", "--namespace", namespace, "--as-group=system:masters",
                "--as=system:serviceaccount:\(ControlPlane.systemNamespace):mender", input: guestbook)
        }
        let elsewhere = try await create(in: "team-a")
        #expect(elsewhere.err.contains("failed calling webhook"), "\(elsewhere)")
        let own = try await create(in: ControlPlane.systemNamespace)
        #expect(own.code == 0, "\(own)")
    }

    @Test(.enabled("kubectl is older than 1.21", { try await Manifests.canBeBuilt() }))
    func `for a Leasehold outside of the cluster, the API server asks a URL, and there is nothing that runs`()
        async throws
    {
        let cluster = try await ControlPlane.start("east")
        let manifests = try await Manifests.build("outside", by: cluster)
        try await cluster.run("apply", "--validate=false", "--filename", "-", input: manifests.text)
        let asked = try await cluster.run(
            "get", "validatingwebhookconfiguration", ControlPlane.webhookConfiguration, "--output",
            "jsonpath={.webhooks[*].clientConfig}")
        #expect(asked == #"{"url":"https://127.0.0.1:10250/validate"}"#)
        let running = try await cluster.run(
            "get", "deployments,services", "--namespace", ControlPlane.systemNamespace, "--output", "name")
        #expect(running == "")
    }

    @Test(arguments: ["crd", "rbac", "manager", "webhook", "network-policy", "samples"])
    func `kubectl kustomize builds config`(folder: String) async throws {
        try await checkBuild(of: folder)
    }

    @Test(
        .enabled("kubectl is older than 1.21", { try await Manifests.canBeBuilt() }),
        arguments: ["default", "certmanager", "outside"])
    func `kubectl kustomize builds what is made of several folders`(folder: String) async throws {
        try await checkBuild(of: folder)
    }

    private func checkBuild(of folder: String) async throws {
        let directory = try TemporaryDirectory()
        let kubectl = try ControlPlaneBinaries.find().kubectl
        let process = try ChildProcess(
            kubectl, ["kustomize", ControlPlane.projectFile("config/\(folder)")], in: directory)
        #expect(await process.exitCode() == 0, "\(process.err)")
        #expect(process.err.isEmpty)
        #expect(process.out.contains("kind: "))
    }
}

import FoundationEssentials
import Glibc
import Support
import Testing

/// The Makefile's way into a cluster and out of it.
struct WorkflowTests {
    @Test(.enabled("kubectl is older than 1.21", { try await Manifests.canBeBuilt() }))
    func `what make installs, make removes, and nothing of it is left behind`() async throws {
        let plane = try await ControlPlane.start("east")
        try await makeKubectl(for: plane)
        let before = try await objects(on: plane)
        try await make(["install"], on: plane)
        let target = ["IMG=registry.example:5000/leasehold:v1", "CLUSTER=east", "BUCKET=leases"]
        try await make(["deploy-controller", "REPLICAS=3", "APPLY_FLAGS=--validate=false"] + target, on: plane)
        try await plane.run("apply", "--kustomize", ControlPlane.projectFile("config/samples"))
        try await checkDeployments(on: plane)

        // What would put things back is still there while they go.
        let directory = try TemporaryDirectory()
        let controller = try await start(plane, directory)
        try await eventually("it leads team-a, and is the authority") {
            if controller.hasExited { throw ChildProcess.Failure("it ended: \(controller.err)") }
            let secrets = try await plane.run(
                "get", "secrets", "--namespace", ControlPlane.systemNamespace, "--output", "name")
            return try await plane.holder(of: "team-a") == "east" && secrets.contains("leader-election-grants-tls")
        }
        try await withThrowingTaskGroup { group in
            group.addTask { try await make(["undeploy"], on: plane) }
            // Nobody deletes what is in a namespace here.
            group.addTask { try await finishDeletion(of: ControlPlane.systemNamespace, on: plane) }
            try await group.waitForAll()
        }
        controller.send(SIGTERM)
        #expect(await controller.exitCode() == 0, "\(controller.err)")
        try await make(["uninstall"], on: plane)
        try await plane.run(
            "delete", "--wait=false", "--kustomize", ControlPlane.projectFile("config/samples"))
        try await finishDeletion(of: "team-a", on: plane)
        var left: Set<String> = []
        do {
            try await eventually("all is as it was") {
                left = try await objects(on: plane).symmetricDifference(before)
                return left.isEmpty
            }
        } catch {
            Issue.record("\(error): \(left.sorted())")
        }
    }

    /// What is asked of `scripts/manifests.sh`, and what it says.
    struct Refusal: Sendable, CustomTestStringConvertible {
        var cluster = "east"
        var bucket = "leases"
        var replicas = "2"
        var config = "config/default"
        let error: String

        var testDescription: String { error }
    }

    @Test(
        arguments: [
            Refusal(cluster: "", error: "CLUSTER is empty; name this cluster"),
            Refusal(bucket: "", error: "BUCKET is empty; name the bucket that all clusters share"),
            Refusal(cluster: "East", error: #"CLUSTER is "East"; allowed: letters a-z"#),
            Refusal(bucket: "gs://leases", error: #"BUCKET is "gs://leases"; allowed: the name of a bucket"#),
            Refusal(replicas: "0", error: #"REPLICAS is "0"; allowed: 1 to 20"#),
            Refusal(config: "config", error: #"CONFIG is "config"; allowed: config/default or config/certmanager"#),
        ])
    func `what cannot be deployed is refused, with what is allowed`(refusal: Refusal) async throws {
        let directory = try TemporaryDirectory()
        let process = try ChildProcess(
            ControlPlane.projectFile("scripts/manifests.sh"),
            ["leasehold:v1", refusal.cluster, refusal.bucket, refusal.replicas],
            environment: ["CONFIG": refusal.config, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""],
            in: directory)
        #expect(await process.exitCode() == 1)
        #expect(process.err.hasPrefix("error: \(refusal.error)"), "\(process.err)")
        #expect(process.out == "")
    }

    /// What `make` was told is what they run.
    private func checkDeployments(on plane: ControlPlane) async throws {
        let table = try await plane.run(
            "get", "deployments", "--namespace", ControlPlane.systemNamespace, "--output",
            "jsonpath={range .items[*]}{.spec.replicas} {.spec.template.spec.containers[0].image} "
                + "{.spec.template.spec.containers[0].envFrom[0].configMapRef.name}{\"\\n\"}{end}")
        let rows = table.split(separator: "\n").map { $0.split(separator: " ") }
        #expect(rows.count == 2)
        for row in rows {
            #expect(row.prefix(2) == ["3", "registry.example:5000/leasehold:v1"])
            let settings = try await plane.run(
                "get", "configmap", String(row[2]), "--namespace", ControlPlane.systemNamespace, "--output",
                "jsonpath={.data.LEASEHOLD_CLUSTER} {.data.LEASEHOLD_LEASE_STORAGE_BUCKET}")
            #expect(settings == "east leases")
        }
    }

    private func start(_ plane: ControlPlane, _ directory: TemporaryDirectory) async throws -> ChildProcess {
        try ChildProcess(
            leasehold: [
                "controller", "--cluster", plane.name, "--kubeconfig", try await plane.leaseholdAccount(), "--store",
                "file:\(directory.file("store"))", "--state-directory", directory.file("state"),
                "--authority-secret", "leader-election-authority", "--grants-bind-address", "127.0.0.1:0",
                "--health-probe-bind-address", "0",
                "--metrics-bind-address", "0",
            ], environment: ["HOME": plane.directory.path], in: directory)
    }

    private func finishDeletion(of namespace: String, on plane: ControlPlane) async throws {
        try await eventually("the namespace \(namespace) is to go") {
            try await plane.run("get", "namespace", namespace, "--output", "jsonpath={.status.phase}") == "Terminating"
        }
        try await plane.finishDeletion(of: namespace)
    }

    /// Every object of every kind, but Events, which go by themselves when their time is over.
    private func objects(on plane: ControlPlane) async throws -> Set<String> {
        let kinds = try await plane.run("api-resources", "--verbs=list", "--output=name", "--cached=false")
            .split(separator: "\n").filter { !$0.hasPrefix("events") }
        let names = try await plane.run(
            "get", kinds.joined(separator: ","), "--all-namespaces", "--output",
            "jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}")
        return Set(names.split(separator: "\n").map(String.init))
    }

    private func make(_ arguments: [String], on plane: ControlPlane) async throws {
        let process = try ChildProcess(
            "/usr/bin/make",
            [
                "--no-print-directory", "--directory", ControlPlane.projectFile(""),
                "KUBECTL=\(plane.directory.file("kubectl"))",
            ]
                + arguments,
            environment: [
                "HOME": plane.directory.path, "KUBECONFIG": plane.admin,
                "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
            ], in: plane.directory)
        let code = await process.exitCode()
        guard code == 0 else {
            throw ChildProcess.Failure("make \(arguments): exit code \(code)\n\(process.out)\(process.err)")
        }
    }

    /// A kubectl for an API server that may be of Kubernetes 1.20, which has policy/v1 under another name.
    private func makeKubectl(for plane: ControlPlane) async throws {
        let text = """
            #!/bin/sh
            case " $* " in
            *" -f - "*) sed 's#^apiVersion: policy/v1$#apiVersion: policy/v1beta1#' | \(plane.binaries.kubectl) "$@" ;;
            *) exec \(plane.binaries.kubectl) "$@" ;;
            esac

            """
        try plane.directory.write(text, to: "kubectl.sh")
        // By another process: what this one has open for writing, a child that it starts at that moment has open too, and
        // nobody can run it ("Text file busy").
        let copy = try ChildProcess(
            "/usr/bin/install", ["-m", "700", plane.directory.file("kubectl.sh"), plane.directory.file("kubectl")],
            in: plane.directory)
        #expect(await copy.exitCode() == 0, "\(copy.err)")
    }
}

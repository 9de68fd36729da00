private import FoundationEssentials

extension ControlPlane {
    package static let systemNamespace = "multi-cluster-leader-election-system"
    package static let webhookConfiguration = "leader-election-webhook"

    /// A file or folder of this project.
    package static func projectFile(_ path: String) -> String {
        #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/" + path
    }

    /// Applies the manifests for a Leasehold that runs beside the cluster rather than in it: all but its Deployment, and
    /// with a webhook that the API server reaches at a port of 127.0.0.1, and that it waits for even if the machine is held up.
    /// Then the sample's operator and its resources.
    ///
    /// Until a Leasehold serves there, guarded writes are rejected.
    package func installLeasehold(servingAt port: UInt16) async throws {
        for folder in ["crd", "rbac", "samples"] {
            try await run("apply", "--kustomize", Self.projectFile("config/\(folder)"))
        }
        // Fields that a server does not know are for newer ones.
        try await run(
            "apply", "--validate=false", "--filename", Self.projectFile("config/webhook/validating_webhook.yaml"))
        try await run(
            "patch", "validatingwebhookconfiguration", Self.webhookConfiguration, "--type=json", "--patch",
            """
            [{"op": "replace", "path": "/webhooks/0/clientConfig",
              "value": {"url": "https://127.0.0.1:\(port)/validate"}},
             {"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 10}]
            """)
        for definition in ["leases.leaderelection.600lyy.io", "guestbooks.webapp.my.domain", "fleets.webapp.my.domain"]
        {
            try await run("wait", "--for=condition=Established", "--timeout=60s", "crd/\(definition)")
            // Established is said a little before the kind is served.
            try await eventually("\(definition) is served") {
                try await kubectl("get", definition, "--all-namespaces").code == 0
            }
        }
    }

    /// Starts `leasehold run` for this cluster, with the rights that its service account has and no others.
    ///
    /// - Parameters:
    ///   - arguments: beside those that say which cluster it is; where the store is, among others.
    ///   - kubeconfig: nil: ``leaseholdAccount()``, made now.
    ///   - log: the file of its log; nil: one in ``directory``.
    package func startLeasehold(
        servingAt port: UInt16, _ arguments: [String], environment: [String: String] = [:], kubeconfig: String? = nil,
        log: String? = nil
    ) async throws -> ChildProcess {
        let account = if let kubeconfig { kubeconfig } else { try await leaseholdAccount() }
        var environment = environment
        environment["HOME"] = directory.path
        // For kubectl, by which it reads the kubeconfig.
        environment["PATH"] = ProcessInfo.processInfo.environment["PATH"]
        return try ChildProcess(
            leasehold: [
                "run", "--cluster", name, "--kubeconfig", account, "--bind-address", "127.0.0.1:\(port)",
                "--health-probe-bind-address", "0", "--metrics-bind-address", "0",
                "--state-directory", directory.file("state"), "--webhook-configuration", Self.webhookConfiguration,
            ] + arguments, environment: environment, log: log, in: directory)
    }

    /// A kubeconfig (0600) of the service account that Leasehold's rights are of.
    package func leaseholdAccount() async throws -> String {
        try await serviceAccount("leader-election-controller-manager", in: Self.systemNamespace)
    }

    /// The cluster that leads a namespace, as this cluster's `Lease` object says; empty: none, or no such object.
    package func holder(of namespace: String) async throws -> String {
        try await kubectl(
            "get", "leases.leaderelection.600lyy.io", "lease-gsc", "--namespace", namespace, "--output",
            "jsonpath={.status.observedHolderIdentity}"
        ).out
    }
}

import FoundationEssentials
import Glibc
import Support
import Testing

/// What Leasehold's own accounts may do on an API server: what they need, and no more.
@Suite(.serialized) struct RightsTests {
    private static let controller = "leader-election-controller-manager"
    private static let webhook = "leader-election-webhook"

    private static let everywhere: Set<String> = [
        "get,list,watch /namespaces",
        "list,watch,create,patch leaderelection.600lyy.io/leases",
        "patch leaderelection.600lyy.io/leases/status",
        "create /events",
        #"get,patch admissionregistration.k8s.io/validatingwebhookconfigurations ["leader-election-webhook"]"#,
    ]
    private static let inSystemNamespace: Set<String> = [
        #"get,patch coordination.k8s.io/leases ["leader-election-controller"]"#,
        "create coordination.k8s.io/leases",
        #"get,patch /secrets ["leader-election-authority", "leader-election-webhook-tls", "leader-election-grants-tls"]"#,
        "create /secrets",
    ]

    @Test func `each account has the rights that it needs, and no others`() async throws {
        let plane = try await ControlPlane.start("east")
        try await plane.run("apply", "--kustomize", ControlPlane.projectFile("config/rbac"))
        for namespace in ["team-a", "kube-system", ControlPlane.systemNamespace] {
            let own = namespace == ControlPlane.systemNamespace ? Self.inSystemNamespace : []
            let found = try await Rights(of: Self.controller, in: namespace, on: plane)
            #expect(found.more == Self.everywhere.union(own))
            #expect(try await Rights(of: Self.webhook, in: namespace, on: plane).more == [])
        }
        try await checkRefusals(plane)
    }

    /// Near what they may do.
    private func checkRefusals(_ plane: ControlPlane) async throws {
        let system = ["--namespace", ControlPlane.systemNamespace]
        let kubeconfig = try await plane.serviceAccount(Self.controller, in: ControlPlane.systemNamespace)
        for arguments in [
            ["get", "secrets"] + system,
            ["get", "secret", "another"] + system,
            ["get", "secret", "leader-election-authority", "--namespace", "kube-system"],
            ["delete", "secret", "leader-election-authority"] + system,
            ["create", "secret", "generic", "mine", "--namespace", "default"],
            ["get", "pods"] + system,
            ["create", "namespace", "mine"],
            ["label", "namespace", "default", "mine=yes"],
            ["delete", "namespace", "default"],
            ["delete", "validatingwebhookconfiguration", ControlPlane.webhookConfiguration],
        ] {
            let outcome = try await plane.kubectl(arguments, as: kubeconfig)
            #expect(outcome.code == 1, "\(arguments)")
            #expect(outcome.err.contains("orbidden"), "\(arguments): \(outcome)")
        }
    }

    @Test func `with cert-manager, controllers have no right to any Secret, and only look at the configuration`()
        async throws
    {
        let plane = try await ControlPlane.start("east")
        let manifests = try await Manifests.build("certmanager", by: plane)
        try await plane.run("apply", "--filename", "-", input: manifests.only("Role", "Binding", "Namespace"))
        let found = try await Rights(of: Self.controller, in: ControlPlane.systemNamespace, on: plane).more
        #expect(
            found
                == Set(
                    Self.everywhere.union(Self.inSystemNamespace).filter { !$0.contains("secrets") }.map {
                        $0.contains("validatingwebhookconfigurations") ? "get" + $0.dropFirst("get,patch".count) : $0
                    }))
    }

    // MARK: - In use

    @Test func `a controller is refused nothing, and uses all that it may`() async throws {
        let audit = try Audit()
        let plane = try await ControlPlane.start("east", serverArguments: audit.serverArguments)
        try await plane.installLeasehold(servingAt: FreePort.any())
        let controller = try await start(plane, audit)
        try await eventually("it leads team-a, and is the authority") {
            if controller.hasExited { throw ChildProcess.Failure("it ended: \(controller.err)") }
            let secrets = try await plane.run(
                "get", "secrets", "--namespace", ControlPlane.systemNamespace, "--output", "name")
            return try await plane.holder(of: "team-a") == "east" && secrets.contains("leader-election-grants-tls")
        }
        try await plane.run(
            "annotate", "leases.leaderelection.600lyy.io", "lease-gsc", "--namespace", "team-a",
            "leaderelection.600lyy.io/transfer-to=east")
        try await plane.run(
            "annotate", "secret", "leader-election-authority", "--namespace", ControlPlane.systemNamespace,
            "leaderelection.600lyy.io/rotate-authority=now")
        try await wait(for: Self.calls.filter { !$0.hasPrefix("watch ") }, audit, controller)
        controller.send(SIGTERM)
        #expect(await controller.exitCode() == 0, "\(controller.err)")
        // Watches are recorded when they have ended.
        try await wait(for: Self.calls, audit, controller)
        let recorded = try audit.calls()
        #expect(recorded.refused == [])
        #expect(recorded.answered == Self.calls)
    }

    private func wait(for calls: Set<String>, _ audit: Audit, _ controller: ChildProcess) async throws {
        do {
            try await eventually("it has used its rights") { try audit.calls().answered.isSuperset(of: calls) }
        } catch {
            Issue.record("\(error): not \(calls.subtracting(try audit.calls().answered))\n\(controller.err)")
        }
    }

    /// The same rights, as an API server records their use.
    private static let calls: Set<String> = [
        "get /namespaces kube-system", "list /namespaces", "watch /namespaces",
        "list leaderelection.600lyy.io/leases", "watch leaderelection.600lyy.io/leases",
        "create leaderelection.600lyy.io/leases", "patch leaderelection.600lyy.io/leases",
        "patch leaderelection.600lyy.io/leases/status",
        "create /events",
        "get coordination.k8s.io/leases leader-election-controller",
        "patch coordination.k8s.io/leases leader-election-controller", "create coordination.k8s.io/leases",
        "get admissionregistration.k8s.io/validatingwebhookconfigurations leader-election-webhook",
        "patch admissionregistration.k8s.io/validatingwebhookconfigurations leader-election-webhook",
        "get /secrets leader-election-authority", "get /secrets leader-election-webhook-tls",
        "get /secrets leader-election-grants-tls", "patch /secrets leader-election-authority",
        "patch /secrets leader-election-webhook-tls", "patch /secrets leader-election-grants-tls", "create /secrets",
    ]

    private func start(_ plane: ControlPlane, _ audit: Audit) async throws -> ChildProcess {
        let account = try await plane.leaseholdAccount()
        return try ChildProcess(
            leasehold: [
                "controller", "--cluster", plane.name, "--kubeconfig", account, "--store",
                "file:\(audit.directory.file("store"))", "--state-directory", audit.directory.file("state"),
                "--authority-secret",
                "leader-election-authority", "--grants-bind-address", "127.0.0.1:0",
                "--health-probe-bind-address", "0", "--metrics-bind-address", "0",
            ],
            environment: [
                "HOME": plane.directory.path, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
            ], in: audit.directory)
    }
}

/// What a service account may do in a namespace.
private struct Rights {
    /// Beside what every account may; one line for each rule: `VERBS GROUP/RESOURCES [NAMES]`, or `VERBS PATHS`.
    let more: Set<String>

    init(of account: String, in namespace: String, on plane: ControlPlane) async throws {
        // For which nobody made a rule.
        let everybody = try await Self.rules(of: "nobody", in: namespace, on: plane)
        more = try await Self.rules(of: account, in: namespace, on: plane).subtracting(everybody)
    }

    private static func rules(of account: String, in namespace: String, on plane: ControlPlane) async throws
        -> Set<String>
    {
        let answer = try await plane.run(
            "create", "--raw", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "--filename", "-",
            "--as=system:serviceaccount:\(ControlPlane.systemNamespace):\(account)",
            input: """
                {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                 "spec": {"namespace": "\(namespace)"}}
                """)
        let status = try JSONDecoder().decode(RulesReview.self, from: Data(answer.utf8)).status
        #expect(!status.incomplete, "\(answer)")
        let resources = status.resourceRules.map { rule in
            let names = (rule.resourceNames ?? []).isEmpty ? "" : " \(rule.resourceNames ?? [])"
            return "\(rule.verbs.joined(separator: ",")) \(rule.apiGroups.joined(separator: ","))/"
                + rule.resources.joined(separator: ",") + names
        }
        let paths = status.nonResourceRules.map { rule in
            "\(rule.verbs.joined(separator: ",")) \(rule.nonResourceURLs.joined(separator: ","))"
        }
        return Set(resources + paths)
    }

    private struct RulesReview: Decodable {
        struct Status: Decodable {
            let resourceRules: [Rule]
            let nonResourceRules: [PathRule]
            let incomplete: Bool
        }
        struct Rule: Decodable {
            let verbs: [String]
            let apiGroups: [String]
            let resources: [String]
            let resourceNames: [String]?
        }
        struct PathRule: Decodable {
            let verbs: [String]
            let nonResourceURLs: [String]
        }
        let status: Status
    }
}

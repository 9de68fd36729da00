import FoundationEssentials
import Support
import Testing

/// What Leasehold itself may do on an API server.
extension AdmissionTests {
    private static let account = "leader-election-controller-manager"

    /// One line for each right: `VERBS GROUP/RESOURCES [NAMES]`.
    private func rights(in namespace: String) async throws -> Set<String> {
        let answer = try await west.plane.run(
            "create", "--raw", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "--filename", "-",
            "--as=system:serviceaccount:\(ControlPlane.systemNamespace):\(Self.account)",
            input: """
                {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                 "spec": {"namespace": "\(namespace)"}}
                """)
        let status = try JSONDecoder().decode(RulesReview.self, from: Data(answer.utf8)).status
        #expect(!status.incomplete, "\(answer)")
        // What everybody may: ask what they may.
        let own = status.resourceRules.filter { $0.apiGroups != ["authorization.k8s.io"] }
        return Set(
            own.map { rule in
                let names = (rule.resourceNames ?? []).isEmpty ? "" : " \(rule.resourceNames ?? [])"
                return "\(rule.verbs.joined(separator: ",")) \(rule.apiGroups.joined(separator: ","))/"
                    + rule.resources.joined(separator: ",") + names
            })
    }

    private struct RulesReview: Decodable {
        struct Status: Decodable {
            let resourceRules: [Rule]
            let incomplete: Bool
        }
        struct Rule: Decodable {
            let verbs: [String]
            let apiGroups: [String]
            let resources: [String]
            let resourceNames: [String]?
        }
        let status: Status
    }

    @Test func `Leasehold has the rights that it needs, and no others`() async throws {
        let everywhere: Set<String> = [
            "get,list,watch /namespaces",
            "get,list,watch,create,patch leaderelection.600lyy.io/leases",
            "patch leaderelection.600lyy.io/leases/status",
            "create /events",
            "get,patch admissionregistration.k8s.io/validatingwebhookconfigurations "
                + #"["\#(ControlPlane.webhookConfiguration)"]"#,
        ]
        let heartbeat: Set<String> = [
            #"get,patch coordination.k8s.io/leases ["leader-election-controller"]"#,
            "create coordination.k8s.io/leases",
        ]
        #expect(try await rights(in: "team-a") == everywhere)
        #expect(try await rights(in: "kube-system") == everywhere)
        #expect(try await rights(in: ControlPlane.systemNamespace) == everywhere.union(heartbeat))
    }

    @Test(
        arguments: [
            ["get", "secrets", "--namespace", ControlPlane.systemNamespace],
            ["create", "namespace", "mine"],
            ["label", "namespace", "team-a", "mine=yes"],
            ["delete", "namespace", "team-a"],
            ["apply", "--namespace", "team-a", "--filename", TestCluster.guestbook],
            ["delete", "leases.leaderelection.600lyy.io", "lease-gsc", "--namespace", "team-a"],
            ["delete", "validatingwebhookconfiguration", ControlPlane.webhookConfiguration],
        ])
    func `Leasehold cannot do what is not its business`(arguments: [String]) async throws {
        let kubeconfig = try await west.plane.serviceAccount(Self.account, in: ControlPlane.systemNamespace)
        let outcome = try await west.plane.kubectl(arguments, as: kubeconfig)
        #expect(outcome.code == 1)
        #expect(outcome.err.contains("Error from server (Forbidden)"), "\(outcome)")
    }
}

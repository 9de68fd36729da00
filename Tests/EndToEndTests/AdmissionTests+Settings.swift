import FoundationEssentials
import Support
import TLS
import Testing

/// What a cluster's administrator can set, or break.
extension AdmissionTests {
    private static let configuration = ["validatingwebhookconfiguration", ControlPlane.webhookConfiguration]

    private func patch(_ cluster: TestCluster, _ step: String) async throws {
        try await cluster.plane.run(["patch"] + Self.configuration + ["--type=json", "--patch", "[\(step)]"])
    }

    // MARK: - Resources outside namespaces

    private func createFleet(on cluster: TestCluster, as kubeconfig: String? = nil) async throws
        -> ControlPlane.Outcome
    {
        try await cluster.plane.kubectl(
            "create", "--dry-run=server", "--filename", "-", as: kubeconfig,
            input: #"{"apiVersion": "webapp.my.domain/v1", "kind": "Fleet", "metadata": {"name": "first"}}"#)
    }

    @Test func `what lies in no namespace is denied to operators everywhere, once a rule names it`() async throws {
        for cluster in fleet.clusters {
            let account = cluster.operatorOfTeamA
            let before = try await createFleet(on: cluster, as: account)
            #expect(before.code == 0, "no rule names fleets yet: \(before)\n\(cluster.log)")
            try await patch(
                cluster,
                """
                {"op": "add", "path": "/webhooks/0/rules/-", "value": {"apiGroups": ["webapp.my.domain"],
                 "apiVersions": ["*"], "resources": ["fleets"], "operations": ["CREATE", "UPDATE", "DELETE"],
                 "scope": "*"}}
                """)
            try await cluster.until("the rule is in force") {
                try await createFleet(on: cluster, as: account).code == 1
            }
            let denied = try await createFleet(on: cluster, as: account)
            #expect(
                denied.err.contains(
                    "fleets lie in no namespace whose lease could say who may write, and cluster \"\(cluster.name)\" denies"
                ), "\(denied)\n\(cluster.log)")
            let administrator = try await createFleet(on: cluster)
            #expect(administrator.code == 0, "\(administrator)\n\(cluster.log)")
            try await patch(cluster, #"{"op": "remove", "path": "/webhooks/0/rules/1"}"#)
            try await cluster.until("the rule is gone") { try await createFleet(on: cluster, as: account).code == 0 }
        }
    }

    // MARK: - Modes

    /// What west's operators read of who leads.
    private static let leader = #"namespace "team-a" is led by cluster "east" (since 2"#

    /// Has west run with other arguments meanwhile.
    private func onWest(_ arguments: [String], _ body: () async throws -> Void) async throws {
        func restart(_ arguments: [String]) async throws {
            await west.stop()
            try await west.start(Fleet.patience + arguments)
        }
        try await restart(arguments)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        try await restart([])
        try await west.until("it denies again") {
            let outcome = try await west.tryAsOperator()
            return outcome.code == 1 && outcome.err.contains(Self.leader)
        }
        try result.get()
    }

    private func patchGuestbook() async throws -> ControlPlane.Outcome {
        try await west.asOperator(
            "patch", "guestbook", "one", "--type=merge", "--patch", #"{"spec": {"book": "staff"}}"#)
    }

    @Test func `a cluster that only warns lets its operators write, and tells them`() async throws {
        try await west.resetGuestbooks()
        try await onWest(["--mode", "warn"]) {
            let warning = "Warning: would be denied: \(Self.leader)"
            // At first it does not know who leads, of which it warns too.
            try await west.until("it warns") { try await west.tryAsOperator().err.contains(warning) }
            let before = try await west.guestbooks()
            let warned = try await patchGuestbook()
            #expect(warned.code == 0 && warned.err.contains(warning), "\(warned)\n\(west.log)")
            #expect(try await west.guestbooks() != before)
        }
    }

    @Test func `a cluster that only counts lets its operators write in silence`() async throws {
        try await west.resetGuestbooks()
        let port = try FreePort.any()
        func audited() async throws -> Substring? {
            let metrics = try await west.plane.kubectl(
                "get", "--raw", "/metrics", "--server=http://127.0.0.1:\(port)", as: "/dev/null"
            ).out
            return metrics.split(separator: "\n").first {
                $0.hasPrefix(#"leasehold_admissions_total{decision="audited",reason="other_leads"} "#)
            }
        }
        try await onWest(["--mode", "audit", "--metrics-bind-address", "127.0.0.1:\(port)"]) {
            try await west.until("it knows who leads") {
                _ = try await west.tryAsOperator()
                return try await audited().map { !$0.hasSuffix(" 0") } ?? false
            }
            let (counted, before) = try await (audited(), west.guestbooks())
            let silent = try await patchGuestbook()
            #expect(silent.code == 0 && !silent.err.contains("Warning"), "\(silent)\n\(west.log)")
            #expect(try await west.guestbooks() != before)
            #expect(try await audited() != counted)
        }
    }

    // MARK: - The authority in the configuration

    private func bundle(on cluster: TestCluster) async throws -> String {
        try await cluster.plane.run(
            ["get"] + Self.configuration + ["--output", "jsonpath={.webhooks[*].clientConfig.caBundle}"])
    }

    @Test func `an authority that somebody overwrites is repaired, and until then nothing is admitted by mistake`()
        async throws
    {
        let foreign = Data(try CertificateAuthority.make(commonName: "somebody else").certificate.pem().utf8)
            .base64EncodedString()
        for cluster in fleet.clusters {
            let own = try await bundle(on: cluster)
            #expect(!own.isEmpty && own != foreign, "\(cluster.log)")
            var wasRejected = false
            try await cluster.until("writes are rejected, and then the authority is repaired") {
                if wasRejected { return try await bundle(on: cluster) == own }
                // When it was repaired before the API server had taken note, or this test could look: once more.
                if try await bundle(on: cluster) == own {
                    try await patch(
                        cluster,
                        #"{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": "\#(foreign)"}"#)
                }
                let outcome = try await cluster.tryAsOperator()
                wasRejected = outcome.err.contains("x509: certificate signed by unknown authority")
                #expect(cluster.name == "east" || outcome.code == 1, "admitted where it is not led: \(outcome)")
                return false
            }
            try await cluster.until("all is as before") {
                let outcome = try await cluster.tryAsOperator()
                return cluster.name == "east" ? outcome.code == 0 : outcome.err.contains(#"is led by cluster "east""#)
            }
            #expect(
                cluster.log.contains("Wrote the authority of this webhook's certificate into the ValidatingWebhook"),
                "\(cluster.log)")
        }
    }
}

import Election
import FoundationEssentials
import Kubernetes
import Platform
import Storage
import TLS
import Testing

@testable import Commands

struct DoctorTests {
    // MARK: - The machine

    @Test(arguments: [
        (ClockDiscipline(correction: -12.4, isSynchronised: true) as ClockDiscipline?, Finding.Status.ok),
        (ClockDiscipline(correction: 6000, isSynchronised: true), .warning),
        (ClockDiscipline(correction: 0, isSynchronised: false), .warning),
        (ClockDiscipline(correction: -10_002, isSynchronised: true), .failed),
        (ClockDiscipline(correction: 20_000, isSynchronised: false), .failed), (nil, .skipped),
    ])
    func `judges the clock's rate by how far it must be corrected`(discipline: ClockDiscipline?, status: Finding.Status)
    {
        #expect(MachineChecks.clockRate(discipline, bound: 10_000).status == status)
    }

    @Test func `this machine's kernel tells how it corrects the clock, or refuses to`() {
        let correction = ClockDiscipline.read()?.correction ?? 0
        // The kernel takes no more than a tenth.
        #expect(abs(correction) <= 101_000)
    }

    // MARK: - The store

    @Test func `tries the store's conditions, and counts what it holds`() async throws {
        let store = MemoryStore()
        try await store.put(.made("east"))
        try await store.put(.made(holder: "east"), of: "team-a")
        #expect(await StoreChecks.probe(store).status == .ok)
        #expect(await StoreChecks.read(store) == .ok("store-records", "1 leases and 1 clusters, all readable"))
    }

    @Test func `names the records that nobody can read`() async throws {
        let store = MemoryStore()
        try await store.put(.leases, "team-a", Array("{}".utf8))
        let finding = await StoreChecks.read(store)
        #expect(finding.status == .failed)
        #expect(finding.message == "1 objects are no records: leases/team-a")
    }

    @Test func `fails with the store's reason when it may not be written`() async {
        let store = ScriptedStore { call, _, _ in
            if case .write = call { throw StoreError.failed("403: no right to write.") }
        }
        let finding = await StoreChecks.probe(store)
        #expect(finding.status == .failed)
        #expect(finding.message.contains("403: no right to write."))
    }

    // MARK: - The kind

    private func definition(_ change: (String) -> String = { $0 }) throws -> CustomResourceDefinitionObject {
        let text = #"""
            {"metadata": {"name": "leases.leaderelection.600lyy.io"},
             "spec": {"versions": [{"name": "v1", "served": true, "subresources": {"status": {}},
              "schema": {"openAPIV3Schema": {"properties": {
               "spec": {"properties": {"preferredHolder": {}}},
               "status": {"properties": {"term": {}, "observedPreferredHolder": {}, "conditions": {}}}}}}}]},
             "status": {"conditions": [{"type": "Established", "status": "True"}]}}
            """#
        return try JSONDecoder().decode(CustomResourceDefinitionObject.self, from: Data(change(text).utf8))
    }

    @Test(arguments: [
        ("", "", Finding.Status.ok, "with all fields of this version"),
        (#""served": true"#, #""served": false"#, .failed, "does not serve v1"),
        (#""name": "v1""#, #""name": "v1beta1""#, .failed, "does not serve v1"),
        (#""status": "True""#, #""status": "False""#, .failed, "is not established"),
        (#"{"status": {}}"#, "{}", .failed, "has no status subresource"),
        (#""term": {}, "#, "", .failed, "it lacks status.term"),
        (#"{"preferredHolder": {}}"#, "{}", .failed, "it lacks spec.preferredHolder"),
    ])
    func `judges the kind by what this version needs of it`(
        old: String, new: String, status: Finding.Status, words: String
    ) throws {
        let finding = ClusterChecks.judge(
            try definition { old.isEmpty ? $0 : $0.replacing(old, with: new) }, "lease-kind", "leases.x")
        #expect(finding.status == status)
        #expect(finding.message.contains(words), "\(finding.message)")
    }

    // MARK: - The registration

    private static let registration = #"""
        {"metadata": {"name": "leader-election-webhook"}, "webhooks": [{"name": "guard.x", "clientConfig": {},
         "rules": [{"apiGroups": ["a"], "apiVersions": ["*"], "resources": ["books"], "operations": ["CREATE"]}],
         "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
         "namespaceSelector": {"matchExpressions": [
          {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["system"]}]}}]}
        """#

    @Test(arguments: [
        ("", "", Finding.Status.ok, "guards books.a"),
        (
            #""failurePolicy": "Fail""#, #""failurePolicy": "Ignore""#, .failed,
            "failurePolicy is Ignore and must be Fail"
        ),
        (#"["books"]"#, "[]", .failed, "its rules guard nothing"),
        (#""None""#, #""Unknown""#, .failed, "sideEffects must be None"),
        (#"["v1"]"#, #"["v1beta1"]"#, .failed, "admissionReviewVersions lacks v1"),
        (#"["system"]"#, #"["other"]"#, .failed, "it guards Leasehold's own namespace"),
        (#""timeoutSeconds": 1"#, #""timeoutSeconds": 2"#, .warning, "not below the commit margin of 2s"),
        (#", "timeoutSeconds": 1"#, "", .warning, "timeoutSeconds is 10"),
    ])
    func `judges the registration by what would let a write pass unasked, or lock Leasehold out`(
        old: String, new: String, status: Finding.Status, words: String
    ) throws {
        let text = old.isEmpty ? Self.registration : Self.registration.replacing(old, with: new)
        let finding = WebhookChecks.judge(
            try JSONDecoder().decode(WebhookRegistration.self, from: Data(text.utf8)),
            systemLabels: ["kubernetes.io/metadata.name": "system"], DoctorCommand.Options())
        #expect(finding.status == status)
        #expect(finding.message.contains(words), "\(finding.message)")
    }

    @Test(arguments: [
        (#"{}"#, true), (#"{"matchLabels": {"a": "1"}}"#, true), (#"{"matchLabels": {"a": "2"}}"#, false),
        (#"{"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}"#, true),
        (#"{"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}"#, true),
        (#"{"matchExpressions": [{"key": "b", "operator": "Exists"}]}"#, false),
        (#"{"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}"#, true),
        (#"{"matchExpressions": [{"key": "a", "operator": "Like", "values": ["1"]}]}"#, false),
    ])
    func `reads a namespace selector as Kubernetes does`(selector: String, matches: Bool) throws {
        let selector = try JSONDecoder().decode(WebhookRegistration.Selector.self, from: Data(selector.utf8))
        #expect(selector.matches(["a": "1"]) == matches)
    }

    // MARK: - The certificate

    @Test func `warns of a certificate that nobody has renewed in time`() throws {
        let authority = try CertificateAuthority.make(commonName: "x")
        let leaf = try authority.issue(commonName: "x", names: [.dns("x")], purpose: .server).certificate
        var config = WebhookConfigurationObject.ClientConfig()
        config.url = "https://x:8443/validate"
        let endpoint = try #require(Endpoint(config, environment: [:]))
        #expect(endpoint.description == "x:8443")
        let day: Int64 = 86_400_000_000
        #expect(WebhookChecks.judge(leaf, in: "x", at: leaf.validity.notAfter - 30 * day, "c").status == .ok)
        #expect(WebhookChecks.judge(leaf, in: "x", at: leaf.validity.notAfter - 10 * day, "c").status == .warning)
    }

    @Test func `judges a Secret's certificate by who signed it, for which host and until when`() throws {
        let authority = try CertificateAuthority.make(commonName: "x")
        let other = try CertificateAuthority.make(commonName: "x")
        let leaf = try authority.issue(commonName: "x", names: [.dns("a.b.svc")], purpose: .server).certificate
        let middle = leaf.validity.notBefore + (leaf.validity.notAfter - leaf.validity.notBefore) / 2
        func finding(
            _ chain: [Certificate], for host: String = "a.b.svc", trusting: [CertificateAuthority], at now: Int64
        ) -> Finding {
            WebhookChecks.judge(
                chain, for: host, trusting: trusting.map(\.certificate), in: "the Secret s", at: now, "c")
        }
        #expect(finding([leaf], trusting: [other, authority], at: middle).status == .ok)
        #expect(finding([leaf, authority.certificate], trusting: [authority], at: middle).status == .ok)
        #expect(finding([leaf], trusting: [other], at: middle).message.contains("of no authority in the caBundle"))
        // A chain that ends at a trusted authority, but does not begin with the leaf's.
        #expect(
            finding([leaf, other.certificate], trusting: [other], at: middle).message
                .contains("of no authority in the caBundle"))
        #expect(
            finding([leaf], for: "c.b.svc", trusting: [authority], at: middle).message.contains("is not for c.b.svc"))
        #expect(finding([leaf], trusting: [authority], at: leaf.validity.notAfter).message.contains("not valid now"))
    }

    @Test func `knows that a Service is out of reach from outside its cluster`() throws {
        var config = WebhookConfigurationObject.ClientConfig()
        config.service = .init(namespace: "system", name: "webhook")
        #expect(Endpoint(config, environment: [:]) == nil)
        let inside = ["KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"]
        #expect(Endpoint(config, environment: inside)?.description == "webhook.system.svc:443")
    }

    // MARK: - The report

    @Test func `shows each finding with what to do, and the sum`() throws {
        let report = DoctorReport(checks: [
            .ok("store", "it is there"), .failed("rights", "none\u{1B}[2J", "grant them"), .skipped("controller", "no"),
        ])
        #expect(
            report.text == """
                CHECK       RESULT   FINDING
                store       ok       it is there
                rights      failed   none?[2J
                                     -> grant them
                controller  skipped  no

                1 ok, 0 warning, 1 failed, 1 skipped

                """)
        #expect(report.hasFailed)
        #expect(
            try DocumentText.json(report, pretty: false).hasPrefix(
                #"{"checks":[{"check":"store","message":"it is there","status":"ok"},"#))
    }

    @Test func `a store alone is tried without an API server, and the exit code tells`() async throws {
        let missing = await leasehold("doctor", "--store", "file:/nowhere/at/all", "--output=json")
        #expect(missing.code == 3)
        #expect(missing.out.contains(#""status" : "failed""#))
        #expect(missing.out.contains("no API server was named"))
        #expect(missing.err.isEmpty)
    }
}

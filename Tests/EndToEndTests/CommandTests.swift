import Election
import FoundationEssentials
import Glibc
import Support
import Testing

/// The commands of people, on real API servers.
@Suite(.serialized, .fleet(Fleet.patience))
struct CommandTests {
    private let fleet: Fleet
    private let east: TestCluster

    init() throws {
        fleet = try SharedFleet.fleet()
        east = fleet["east"]
    }

    private static let storeFlags = ["--store", "gs://\(Fleet.bucket)"]

    // MARK: - Running commands

    private struct Outcome {
        let code: Int32
        let out: String
        let err: String
    }

    private func environment(_ cluster: TestCluster) -> [String: String] {
        [
            "HOME": cluster.plane.directory.path, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
            "STORAGE_EMULATOR_HOST": fleet.emulator.url(for: "people"),
        ]
    }

    private func leasehold(_ arguments: [String], on cluster: TestCluster? = nil) async throws -> Outcome {
        let cluster = cluster ?? east
        let process = try ChildProcess(
            leasehold: arguments, environment: environment(cluster), in: cluster.plane.directory)
        return Outcome(code: await process.exitCode(), out: process.out, err: process.err)
    }

    private struct Status: Decodable {
        struct Lease: Decodable {
            var namespace: String
            var state: String
            var leader: String?
            var term: UInt64?
            var acquireTime: String?
            var isLed: Bool
            var window: String?
        }
        var source: String
        var leases: [Lease]
        var problem: String?
    }

    private func status(_ arguments: String...) async throws -> Status {
        let outcome = try await leasehold(["status", "--output", "json"] + arguments)
        try #require(outcome.code == 0, "\(outcome)")
        return try JSONDecoder().decode(Status.self, from: Data(outcome.out.utf8))
    }

    private struct Report: Decodable {
        struct Finding: Decodable {
            var check: String
            var status: String
            var message: String
            var remedy: String?
        }
        var code: Int32?
        var checks: [Finding]

        subscript(_ check: String) -> Finding? { checks.first { $0.check == check } }
        var failed: [String] { checks.filter { $0.status == "failed" }.map(\.check) }
    }

    private func doctor(_ arguments: [String], kubeconfig: String? = nil) async throws -> Report {
        let outcome = try await leasehold(
            ["doctor", "--output", "json", "--kubeconfig", kubeconfig ?? east.plane.admin] + arguments)
        try #require(outcome.code == 0 || outcome.code == 3, "\(outcome)")
        var report = try JSONDecoder().decode(Report.self, from: Data(outcome.out.utf8))
        report.code = outcome.code
        #expect((outcome.code == 3) == !report.failed.isEmpty)
        return report
    }

    // MARK: - status

    @Test func `a cluster shows what the store shows, to whoever may view one namespace`() async throws {
        let store = try #require(
            try await status("--store", "gs://\(Fleet.bucket)", "--namespace", "team-a").leases.first)
        // It leads a moment before its controller's first heartbeat is written.
        try await east.until("the controller's heartbeat is there") {
            try await status("--kubeconfig", east.plane.admin, "--namespace", "team-a").problem == nil
        }
        let whole = try await status("--kubeconfig", east.plane.admin, "--namespace", "team-a")
        let seen = try #require(whole.leases.first)
        #expect(whole.source == "cluster" && whole.problem == nil)
        #expect(seen.leader == "east" && seen.isLed && seen.window == "open")
        #expect(seen.term == store.term && seen.acquireTime == store.acquireTime)

        let viewer = try await east.plane.serviceAccount("viewer", in: "team-a")
        try await east.plane.run(
            "create", "rolebinding", "viewer", "--clusterrole=leader-election-lease-viewer",
            "--serviceaccount=team-a:viewer", "--namespace", "team-a")
        let view = ["status", "--kubeconfig", viewer, "--namespace", "team-a"]
        try await east.until("the right is in force") { try await leasehold(view).code == 0 }
        let viewed = try await status("--kubeconfig", viewer, "--namespace", "team-a")
        #expect(viewed.leases.first?.leader == "east" && viewed.leases.first?.isLed == true)
        #expect(viewed.problem?.contains("heartbeat may not be read") == true)

        let all = try await leasehold(["status", "--kubeconfig", viewer])
        #expect(all.code == 1)
        #expect(all.err.contains("the election cannot be read from \(east.plane.url)"))
        #expect(all.err.contains("403 Forbidden"))
        #expect(try await leasehold(["status", "--kubeconfig", east.plane.admin, "--namespace", "team-no"]).code == 3)
    }

    @Test func `the YAML is what kubectl reads as the same values`() async throws {
        let yaml = try await leasehold(["status", "--kubeconfig", east.plane.admin, "--output", "yaml"])
        #expect(yaml.code == 0)
        let indented = yaml.out.split(separator: "\n").map { "  \($0)\n" }.joined()
        let object = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndocument:\n" + indented
        func value(_ path: String) async throws -> String {
            try await east.plane.run(
                "create", "--dry-run=client", "--validate=false", "--filename", "-", "--output", "jsonpath={\(path)}",
                input: object)
        }
        let document = try await status("--kubeconfig", east.plane.admin)
        let lease = try #require(document.leases.first { $0.namespace == "team-a" })
        #expect(try await value(".document.source") == "cluster")
        let entry = #".document.leases[?(@.namespace=="team-a")]"#
        #expect(try await value("\(entry).leader") == "east")
        #expect(try await value("\(entry).term") == lease.term.map(String.init))
        #expect(try await value("\(entry).acquireTime") == lease.acquireTime)
        #expect(try await value("\(entry).isLed") == "true")
    }

    // MARK: - transfer and drain

    @Test func `namespaces with a label are handed over together, and back`() async throws {
        for cluster in fleet.clusters {
            try await cluster.plane.run("create", "namespace", "team-s")
            try await cluster.plane.run("label", "namespace", "team-a", "team-s", "tier=prod", "--overwrite")
        }
        try await east.until("team-s is led") { try await !self.east.plane.holder(of: "team-s").isEmpty }
        let over = try await leasehold(
            ["transfer", "--selector", "tier=prod", "--to", "west", "--kubeconfig", east.plane.admin] + Self.storeFlags)
        #expect(over.code == 0, "\(over)")
        #expect(over.out == "west leads 2 of 2 namespaces\n")
        #expect(over.err.contains("west leads team-a") && over.err.contains("west leads team-s"))
        try await fleet["west"].waitUntilLeads("team-a")
        let back = try await leasehold(["transfer", "team-a", "team-s", "--to", "east"] + Self.storeFlags)
        #expect(back.code == 0, "\(back)")
        #expect(try await leasehold(["transfer", "--all", "--clear"] + Self.storeFlags).code == 0)
        try await east.waitUntilLeads("team-a")
        let none = try await leasehold(
            ["transfer", "--selector", "tier=none", "--to", "west", "--kubeconfig", east.plane.admin] + Self.storeFlags)
        #expect(none.code == 1 && none.err.contains("no namespace that was selected has a lease record"), "\(none)")
    }

    @Test func `a cluster is drained while it runs, and its namespaces go back as told`() async throws {
        let plan = try await leasehold(["drain", "east", "--dry-run"] + Self.storeFlags)
        #expect(plan.code == 0 && plan.out.contains("team-a"), "\(plan)")
        let drained = try await leasehold(["drain", "east"] + Self.storeFlags)
        #expect(drained.code == 0, "\(drained)")
        let moved = drained.out.split(separator: "\n").map(String.init)
        #expect(moved.contains("team-a"))
        try await fleet["west"].waitUntilLeads("team-a")
        try await east.waitUntilSaw("west", lead: "team-a")
        #expect(try await !east.admits())

        let alone = try await leasehold(["drain", "west", "--to", "north"] + Self.storeFlags)
        #expect(alone.code == 1, "\(alone)")
        #expect(alone.err.contains("there is no north to hand over to: it has not taken part"))

        let back = try await leasehold(["transfer"] + moved + ["--to", "east"] + Self.storeFlags)
        #expect(back.code == 0, "\(back)")
        try await east.waitUntilLeads("team-a")
        #expect(try await leasehold(["transfer", "--all", "--clear"] + Self.storeFlags).code == 0)
    }

    // MARK: - doctor

    @Test func `finds nothing wrong where all is well, with an administrator's eyes and with the controller's`()
        async throws
    {
        let account = ["--service-account", "leader-election-controller-manager"]
        // That is how long the API server waits for the webhook in these tests.
        let patience = ["--commit-margin", "11s"]
        let report = try await doctor(Self.storeFlags + account + patience)
        for finding in report.checks where finding.check != "clock-rate" && finding.check != "store" {
            #expect(finding.status == "ok", "\(finding)")
        }
        #expect(report["webhook-reachable"]?.message.contains("the API server asked about guestbooks in ") == true)
        #expect(report["webhook-certificate"]?.message.contains("127.0.0.1:\(east.port) has a certificate") == true)

        // Its own rights, and no more: whether the webhook is reached takes more.
        let own = try await doctor(Self.storeFlags, kubeconfig: try await east.plane.leaseholdAccount())
        #expect(own.failed.isEmpty, "\(own)")
        #expect(own["rights"]?.status == "ok" && own["controller"]?.status == "ok")
        #expect(own["lease-kind"]?.message.contains("may not be read") == true)
        #expect(own["webhook-reachable"]?.status == "warning", "\(own)")
        #expect(try await east.guestbooksMadeByDoctor() == "")
    }

    @Test func `finds an API server without Leasehold, check by check`() async throws {
        let bare = try await ControlPlane.start("bare")
        let report = try await doctor([], kubeconfig: bare.admin)
        #expect(report.failed == ["lease-kind", "controller", "webhook-configuration"])
        #expect(report["rights"]?.status == "ok")
        #expect(report["lease-kind"]?.remedy?.contains("config/crd") == true)
        #expect(report["webhook-reachable"]?.status == "skipped")
        #expect(report["store"]?.status == "skipped")

        await bare.killServer()
        let down = try await doctor(Self.storeFlags, kubeconfig: bare.admin)
        #expect(down.failed == ["api-server"])
        #expect(down["rights"]?.status == "skipped" && down["store-records"]?.status == "ok")
    }

    @Test func `finds a store that is not there, and rights that are missing`() async throws {
        let report = try await doctor(["--store", "gs://not-made", "--service-account", "nobody"])
        #expect(report.failed == ["store", "rights"])
        #expect(report["store"]?.message.contains("404") == true)
        #expect(report["store-conditions"]?.status == "skipped")
        #expect(report["rights"]?.message.contains("nobody may not get namespaces, list namespaces") == true)
    }

    @Test func `finds a controller that is silent`() async throws {
        try await east.plane.run("create", "namespace", "elsewhere")
        try await east.plane.run(
            "create", "--filename", "-",
            input: """
                {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                 "metadata": {"name": "leader-election-controller", "namespace": "elsewhere"},
                 "spec": {"holderIdentity": "gone", "leaseDurationSeconds": 1, "renewTime": "2026-01-31T12:00:00.000000Z"}}
                """)
        let report = try await doctor(["--system-namespace", "elsewhere"])
        #expect(report["controller"]?.status == "failed")
        #expect(report["controller"]?.message.contains("the controller of gone has not renewed") == true)
        // That namespace is not left out of what is guarded.
        #expect(report["webhook-configuration"]?.message.contains("own namespace, elsewhere") == true)
    }

    @Test func `finds what is wrong with a registration, one thing at a time`() async throws {
        let good = try await east.plane.run(
            "get", "validatingwebhookconfiguration", ControlPlane.webhookConfiguration, "--output", "json")
        let bundle = try #require(good.firstMatch(of: /"caBundle": "([^"]+)"/)).1
        let url = "https://127.0.0.1:\(east.port)/validate"
        let other = Data((try String(contentsOfFile: Self.foreignAuthority(east.plane), encoding: .utf8)).utf8)
            .base64EncodedString()
        func expect(
            _ broken: String, _ fault: String, replacing old: String, by new: String
        ) async throws {
            // A registration of its own, for a kind of which nobody makes objects meanwhile.
            let name = "trial"
            let text = """
                {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                 "metadata": {"name": "\(name)"}, "webhooks": [{"name": "trial.leaderelection.600lyy.io",
                  "clientConfig": {"url": "\(url)", "caBundle": "\(bundle)"},
                  "rules": [{"apiGroups": ["webapp.my.domain"], "apiVersions": ["*"], "resources": ["guestbooks"],
                   "operations": ["CREATE", "UPDATE"]}],
                  "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 3,
                  "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn",
                   "values": ["\(ControlPlane.systemNamespace)"]}]}}]}
                """
            try #require(text.contains(old))
            try await east.plane.run("apply", "--filename", "-", input: text.replacing(old, with: new))
            let report = try await doctor(["--webhook-configuration", name])
            try await east.plane.run("delete", "validatingwebhookconfiguration", name)
            let finding = report[broken]
            #expect(finding?.status == "failed", "\(report)")
            #expect(finding?.message.contains(fault) == true, "\(report)")
        }
        try await expect(
            "webhook-configuration", "failurePolicy is Ignore", replacing: #""Fail""#, by: #""Ignore""#)
        try await expect(
            "webhook-configuration", "own namespace", replacing: #"["\#(ControlPlane.systemNamespace)"]"#, by: #"["x"]"#
        )
        try await expect(
            "webhook-certificate", "the caBundle of trial.leaderelection.600lyy.io is empty",
            replacing: #", "caBundle": "\#(bundle)""#, by: "")
        try await expect(
            "webhook-certificate", "does not prove to be the webhook", replacing: String(bundle), by: other)
        try await expect("webhook-reachable", "x509", replacing: String(bundle), by: other)
        let free = try FreePort.any()
        try await expect(
            "webhook-reachable", "connection refused", replacing: ":\(east.port)/", by: ":\(free)/")
        try await expect("webhook-certificate", "no connection", replacing: ":\(east.port)/", by: ":\(free)/")
    }

    /// A certificate that the webhook's is not of.
    private static func foreignAuthority(_ plane: ControlPlane) -> String { plane.directory.file("server.crt") }

    // MARK: - kubectl

    @Test func `is a plugin of the real kubectl`() async throws {
        let directory = try TemporaryDirectory()
        let binary = "\(try ChildProcess.productDirectory())/leasehold"
        for name in ["kubectl-leasehold", "kubectl_complete-leasehold"] {
            try FileManager.default.createSymbolicLink(
                atPath: directory.file(name), withDestinationPath: binary)
        }
        var environment = environment(east)
        environment["PATH"] = "\(directory.path):\(environment["PATH"] ?? "")"
        environment["KUBECONFIG"] = east.plane.admin
        func kubectl(_ arguments: String...) async throws -> Outcome {
            let process = try ChildProcess(
                east.plane.binaries.kubectl, ["leasehold"] + arguments, environment: environment, in: directory)
            return Outcome(code: await process.exitCode(), out: process.out, err: process.err)
        }
        let status = try await kubectl("status", "--namespace", "team-a")
        #expect(status.code == 0, "\(status)")
        #expect(status.out.contains("team-a"))
        #expect(try await kubectl("status", "--namespace", "team-no").code == 3)

        // By the annotation: whoever may edit the object needs no store.
        for target in ["west", "east"] {
            let moved = try await kubectl("transfer", "team-a", "--to", target, "--timeout", "120s")
            #expect(moved.code == 0 && moved.out.hasPrefix("\(target) leads team-a (term "), "\(moved)")
        }
        let cleared = try await kubectl("transfer", "team-a", "--clear")
        #expect(cleared.code == 0 && cleared.out.hasPrefix("team-a prefers no cluster any more"), "\(cleared)")
        #expect(try await kubectl("transfer", "--all", "--to", "west").code == 2)

        let help = try await kubectl("--help")
        #expect(help.code == 0 && help.out.contains("\nUsage: kubectl leasehold COMMAND"))
        #expect(try await kubectl("frobnicate").err.hasPrefix("kubectl leasehold: unknown command"))

        let completion = try ChildProcess(
            directory.file("kubectl_complete-leasehold"), ["status", "--output", "y"], in: directory)
        #expect(await completion.exitCode() == 0)
        #expect(completion.out == "yaml\t\n:4\n")
    }
}

extension TestCluster {
    /// The names of the guestbooks that are stored and should not be.
    fileprivate func guestbooksMadeByDoctor() async throws -> String {
        try await plane.run("get", "guestbooks", "--all-namespaces", "--output", "name").split(separator: "\n")
            .filter { $0.contains("leasehold-doctor") }.joined()
    }
}

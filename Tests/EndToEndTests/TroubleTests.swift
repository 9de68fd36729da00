import FoundationEssentials
import Glibc
import Support
import Testing

/// What is missing, wrong or taken away around a controller: the log says it in words to act by, `/readyz` is not ready, and
/// when it is mended all goes on without a restart.
@Suite(.serialized) struct TroubleTests {
    private static let kind = "leases.leaderelection.600lyy.io"
    private static let role = "leader-election-manager-role"
    private static let binding = "leader-election-manager-rolebinding"
    /// Nothing is given back, and nothing runs out, however slow the machine.
    private static let patience = ["--api-loss-timeout", "0"] + Fleet.patience

    @Test func `a controller waits at the start for all that is missing, and says what that is`() async throws {
        let fleet = try await Fleet.install(["east"])
        let east = fleet["east"]
        let account = try await east.plane.leaseholdAccount()
        try await east.plane.run("delete", "clusterrolebinding", Self.binding)
        // A watch that was let in once goes on without the right.
        try await removeRights("/rules/0/verbs/2", "watch", of: east)
        try await east.plane.run("delete", "crd", Self.kind)
        await east.plane.killServer()

        // No API server.
        try await east.start(["--store", "gs://not-made"], kubeconfig: account)
        try await east.waitForLog("Cannot watch namespaces, and tries again by itself", east.plane.url)
        try await east.waitForLog("Cannot read the namespace kube-system", east.plane.url)
        try await east.waitUntilUnready("Kubernetes API answers", east.plane.url, "has not answered yet")

        // One that grants no rights.
        try await east.plane.startServer()
        try await east.waitForLog(
            "Cannot watch namespaces", "403 Forbidden", #"cannot list resource "namespaces""#,
            "Grant this user that right (RBAC)")
        try await east.waitUntilUnready("namespaces are watched", "403 Forbidden")

        // Too few: what changes would never be seen.
        try await east.plane.run(
            "create", "clusterrolebinding", Self.binding, "--clusterrole=\(Self.role)",
            "--serviceaccount=\(ControlPlane.systemNamespace):leader-election-controller-manager")
        try await east.waitForLog("Cannot watch namespaces", #"cannot watch resource "namespaces""#)
        try await east.waitUntilUnready("namespaces are watched", "403 Forbidden", "cannot watch")
        try await east.plane.run("apply", "--kustomize", ControlPlane.projectFile("config/rbac"))
        try await east.waitForLog("Watches namespaces again")

        // No kind of its own.
        try await east.waitForLog("Cannot watch leases", "Install the CustomResourceDefinition \(Self.kind)")
        try await east.waitUntilUnready("Lease objects are watched", "404", Self.kind)
        try await installKind(on: east)
        try await east.waitForLog("Watches leases again")

        // No bucket, and then one that it may not use.
        try await east.waitForLog("the store gs://not-made cannot be opened", "404", "Make the bucket, or check")
        try await east.waitUntilUnready("store opened", "gs://not-made", "404")
        fleet.emulator.inject(.answer(403), count: nil)
        fleet.emulator.makeBucket("not-made")
        try await east.waitForLog("the store gs://not-made", "403", "roles/storage.objectUser")
        try await east.waitUntilUnready("store opened", "403", "roles/storage.objectUser")
        #expect(try await !east.admits())
        fleet.emulator.removeFaults()
        try await east.waitForLog("The store can be used now")
        #expect(east.log.matches(of: /WARNING STORAGE_EMULATOR_HOST is/).count == 1, "told once, whatever the tries")

        try await east.waitUntilLeads("team-a")
        try await east.waitUntilReady()

        // The right to the store is taken away again: what it leads runs out.
        fleet.emulator.inject(.answer(403), count: nil)
        try await east.waitForLog("No longer leads team-a")
        try await east.waitForLog("403", "roles/storage.objectUser")
        try await east.waitUntilUnready("store reachable", "403", "roles/storage.objectUser")
        #expect(try await !east.admits())
        fleet.emulator.removeFaults()
        try await east.waitUntilReady()
        try await east.until("team-a is led again") { try await east.admits() }
        try await east.until("an Event tells") {
            try await east.plane.run("get", "events", "--namespace", "team-a").contains("LeaderLost")
        }
        await fleet.end()
    }

    @Test func `what is taken away from a leader costs it no lease, and is said`() async throws {
        let fleet = try await Fleet.start(["east"], Self.patience)
        let east = fleet["east"]
        try await east.waitUntilReady()
        let term = try await east.lease(".status.term")

        // The kind, and all Lease objects with it.
        try await east.plane.run("delete", "crd", Self.kind)
        try await east.waitForLog("Cannot watch leases", "Install the CustomResourceDefinition \(Self.kind)")
        try await east.waitUntilUnready("Lease objects are watched", "404", Self.kind)
        #expect(try await east.admits())
        try await installKind(on: east)
        try await east.waitUntilLeads("team-a")
        #expect(try await east.lease(".status.term") == term)
        try await east.waitForLog("Watches leases again")
        try await east.waitUntilReady()

        // One right.
        try await removeRights("/rules/2", nil, of: east)
        try await east.waitForLog(
            "Cannot write the status of the Lease object of team-a", "403 Forbidden", "leases/status",
            "Grant this user that right (RBAC)")
        try await east.waitUntilUnready("Lease objects are written", "403 Forbidden", "leases/status")
        #expect(try await east.admits())
        try await east.plane.run("apply", "--kustomize", ControlPlane.projectFile("config/rbac"))
        try await east.waitForLog("Can write the status of the Lease object of team-a again")
        try await east.waitUntilReady()
        #expect(try await east.lease(".status.term") == term)
        await fleet.end()
    }

    @Test func `a token that is no longer good stops no election, and a new one is found`() async throws {
        let fleet = try await Fleet.install(["east"])
        let east = fleet["east"]
        let (account, token) = try await accountWithTokenFile(of: east)
        try await east.start(Self.patience, kubeconfig: account)
        try await east.waitUntilLeads("team-a")
        try await east.waitUntilReady()
        let term = try await east.lease(".status.term")

        // All its tokens die with an account.
        try await east.plane.run(
            "delete", "serviceaccount", "leader-election-controller-manager", "--namespace",
            ControlPlane.systemNamespace)
        try await east.waitForLog(
            "The controller's own Lease leader-election-controller", "cannot be renewed", "401 Unauthorized",
            "renew them")
        try await east.waitUntilUnready("Lease objects are written", "401 Unauthorized")
        #expect(try await east.admits())

        try await east.plane.run("apply", "--kustomize", ControlPlane.projectFile("config/rbac"))
        try SecretFile.write(try Self.token(in: await east.plane.leaseholdAccount()), to: token)
        try await east.waitForLog("Renews the controller's own Lease leader-election-controller", "again")
        try await east.waitUntilReady()
        try await east.plane.run("create", "namespace", "team-b")
        try await east.waitUntilLeads("team-b")
        #expect(try await east.lease(".status.term") == term)
        #expect(!east.log.contains(try String(contentsOfFile: token, encoding: .utf8)))
        await fleet.end()
    }

    @Test func `what changes unseen, by a controller that is stopped or down, is found`() async throws {
        let fleet = try await Fleet.start(["east"])
        let east = fleet["east"]
        try await east.plane.run("create", "namespace", "team-b")
        try await east.plane.run("create", "namespace", "team-c")
        try await east.waitUntilLeads("team-b")
        try await east.waitUntilLeads("team-c")

        // An API server that was started again has no changes from before, so those since then are lost to a watch.
        let mark = east.logMark
        east.process?.send(SIGSTOP)
        await east.plane.killServer()
        try await east.plane.startServer()
        try await remove("team-b", from: east)
        try await east.plane.run("create", "namespace", "team-d")
        let old = try await east.lease(".metadata.uid", in: "team-c")
        try await remove("team-c", from: east)
        try await east.plane.run("create", "namespace", "team-c")
        east.process?.send(SIGCONT)
        try await east.waitForLog("no longer has all changes of namespaces (410)", after: mark)
        try await east.waitForLog("no longer has all changes of leases (410)", after: mark)
        try await east.waitUntilLeads("team-d")
        try await east.waitUntilLeads("team-c")
        #expect(try await east.lease(".metadata.uid", in: "team-c") != old)
        try await east.until("the lease of team-b is free") { try isFree("team-b", fleet) }
        try await east.waitUntilLeads("team-a")

        // The same without a controller.
        await east.stop()
        let before = try await east.lease(".metadata.uid", in: "team-c")
        try await remove("team-c", from: east)
        try await east.plane.run("create", "namespace", "team-c")
        try await remove("team-d", from: east)
        try await east.start()
        try await east.waitUntilLeads("team-c")
        #expect(try await east.lease(".metadata.uid", in: "team-c") != before)
        #expect(try await east.lease(".spec.holderIdentity", in: "team-c") == "east")
        try await east.until("the lease of team-d is free") { try isFree("team-d", fleet) }
        await fleet.end()
    }

    @Test func `nonsense in a Lease object is set right, or said`() async throws {
        let fleet = try await Fleet.start(["east", "west"], Self.patience)
        let (east, west) = (fleet["east"], fleet["west"])
        let term = try await east.lease(".status.term")

        // A status that claims what is not so; conditions of others stay.
        try await patch(
            west, subresource: "status",
            #"""
            {"status": {"isLeader": true, "observedHolderIdentity": "nobody", "term": -1, "leaseTransitions": -7,
             "observedGeneration": 9000, "observedRenewTime": "1970-01-01T00:00:00Z", "conditions": [
              {"type": "Held", "status": "True", "reason": "Nonsense", "message": "-", "lastTransitionTime": "1970-01-01T00:00:00Z"},
              {"type": "Seen", "status": "True", "reason": "ByAPerson", "message": "-", "lastTransitionTime": "1970-01-01T00:00:00Z"}]}}
            """#)
        try await west.waitUntilSaw("east", lead: "team-a")
        #expect(try await west.lease(".status.isLeader") == "false")
        #expect(try await west.lease(".status.term") == term)
        #expect(try await west.lease(".status.observedGeneration") == "1")
        #expect(try await west.lease(#".status.conditions[?(@.type=="Held")].reason"#) == "OtherClusterLeads")
        #expect(try await west.lease(#".status.conditions[?(@.type=="Seen")].reason"#) == "ByAPerson")
        try await west.until("the observed renew time is fresh") {
            try await west.lease(".status.observedRenewTime") > "2000"
        }

        // A leader's status that is gone.
        try await patch(east, subresource: "status", #"{"status": null}"#)
        try await east.waitUntilLeads("team-a")

        // What the rules refuse for the leader: it gives the lease up rather than lead by another duration than it says.
        try await patch(east, #"{"spec": {"leaseDurationSeconds": 86400}}"#)
        let reason = #".status.conditions[?(@.type=="Held")].reason"#
        try await east.until("the condition tells") { try await east.lease(reason) == "DurationRefused" }
        try await east.until("an Event tells") {
            try await east.plane.run("get", "events", "--namespace", "team-a").contains("LeaseRefused")
        }
        try await west.waitUntilLeads("team-a")
        try await patch(east, #"{"spec": {"leaseDurationSeconds": 120}}"#)
        try await east.until("it takes part again") { try await east.lease(reason) == "OtherClusterLeads" }

        // Wishes that cannot be.
        try await patch(west, #"{"spec": {"preferredHolder": "../no/cluster"}}"#)
        try await west.until("an Event tells") {
            try await west.plane.run("get", "events", "--namespace", "team-a").contains("HandoverRefused")
        }
        #expect(try await west.lease(".status.isLeader") == "true")
        await fleet.end()
    }

    // MARK: - Taking away and giving

    private func patch(_ cluster: TestCluster, subresource: String? = nil, _ patch: String) async throws {
        var arguments = [
            "patch", Self.kind, "lease-gsc", "--namespace", "team-a", "--type=merge", "--patch", patch,
        ]
        if let subresource { arguments.append("--subresource=\(subresource)") }
        let outcome = try await cluster.plane.kubectl(arguments)
        try #require(outcome.code == 0, "\(outcome)")
    }

    /// Takes a part of the controller's role out.
    ///
    /// - Parameter value: what must stand there; nil: anything.
    private func removeRights(_ path: String, _ value: String?, of cluster: TestCluster) async throws {
        let test = value.map { #"{"op": "test", "path": "\#(path)", "value": "\#($0)"}, "# } ?? ""
        try await cluster.plane.run(
            "patch", "clusterrole", Self.role, "--type=json", "--patch",
            #"[\#(test){"op": "remove", "path": "\#(path)"}]"#)
    }

    private func installKind(on cluster: TestCluster) async throws {
        try await cluster.plane.run("apply", "--kustomize", ControlPlane.projectFile("config/crd"))
        try await cluster.plane.run("wait", "--for=condition=Established", "--timeout=60s", "crd/\(Self.kind)")
    }

    /// Deletes a namespace in which there is no more than its Lease object, while no webhook answers.
    private func remove(_ namespace: String, from cluster: TestCluster) async throws {
        try await cluster.plane.run("delete", "namespace", namespace, "--wait=false")
        try await cluster.plane.run("delete", Self.kind, "lease-gsc", "--namespace", namespace)
        try await cluster.plane.run(
            "replace", "--raw", "/api/v1/namespaces/\(namespace)/finalize", "--filename", "-",
            input: """
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "\(namespace)"}, "spec": {"finalizers": []}}
                """)
    }

    private func isFree(_ namespace: String, _ fleet: Fleet) throws -> Bool {
        let record = try #require(fleet.emulator.body(of: "leases/\(namespace)", in: Fleet.bucket))
        return String(decoding: record, as: UTF8.self).contains(#""holderIdentity" : """#)
    }

    // MARK: - Credentials

    /// A kubeconfig that names a file with the token, as the pods' service accounts have it.
    private func accountWithTokenFile(of cluster: TestCluster) async throws -> (kubeconfig: String, token: String) {
        let made = try await cluster.plane.leaseholdAccount()
        let token = try Self.token(in: made)
        let (kubeconfig, file) = (
            cluster.plane.directory.file("file.kubeconfig"), cluster.plane.directory.file("token")
        )
        try SecretFile.write(token, to: file)
        let text = try String(contentsOfFile: made, encoding: .utf8)
        try SecretFile.write(
            text.replacing(#""token": "\#(token)""#, with: #""tokenFile": "\#(file)""#), to: kubeconfig)
        return (kubeconfig, file)
    }

    private static func token(in kubeconfig: String) throws -> String {
        let text = try String(contentsOfFile: kubeconfig, encoding: .utf8)
        return String(try #require(text.firstMatch(of: /"token": "([^"]+)"/)).1)
    }
}

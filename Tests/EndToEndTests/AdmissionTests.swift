import Support
import Testing

/// Guarded writes, by real kubectl through real API servers: who may, where, and what the others are told.
@Suite(.serialized, .fleet(Fleet.patience))
struct AdmissionTests {
    let fleet: Fleet
    let east: TestCluster
    let west: TestCluster

    init() throws {
        fleet = try SharedFleet.fleet()
        (east, west) = (fleet["east"], fleet["west"])
    }

    @Test(arguments: GuardedWrite.all)
    func `an operator's write is allowed where its namespace is led and rejected elsewhere, dry or not`(
        write: GuardedWrite
    ) async throws {
        async let onEast: Void = write.check(on: east, ledBy: "east")
        async let onWest: Void = write.check(on: west, ledBy: "east")
        _ = try await (onEast, onWest)
    }

    // MARK: - Who is not guarded

    @Test(arguments: ["east", "west"])
    func `an administrator and Kubernetes' own controllers are blocked nowhere`(name: String) async throws {
        let cluster = fleet[name]
        func expectAllowed(_ arguments: String..., by controller: String) async throws {
            let outcome = try await cluster.plane.kubectl(
                arguments + ["--as=system:serviceaccount:kube-system:\(controller)"])
            #expect(outcome.code == 0, "\(controller): \(outcome)\n\(cluster.log)")
        }
        try await cluster.resetGuestbooks()
        try await cluster.plane.run("annotate", "guestbook", "one", "--namespace", "team-a", "read=yes")
        try await expectAllowed(
            "patch", "guestbook", "one", "--namespace", "team-a", "--type=merge", "--patch",
            #"{"metadata": {"finalizers": null, "labels": {"orphan": "yes"}}}"#, by: "generic-garbage-collector")
        try await expectAllowed(
            "delete", "guestbook", "one", "--namespace", "team-a", by: "generic-garbage-collector")
        #expect(try await cluster.guestbooks() == "")
        try await cluster.resetGuestbooks()
        try await expectAllowed(
            "delete", "--raw", "/apis/webapp.my.domain/v1/namespaces/team-a/guestbooks", by: "namespace-controller")
        #expect(try await cluster.guestbooks() == "")
    }

    @Test func `a namespace with guarded objects can be deleted where it is not led`() async throws {
        try await east.plane.run("create", "namespace", "team-gone")
        try await east.waitUntilLeads("team-gone")
        try await west.plane.run("create", "namespace", "team-gone")
        try await west.waitUntilSaw("east", lead: "team-gone")
        try await west.plane.run("apply", "--namespace", "team-gone", "--filename", "-", input: Self.guestbook)

        try await west.plane.run("delete", "namespace", "team-gone", "--wait=false")
        try await west.plane.finishDeletion(of: "team-gone")
        #expect(try await west.plane.kubectl("get", "namespace", "team-gone").err.contains("not found"))
        #expect(try await east.lease(".status.isLeader", in: "team-gone") == "true")
    }

    private static let guestbook =
        #"{"apiVersion": "webapp.my.domain/v1", "kind": "Guestbook", "metadata": {"name": "theirs"}, "spec": {}}"#

    // MARK: - What the guard does not change

    @Test func `who has no right to write is refused by RBAC, and who has one from elsewhere is guarded`() async throws
    {
        // Of a namespace that is left out of the election: what counts is where it writes.
        let newcomers = try await [
            east.plane.serviceAccount("newcomer", in: "default"), west.plane.serviceAccount("newcomer", in: "default"),
        ]
        func create(on cluster: TestCluster, as kubeconfig: String) async throws -> ControlPlane.Outcome {
            try await cluster.plane.kubectl(
                "create", "--dry-run=server", "--namespace", "team-a", "--filename", "-", as: kubeconfig,
                input: Self.guestbook)
        }
        for (cluster, newcomer) in zip(fleet.clusters, newcomers) {
            let refused = try await create(on: cluster, as: newcomer)
            #expect(refused.code == 1)
            #expect(
                refused.err.contains(#""system:serviceaccount:default:newcomer" cannot create resource "guestbooks""#),
                "\(refused)")
        }
        for cluster in fleet.clusters {
            try await cluster.plane.run(
                "create", "rolebinding", "newcomer", "--role=guestbook-operator", "--serviceaccount=default:newcomer",
                "--namespace", "team-a")
        }
        try await east.until("the right is in force") {
            try await create(on: east, as: newcomers[0]).code == 0
        }
        try await west.until("the right is in force") {
            try await create(on: west, as: newcomers[1]).err.contains("denied the request")
        }
        west.expectDenial(try await create(on: west, as: newcomers[1]), ledBy: "east")
    }
}

import Support
import Testing

/// One way in which kubectl changes guestbooks of `team-a`, where there is one called `one` and no other.
struct GuardedWrite: CustomTestStringConvertible, Sendable {
    let testDescription: String
    /// What kubectl is told to do it for good.
    let arguments: [String]
    /// And to only try it.
    let dryRun: [String]
    let input: String?

    private init(_ description: String, _ arguments: [String], dryRun: [String]? = nil, input: String? = nil) {
        testDescription = description
        self.arguments = arguments
        self.dryRun = dryRun ?? arguments + ["--dry-run=server"]
        self.input = input
    }

    private static func guestbook(_ name: String, book: String) -> String {
        #"{"apiVersion": "webapp.my.domain/v1", "kind": "Guestbook", "metadata": {"name": "\#(name)"}, "#
            + #""spec": {"book": "\#(book)", "replicas": 1}}"#
    }

    private static let collection = "/apis/webapp.my.domain/v1/namespaces/team-a/guestbooks"

    static let all: [GuardedWrite] = [
        GuardedWrite("create", ["create", "--filename", "-"], input: guestbook("two", book: "staff")),
        GuardedWrite(
            "apply what is not there", ["apply", "--filename", "-"], input: guestbook("two", book: "staff")),
        GuardedWrite("apply a change", ["apply", "--filename", "-"], input: guestbook("one", book: "staff")),
        GuardedWrite(
            "apply --server-side what is not there", ["apply", "--server-side", "--filename", "-"],
            input: guestbook("two", book: "staff")),
        GuardedWrite(
            "apply --server-side a change", ["apply", "--server-side", "--force-conflicts", "--filename", "-"],
            input: guestbook("one", book: "staff")),
        GuardedWrite("replace", ["replace", "--filename", "-"], input: guestbook("one", book: "staff")),
        GuardedWrite(
            "patch", ["patch", "guestbook", "one", "--type=merge", "--patch", #"{"spec": {"book": "staff"}}"#]),
        GuardedWrite(
            "patch the status",
            [
                "patch", "guestbook", "one", "--subresource=status", "--type=merge", "--patch",
                #"{"status": {"replicas": 1}}"#,
            ]),
        GuardedWrite("scale", ["scale", "guestbook", "one", "--replicas=5"]),
        GuardedWrite("label", ["label", "guestbook", "one", "read=yes"]),
        GuardedWrite("delete", ["delete", "guestbook", "one"]),
        GuardedWrite("delete --all", ["delete", "guestbooks", "--all"]),
        GuardedWrite(
            "delete the collection in one call", ["delete", "--raw", collection],
            dryRun: ["delete", "--raw", "\(collection)?dryRun=All"]),
    ]

    /// Carries it out as the operator, first as a dry run, from the same beginning on every cluster.
    ///
    /// - Parameter leader: its name.
    func check(on cluster: TestCluster, ledBy leader: String) async throws {
        try await cluster.resetGuestbooks()
        let before = try await cluster.guestbooks()
        try await expectVerdict(on: cluster, ledBy: leader, dryRun)
        #expect(try await cluster.guestbooks() == before, "a dry run changes nothing on \(cluster.name)")
        try await expectVerdict(on: cluster, ledBy: leader, arguments)
        let after = try await cluster.guestbooks()
        #expect((after != before) == (cluster.name == leader), "before: \(before)after: \(after)on \(cluster.name)")
    }

    private func expectVerdict(on cluster: TestCluster, ledBy leader: String, _ arguments: [String]) async throws {
        let outcome = try await cluster.plane.kubectl(arguments, as: cluster.operatorOfTeamA, input: input)
        if cluster.name == leader {
            #expect(outcome.code == 0, "\(arguments): \(outcome)\n\(cluster.log)")
        } else {
            #expect(outcome.code == 1, "\(arguments): \(outcome)\n\(cluster.log)")
            cluster.expectDenial(outcome, ledBy: leader)
        }
    }
}

extension TestCluster {
    /// Puts the guestbooks of `team-a` back to the one that is called `one`, as the administrator.
    func resetGuestbooks() async throws {
        try await plane.run("delete", "guestbooks", "--all", "--namespace", "team-a")
        try await plane.run("apply", "--filename", Self.guestbook)
    }

    /// All guestbooks, in which state.
    func guestbooks() async throws -> String {
        try await plane.run(
            "get", "guestbooks", "--all-namespaces", "--output",
            "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.uid} {.metadata.resourceVersion}{\"\\n\"}{end}"
        )
    }

    /// Names the namespace, who leads it, and whom was asked.
    func expectDenial(_ outcome: ControlPlane.Outcome, ledBy leader: String, in namespace: String = "team-a") {
        let said = outcome.err
        #expect(said.contains(#"admission webhook "guard.leaderelection.600lyy.io" denied the request: "#), "\(said)")
        #expect(said.contains(#"namespace "\#(namespace)" is led by cluster "\#(leader)" (since 2"#), "\(said)")
        #expect(said.contains(#"; this request came to cluster "\#(name)". Apply it on "\#(leader)", or "#), "\(said)")
    }
}

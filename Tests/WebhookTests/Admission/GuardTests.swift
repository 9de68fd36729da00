import Election
import Testing
import Webhook

@Suite struct GuardTests {
    struct Row: CustomTestStringConvertible {
        let claim: String
        var review = Review()
        var table = LeadershipTable.east(.other)
        var policy = Policy()
        var now = Reading.start
        let outcome: Decision.Outcome
        let reason: Decision.Reason
        var testDescription: String { claim }
    }

    private static func policy(_ change: (inout Policy) throws -> Void) -> Policy {
        var policy = Policy()
        try! change(&policy)
        return policy
    }

    // MARK: 1. Who is subject to the guard

    static let subjects: [Row] = [
        Row(
            claim: "a person is not subject to the guard",
            review: Review(username: "admin", groups: ["system:masters"]),
            outcome: .exempt, reason: .notServiceAccount),
        Row(
            claim: "a person is subject to it with guardUsers",
            review: Review(username: "admin", groups: ["system:masters"]), policy: policy { $0.guardUsers = true },
            outcome: .denied, reason: .otherLeads),
        Row(claim: "a service account is subject to it", outcome: .denied, reason: .otherLeads),
        Row(
            claim: "what only looks like a service account is subject to it",
            review: Review(username: "system:serviceaccount:", groups: []), outcome: .denied, reason: .otherLeads),
        Row(
            claim: "service accounts of kube-system are exempt",
            review: Review(username: "system:serviceaccount:kube-system:generic-garbage-collector"), outcome: .exempt,
            reason: .exemption),
        Row(
            claim: "service accounts of kube-system-x are not exempt",
            review: Review(username: "system:serviceaccount:kube-system-x:namespace-controller"), outcome: .denied,
            reason: .otherLeads),
        Row(
            claim: "a service account named kube-system is not exempt",
            review: Review(username: "system:serviceaccount:team-a:kube-system"), outcome: .denied, reason: .otherLeads),
        Row(
            claim: "a service account named like a node is not exempt",
            review: Review(username: "system:serviceaccount:team-a:system.node.n1"), outcome: .denied,
            reason: .otherLeads),
        Row(
            claim: "a node is exempt by its name",
            review: Review(username: "system:node:n1", groups: []), policy: policy { $0.guardUsers = true },
            outcome: .exempt, reason: .exemption),
        Row(
            claim: "a node is exempt by its group",
            review: Review(username: "kubelet", groups: ["system:nodes"]), policy: policy { $0.guardUsers = true },
            outcome: .exempt, reason: .exemption),
        Row(
            claim: "a service account in the group of nodes is not exempt",
            review: Review(groups: ["system:nodes"]), outcome: .denied, reason: .otherLeads),
        Row(
            claim: "the controller manager is exempt",
            review: Review(username: "system:kube-controller-manager", groups: []),
            policy: policy { $0.guardUsers = true }, outcome: .exempt, reason: .exemption),
        Row(
            claim: "the API server itself is exempt", review: Review(username: "system:apiserver", groups: []),
            policy: policy { $0.guardUsers = true }, outcome: .exempt, reason: .exemption),
        Row(
            claim: "a user named almost like a service account is no part of Kubernetes",
            review: Review(username: "system:serviceaccounts:team-a", groups: []),
            policy: policy { $0.guardUsers = true }, outcome: .denied, reason: .otherLeads),
        Row(
            claim: "a caller without credentials is no part of Kubernetes",
            review: Review(username: "system:anonymous", groups: ["system:unauthenticated"]),
            policy: policy { $0.guardUsers = true }, outcome: .denied, reason: .otherLeads),
        Row(
            claim: "a machine that is not a node yet is no part of Kubernetes",
            review: Review(username: "system:bootstrap:abcdef", groups: ["system:bootstrappers"]),
            policy: policy { $0.guardUsers = true }, outcome: .denied, reason: .otherLeads),
        Row(
            claim: "a listed service account is exempt",
            policy: policy { try $0.exempt(serviceAccount: "team-a/operator") },
            outcome: .exempt, reason: .exemption),
        Row(
            claim: "a listed service account exempts no longer name",
            policy: policy { try $0.exempt(serviceAccount: "team-a/op") }, outcome: .denied, reason: .otherLeads),
        Row(
            claim: "a listed beginning exempts longer names",
            policy: policy { try $0.exempt(serviceAccount: "team-a/op*") }, outcome: .exempt, reason: .exemption),
        Row(
            claim: "a namespace listed with * exempts its service accounts",
            policy: policy { try $0.exempt(serviceAccount: "team-a/*") }, outcome: .exempt, reason: .exemption),
        Row(
            claim: "a namespace listed with * exempts no other that begins alike",
            review: Review(username: "system:serviceaccount:team-ab:operator"),
            policy: policy { try $0.exempt(serviceAccount: "team-a/*") }, outcome: .denied, reason: .otherLeads),
        Row(
            claim: "a service account named like a listed one of another namespace is not exempt",
            review: Review(username: "system:serviceaccount:evil:team-a"),
            policy: policy { try $0.exempt(serviceAccount: "team-a/*") }, outcome: .denied, reason: .otherLeads),
        Row(
            claim: "the second of two listed service accounts is exempt",
            policy: policy {
                try $0.exempt(serviceAccount: "x/y")
                try $0.exempt(serviceAccount: "team-a/operator")
            }, outcome: .exempt, reason: .exemption),
        Row(
            claim: "a listed group exempts service accounts in it",
            policy: policy { try $0.exempt(group: "system:serviceaccounts:team-a") }, outcome: .exempt,
            reason: .exemption),
        Row(
            claim: "a listed group exempts no longer name",
            policy: policy { try $0.exempt(group: "system:serviceaccounts:team") }, outcome: .denied,
            reason: .otherLeads),
        Row(
            claim: "a listed user is exempt", review: Review(username: "ci", groups: []),
            policy: policy {
                $0.guardUsers = true
                try $0.exempt(user: "ci")
            }, outcome: .exempt, reason: .exemption),
        Row(
            claim: "a listed beginning of user names never exempts a service account",
            policy: policy {
                try $0.exempt(user: "system:*")
                try $0.exempt(user: "*")
            }, outcome: .denied, reason: .otherLeads),
    ]

    // MARK: 2. and 4. Whose lease, and whose caller

    static let leases: [Row] = [
        Row(claim: "the leader is admitted", table: .east(.own()), outcome: .allowed, reason: .leads),
        Row(
            claim: "the leader is admitted until just before its window ends", table: .east(.own()),
            now: .after(.nanoseconds(9_999_999_999)), outcome: .allowed, reason: .leads),
        Row(
            claim: "the leader is denied at the instant its window ends", table: .east(.own()),
            now: .after(.seconds(10)), outcome: .denied, reason: .lapsed),
        Row(claim: "a follower is denied", outcome: .denied, reason: .otherLeads),
        Row(claim: "a free lease admits nobody", table: .east(.free), outcome: .denied, reason: .free),
        Row(claim: "a lapsed lease admits nobody", table: .east(.lapsed), outcome: .denied, reason: .lapsed),
        Row(claim: "an unread lease admits nobody", table: .east(.unknown), outcome: .denied, reason: .unknown),
        Row(
            claim: "an unreadable lease admits nobody", table: .east(.unreadable), outcome: .denied, reason: .unreadable
        ),
        Row(
            claim: "a namespace that is not in the table admits nobody", review: Review(namespace: "team-c"),
            outcome: .denied, reason: .notElected),
        Row(
            claim: "an empty table admits nobody", table: LeadershipTable(cluster: "east"), outcome: .denied,
            reason: .notElected),
        Row(
            claim: "a table that no controller vouches for any more admits nobody", table: .silent, outcome: .denied,
            reason: .silent),
        Row(
            claim: "the lease of another namespace does not count", review: Review(namespace: "team-b"),
            outcome: .allowed, reason: .leads),
        Row(
            claim: "a caller of another cluster is denied where this one leads", table: .east(.own()),
            policy: policy { $0.clusterIdentities = [try .init("west=system:serviceaccount:team-a:*")] },
            outcome: .denied, reason: .foreignCaller),
        Row(
            claim: "a caller of another cluster is denied where that one leads",
            policy: policy { $0.clusterIdentities = [try .init("west=system:serviceaccounts:team-a")] },
            outcome: .denied, reason: .foreignCaller),
        Row(
            claim: "a caller of another cluster is denied where nobody leads", table: .east(.free),
            policy: policy { $0.clusterIdentities = [try .init("west=system:serviceaccounts")] }, outcome: .denied,
            reason: .foreignCaller),
        Row(
            claim: "a caller named as this cluster's is judged by the lease", table: .east(.own()),
            policy: policy { $0.clusterIdentities = [try .init("east=system:serviceaccount:team-a:*")] },
            outcome: .allowed, reason: .leads),
        Row(
            claim: "the first identity that matches counts", table: .east(.own()),
            policy: policy {
                $0.clusterIdentities = [
                    try .init("north=nobody"), try .init("east=system:serviceaccount:team-a:operator"),
                    try .init("west=*"),
                ]
            }, outcome: .allowed, reason: .leads),
        Row(
            claim: "an identity that matches nothing leaves the caller to this cluster", table: .east(.own()),
            policy: policy { $0.clusterIdentities = [try .init("west=system:serviceaccount:team-b:*")] },
            outcome: .allowed, reason: .leads),
    ]

    // MARK: 3. No lease to ask

    static let places: [Row] = [
        Row(
            claim: "a namespace left out by its controller is open", table: .east(.unmanaged), outcome: .allowed,
            reason: .unmanaged),
        Row(
            claim: "a namespace left out by its controller is closed on request", table: .east(.unmanaged),
            policy: policy { $0.unmanagedNamespaces = .deny }, outcome: .denied, reason: .unmanaged),
        Row(
            claim: "a namespace left out by a pattern is open", review: Review(namespace: "gke-system"),
            policy: policy { $0.excludedNamespaces = [try Pattern("x"), try Pattern("gke-*")] }, outcome: .allowed,
            reason: .unmanaged),
        Row(
            claim: "a namespace that only begins like an excluded one is guarded",
            policy: policy { $0.excludedNamespaces = [try Pattern("team")] }, outcome: .denied, reason: .otherLeads),
        Row(
            claim: "a namespace left out is open to callers of other clusters", table: .east(.unmanaged),
            policy: policy { $0.clusterIdentities = [try .init("west=*")] }, outcome: .allowed, reason: .unmanaged),
        Row(
            claim: "cluster-scoped resources are closed", review: Review(namespace: nil), table: .east(.own()),
            outcome: .denied, reason: .clusterScoped),
        Row(
            claim: "an empty namespace is none", review: Review(namespace: ""), table: .east(.own()), outcome: .denied,
            reason: .clusterScoped),
        Row(
            claim: "cluster-scoped resources are open on request", review: Review(namespace: nil),
            policy: policy { $0.clusterScoped = .allow }, outcome: .allowed, reason: .clusterScoped),
        Row(
            claim: "a named namespace's lease admits to cluster-scoped resources", review: Review(namespace: nil),
            policy: policy { $0.clusterScoped = try .init("team-b") }, outcome: .allowed, reason: .leads),
        Row(
            claim: "a named namespace's lease keeps from cluster-scoped resources", review: Review(namespace: nil),
            policy: policy { $0.clusterScoped = try .init("team-a") }, outcome: .denied, reason: .otherLeads),
        Row(
            claim: "a named namespace does not decide for others",
            policy: policy { $0.clusterScoped = try .init("team-b") }, outcome: .denied, reason: .otherLeads),
        Row(
            claim: "a named namespace left out by a pattern has no lease that could admit to cluster-scoped resources",
            review: Review(namespace: nil),
            policy: policy {
                $0.clusterScoped = try .init("team-a")
                $0.excludedNamespaces = [try Pattern("team-a")]
            }, outcome: .denied, reason: .unmanaged),
        Row(
            claim: "a named namespace left out by its controller has none either", review: Review(namespace: nil),
            table: .east(.unmanaged), policy: policy { $0.clusterScoped = try .init("team-a") }, outcome: .denied,
            reason: .unmanaged),
    ]

    @Test(arguments: subjects + leases + places) func `the decision table holds`(row: Row) throws {
        let decision = try row.review.decide(row.policy, row.table, at: row.now)
        #expect(decision.outcome == row.outcome)
        #expect(decision.reason == row.reason)
    }

    @Test(arguments: subjects + leases + places)
    func `operations and dry runs are all alike`(row: Row) throws {
        for operation in ["CREATE", "UPDATE", "DELETE", "CONNECT", "SOMETHING"] {
            for dryRun in [false, true] {
                var review = row.review
                (review.operation, review.dryRun) = (operation, dryRun)
                let decision = try review.decide(row.policy, row.table, at: row.now)
                #expect(decision.outcome == row.outcome)
                #expect(decision.reason == row.reason)
            }
        }
    }

    @Test(arguments: subjects + leases + places)
    func `warn and audit turn denials into admissions and change nothing else`(row: Row) throws {
        for (mode, outcome) in [(Policy.Mode.warn, Decision.Outcome.warned), (.audit, .audited)] {
            var policy = row.policy
            policy.mode = mode
            let decision = try row.review.decide(policy, row.table, at: row.now)
            #expect(decision.isAllowed)
            #expect(decision.outcome == (row.outcome == .denied ? outcome : row.outcome))
            #expect(decision.reason == row.reason)
        }
    }

    @Test func `only a claim that still holds admits whoever is guarded`() throws {
        for entry in [LeadershipTable.Entry.own(), .other, .free, .lapsed, .unknown, .unreadable] {
            for seconds in [0, 5, 10, 11] {
                let decision = try Review().decide(Policy(), .east(entry), at: .after(.seconds(seconds)))
                #expect(decision.isAllowed == (entry.state == .own && seconds < 10))
            }
        }
    }

    @Test(arguments: [
        "wall": Reading(boottime: 1_000, realtime: 20_000_000_000, monotonicRaw: 3_000),
        "boot": Reading(boottime: 20_000_000_000, realtime: 2_000, monotonicRaw: 3_000),
        "raw": Reading(boottime: 1_000, realtime: 2_000, monotonicRaw: 20_000_000_000),
    ]) func `any clock that says the window is over ends it`(clock: String, now: Reading) throws {
        #expect(try Review().decide(Policy(), .east(.own()), at: now).reason == .lapsed)
    }

    // MARK: Flags

    @Test(arguments: ["", "*a", "a*b", "a**", "**"]) func `a * may stand at the end of a pattern only`(text: String) {
        #expect(throws: PolicyError.self) { try Pattern(text) }
        #expect(throws: PolicyError.self) { try Policy.ClusterIdentity("west=\(text)") }
    }

    @Test(arguments: ["", "operator", "a/b/c", "/operator", "a/", "*/operator", "a*/b", "*", "A/b", "a:b/c", "a/b:c"])
    func `a service account to exempt needs a whole namespace`(text: String) {
        #expect(throws: PolicyError.self) {
            var policy = Policy()
            try policy.exempt(serviceAccount: text)
        }
    }

    @Test func `a service account is not exempted as a user`() {
        #expect(throws: PolicyError.self) {
            var policy = Policy()
            try policy.exempt(user: "system:serviceaccount:team-a:operator")
        }
    }

    @Test(arguments: ["", "west", "=x", "west="]) func `a cluster identity needs a cluster and a pattern`(text: String)
    {
        #expect(throws: PolicyError.self) { try Policy.ClusterIdentity(text) }
    }

    @Test(arguments: ["", "Allow", "-a", "a-", "a/b", String(repeating: "a", count: 64)])
    func `cluster-scoped takes a namespace's name`(text: String) {
        #expect(throws: PolicyError.self) { try Policy.ClusterScoped(text) }
    }
}

internal import Election
internal import Webhook

/// The flags that say who is subject to the guard, and what it does where no lease decides.
struct PolicyOptions {
    var mode = Policy.Mode.enforce
    var guardUsers = false
    var exemptServiceAccounts: [String] = []
    var exemptGroups: [String] = []
    var exemptUsers: [String] = []
    var clusterIdentities: [String] = []
    var unmanagedNamespaces = Policy.Unmanaged.allow
    var clusterScoped = "deny"
    var excludedNamespaces = Self.excludedByDefault

    /// Namespaces of Kubernetes, of Google's managed services and of Leasehold itself: written by parts that run in
    /// every cluster alike.
    static let excludedByDefault = [
        "kube-system", "kube-public", "kube-node-lease", "default", "cert-manager", "cnrm-system", "gke-managed-cim",
        "gke-managed-system", "gmp-public", "gmp-system", "ssa-demo", "multi-cluster-leader-election-system",
    ]

    static func flags<Options>(at path: WritableKeyPath<Options, PolicyOptions>) -> [Flag<Options>] {
        [
            Flag(
                "mode", path.appending(path: \.mode), .choice("MODE"),
                "What becomes of a denial: enforce it, allow with a warning, or allow and only count it."),
            Flag(
                switch: "guard-users", path.appending(path: \.guardUsers),
                "Guards the writes of people too, not only those of service accounts."),
            Flag(
                "exempt-service-account", each: path.appending(path: \.exemptServiceAccounts),
                .policy("NAMESPACE/NAME", "NAMESPACE/NAME, with a * at the end if wanted") { text throws(PolicyError) in
                    var policy = Policy()
                    try policy.exempt(serviceAccount: text)
                },
                "A service account that may always write; * at the end matches the rest."),
            Flag(
                "exempt-group", each: path.appending(path: \.exemptGroups),
                .policy("GROUP", "a group's name, with a * at the end if wanted") { text throws(PolicyError) in
                    var policy = Policy()
                    try policy.exempt(group: text)
                },
                "A group whose members may always write; * at the end matches the rest."),
            Flag(
                "exempt-user", each: path.appending(path: \.exemptUsers),
                .policy("USER", "a user's name (no service account's), with a * at the end if wanted") {
                    text throws(PolicyError) in
                    var policy = Policy()
                    try policy.exempt(user: text)
                },
                "A user who may always write; * at the end matches the rest."),
            Flag(
                "cluster-identity", each: path.appending(path: \.clusterIdentities),
                .policy(
                    "CLUSTER=PATTERN",
                    "CLUSTER=PATTERN, the pattern a user's or group's name with a * at the end if wanted"
                ) {
                    text throws(PolicyError) in _ = try Policy.ClusterIdentity(text)
                },
                "On an API server that several clusters share: callers that belong to another cluster than this one."),
            Flag(
                "unmanaged-namespaces", path.appending(path: \.unmanagedNamespaces), .choice("ANSWER"),
                "The answer for namespaces without election."),
            Flag(
                "cluster-scoped", path.appending(path: \.clusterScoped),
                .policy("ANSWER", "allow, deny or the name of a namespace", range: "allow|deny|NAMESPACE") {
                    text throws(PolicyError) in _ = try Policy.ClusterScoped(text)
                },
                "The answer for resources that lie in no namespace, or the namespace whose lease decides on them."),
            excludeFlag(at: path),
        ]
    }

    /// The one flag of these that also says where there is no election.
    static func excludeFlag<Options>(at path: WritableKeyPath<Options, PolicyOptions>) -> Flag<Options> {
        Flag(
            "exclude-namespace", each: path.appending(path: \.excludedNamespaces),
            .policy("NAMESPACE", "a namespace's name, with a * at the end if wanted") { text throws(PolicyError) in
                _ = try Pattern(text)
            },
            "A namespace without election; * at the end matches the rest. What is given replaces the default list.")
    }

    /// - Parameters:
    ///   - namespaces: elected by name, so that none of the namespaces excluded by default is left out.
    ///   - systemNamespace: where Leasehold runs; left out unless namespaces are elected by name.
    /// - Throws: ``UsageError`` when a namespace is both elected and excluded.
    func policy(electing namespaces: [String], systemNamespace: String) throws(UsageError) -> Policy {
        do {
            var policy = Policy()
            policy.mode = mode
            policy.guardUsers = guardUsers
            for text in exemptServiceAccounts { try policy.exempt(serviceAccount: text) }
            for text in exemptGroups { try policy.exempt(group: text) }
            for text in exemptUsers { try policy.exempt(user: text) }
            policy.clusterIdentities = try clusterIdentities.map { text throws(PolicyError) in
                try Policy.ClusterIdentity(text)
            }
            policy.unmanagedNamespaces = unmanagedNamespaces
            policy.clusterScoped = try Policy.ClusterScoped(clusterScoped)
            for text in excludedNamespaces {
                let pattern = try Pattern(text)
                if let both = namespaces.first(where: { $0.matches(pattern) }) {
                    if excludedNamespaces == Self.excludedByDefault { continue }
                    throw UsageError("--namespace \(both) and --exclude-namespace \(text) contradict each other")
                }
                policy.excludedNamespaces.append(pattern)
            }
            // The guard must never keep the cluster from mending Leasehold itself.
            if namespaces.isEmpty { policy.excludedNamespaces.append(try Pattern(systemNamespace)) }
            return policy
        } catch let error as UsageError {
            throw error
        } catch {
            // The flags' own types have checked the same texts.
            throw UsageError("\(error)")
        }
    }
}

extension String {
    func matches(_ pattern: Pattern) -> Bool {
        var name = self
        return name.withUTF8 { bytes in pattern.matches(unsafe Text(UnsafeRawBufferPointer(bytes))) }
    }
}

extension ValueType where Value == String {
    /// A text that a part of ``Policy`` can be made of.
    fileprivate static func policy(
        _ placeholder: String, _ allowed: String, range: String? = nil,
        check: @escaping (String) throws(PolicyError) -> Void
    ) -> ValueType {
        ValueType(
            placeholder: placeholder, allowed: allowed, range: range,
            parse: { text in
                do throws(PolicyError) {
                    try check(text)
                    return text
                } catch {
                    return nil
                }
            },
            format: { $0 })
    }
}

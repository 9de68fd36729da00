/// Who is subject to the guard, and what it does where no lease decides. Set by flags, the same for every request.
package struct Policy: Sendable {
    /// What becomes of a denial.
    package enum Mode: String, Sendable, CaseIterable {
        case enforce
        /// Allow, with a warning for the client.
        case warn
        /// Allow, and only count.
        case audit
    }

    package enum Unmanaged: String, Sendable, CaseIterable {
        case allow
        case deny
    }

    /// What becomes of writes to resources that lie in no namespace.
    package enum ClusterScoped: Hashable, Sendable {
        case allow
        case deny
        /// The lease of this namespace decides.
        case namespace(String)

        /// - Parameter text: `allow`, `deny` or the name of a namespace.
        package init(_ text: String) throws(PolicyError) {
            switch text {
            case "allow": self = .allow
            case "deny": self = .deny
            case _ where Policy.isLabel(text): self = .namespace(text)
            default: throw PolicyError("\"\(text)\" is neither allow nor deny nor the name of a namespace")
            }
        }
    }

    /// Which callers belong to which cluster, on an API server that several clusters share.
    package struct ClusterIdentity: Hashable, Sendable {
        package let cluster: String
        /// Matches a user name or a group.
        package let pattern: Pattern

        /// - Parameter text: `CLUSTER=PATTERN`.
        package init(_ text: String) throws(PolicyError) {
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                throw PolicyError("\"\(text)\" is not CLUSTER=PATTERN, as in west=system:serviceaccounts:west-*")
            }
            cluster = String(text[..<equals])
            pattern = try Pattern(String(text[text.index(after: equals)...]))
        }
    }

    package var mode = Mode.enforce
    /// Whether people are subject to the guard, not only service accounts.
    package var guardUsers = false
    package private(set) var exemptServiceAccounts: [Pattern] = []
    package private(set) var exemptGroups: [Pattern] = []
    package private(set) var exemptUsers: [Pattern] = []
    /// The first match counts; without one a caller belongs to this cluster.
    package var clusterIdentities: [ClusterIdentity] = []
    /// Namespaces without election, beside those that the leadership table says so of.
    package var excludedNamespaces: [Pattern] = []
    package var unmanagedNamespaces = Unmanaged.allow
    package var clusterScoped = ClusterScoped.deny

    package init() {}

    /// - Parameter text: `NAMESPACE/NAME`, with a `*` at the end if wanted.
    package mutating func exempt(serviceAccount text: String) throws(PolicyError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        // The whole namespace must be named: a colon ends it in the user name, and no namespace's name has one.
        guard parts.count == 2, Self.isLabel(String(parts[0])), !parts[1].isEmpty, !parts[1].contains(":") else {
            throw PolicyError(
                "\"\(text)\" is not NAMESPACE/NAME, as in argocd/argocd-application-controller or argocd/*")
        }
        exemptServiceAccounts.append(try Pattern("\(Self.serviceAccountPrefix)\(parts[0]):\(parts[1])"))
    }

    /// - Parameter text: a group, with a `*` at the end if wanted. Applies to service accounts too.
    package mutating func exempt(group text: String) throws(PolicyError) {
        exemptGroups.append(try Pattern(text))
    }

    /// - Parameter text: a user name, with a `*` at the end if wanted. Never matches a service account, so that
    ///   `system:*` means what it looks like.
    package mutating func exempt(user text: String) throws(PolicyError) {
        guard !text.hasPrefix(Self.serviceAccountPrefix) else {
            throw PolicyError("\"\(text)\" is a service account: exempt it as NAMESPACE/NAME")
        }
        exemptUsers.append(try Pattern(text))
    }

    /// What the user names of service accounts begin with; `NAMESPACE:NAME` follows.
    static let serviceAccountPrefix = "system:serviceaccount:"

    /// Whether `text` can be a namespace's name (RFC 1123 label).
    private static func isLabel(_ text: String) -> Bool {
        let dash = UInt8(ascii: "-")
        return (1...63).contains(text.utf8.count) && text.utf8.first != dash && text.utf8.last != dash
            && text.utf8.allSatisfy {
                $0 == dash || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
            }
    }
}

/// A flag's value that cannot be used. The text says what was given and what is allowed.
package struct PolicyError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}

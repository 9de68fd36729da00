package import Election

/// Decides about admission requests: a pure function of the policy, the request, the leadership table and the clocks.
///
/// In `enforce` mode, whoever is subject to the guard is admitted only while the cluster that this webhook serves
/// leads the namespace, except where the policy asks for no lease. Operations are all alike, and so is a dry run.
package struct Guard: Sendable {
    package let policy: Policy

    package init(policy: Policy) {
        self.policy = policy
    }

    /// Allocates nothing.
    ///
    /// - Parameter now: this machine's clocks, read after the request came in.
    package func decide(
        _ request: borrowing AdmissionRequest, by table: LeadershipTable, at now: Reading
    ) -> Decision {
        let scope = scope(of: request)
        let standing = standing(of: request, scope, by: table, at: now)
        let exemption = exemption(of: request)
        let identity = identity(of: request)

        func decision(_ reason: Decision.Reason, allow: Bool) -> Decision {
            let isExempt = reason == .exemption || reason == .notServiceAccount
            let outcome: Decision.Outcome =
                switch policy.mode {
                case _ where isExempt: .exempt
                case _ where allow: .allowed
                case .enforce: .denied
                case .warn: .warned
                case .audit: .audited
                }
            return Decision(
                reason: reason, outcome: outcome, exemption: exemption, scope: scope, identity: identity,
                standing: standing)
        }

        // 1. Callers that are not subject to the guard.
        if exemption != nil { return decision(.exemption, allow: true) }
        guard policy.guardUsers || request.username.isServiceAccount else {
            return decision(.notServiceAccount, allow: true)
        }
        // 2. and 3. Requests that no lease decides.
        if scope == .cluster { return decision(.clusterScoped, allow: policy.clusterScoped == .allow) }
        if standing == .unmanaged {
            // A namespace named to decide for cluster-scoped resources, but left out of the election, is a mistake that
            // would open them to every cluster.
            return decision(.unmanaged, allow: scope == .requested && policy.unmanagedNamespaces == .allow)
        }
        // 4. The lease. This webhook knows only of its own cluster's claims that they still hold: what another
        // cluster may do, it cannot vouch for, even when the table says that this very cluster leads.
        if let identity, policy.clusterIdentities[identity].cluster != table.cluster {
            return decision(.foreignCaller, allow: false)
        }
        switch standing {
        case .leads: return decision(.leads, allow: true)
        case .follows: return decision(.otherLeads, allow: false)
        case .unmanaged: preconditionFailure("decided above")
        case .vacant(_, .notElected): return decision(.notElected, allow: false)
        case .vacant(_, .unknown): return decision(.unknown, allow: false)
        case .vacant(_, .free): return decision(.free, allow: false)
        case .vacant(_, .lapsed): return decision(.lapsed, allow: false)
        case .vacant(_, .unreadable): return decision(.unreadable, allow: false)
        case .vacant(_, .silent): return decision(.silent, allow: false)
        }
    }

    private func exemption(of request: borrowing AdmissionRequest) -> Decision.Exemption? {
        let username = request.username
        if username.isServiceAccount {
            // Kubernetes' own controllers: without them no namespace could be emptied and no orphan collected.
            if username.hasPrefix("system:serviceaccount:kube-system:") { return .kubeSystem }
            if let index = policy.exemptServiceAccounts.firstIndex(where: { $0.matches(username) }) {
                return .serviceAccount(index)
            }
        } else {
            if username.hasPrefix("system:node:") || request.groups.contains(where: { $0.equals("system:nodes") }) {
                return .node
            }
            if username.isSystemComponent { return .systemComponent }
            if let index = policy.exemptUsers.firstIndex(where: { $0.matches(username) }) { return .user(index) }
        }
        for group in request.groups {
            if let index = policy.exemptGroups.firstIndex(where: { $0.matches(group) }) { return .group(index) }
        }
        return nil
    }

    private func identity(of request: borrowing AdmissionRequest) -> Int? {
        for (index, identity) in policy.clusterIdentities.enumerated() {
            if identity.pattern.matches(request.username) { return index }
            for group in request.groups where identity.pattern.matches(group) { return index }
        }
        return nil
    }

    private func scope(of request: borrowing AdmissionRequest) -> Decision.Scope {
        guard request.namespace.isEmpty else { return .requested }
        return switch policy.clusterScoped {
        case .allow, .deny: .cluster
        case .namespace(let name): .configured(name)
        }
    }

    private func standing(
        of request: borrowing AdmissionRequest, _ scope: Decision.Scope, by table: LeadershipTable, at now: Reading
    ) -> LeadershipTable.Standing {
        switch scope {
        case .cluster:
            return .vacant(slot: nil, reason: .notElected)
        case .requested:
            let namespace = request.namespace
            if policy.excludedNamespaces.contains(where: { $0.matches(namespace) }) { return .unmanaged }
            return unsafe table.standing(of: namespace.utf8, at: now)
        case .configured(var name):
            return name.withUTF8 { bytes in
                let namespace = unsafe Text(UnsafeRawBufferPointer(bytes))
                if policy.excludedNamespaces.contains(where: { $0.matches(namespace) }) { return .unmanaged }
                return unsafe table.standing(of: namespace.utf8, at: now)
            }
        }
    }
}

extension Text {
    /// Whether this user name is a service account's. What only looks like one counts as one, which guards it.
    var isServiceAccount: Bool { hasPrefix("system:serviceaccount:") }

    /// Whether this user name is that of a part of Kubernetes, such as `system:kube-controller-manager`.
    ///
    /// Kubernetes reserves `system:` for itself, but also gives such names to callers from outside: service accounts,
    /// callers without credentials, and machines on their way to become nodes.
    var isSystemComponent: Bool {
        hasPrefix("system:") && !hasPrefix("system:serviceaccount") && !equals("system:anonymous")
            && !hasPrefix("system:bootstrap:") && !equals("system:unauthenticated")
    }
}

package import Election

/// What the guard says to one request, with every step that led there, so that answers, counters and explanations all
/// tell the same.
package struct Decision {
    /// What happens to the request, as metrics and audit annotations call it.
    package enum Outcome: UInt8, Hashable, Sendable, CaseIterable {
        case allowed
        /// Allowed because the caller is not subject to the guard.
        case exempt
        case denied
        /// Would have been denied; allowed with a warning.
        case warned
        /// Would have been denied; allowed and counted.
        case audited
    }

    /// Why, as metrics call it in snake case.
    package enum Reason: UInt8, Hashable, Sendable, CaseIterable {
        case notServiceAccount
        case exemption
        case unmanaged
        case clusterScoped
        case leads
        /// The caller belongs to a cluster that this webhook does not vouch for.
        case foreignCaller
        case otherLeads
        case notElected
        case unknown
        case free
        case lapsed
        case unreadable
        /// No active controller of this webhook's cluster can be reached.
        case silent
    }

    /// Why a caller is exempt: a rule's index, or one of those that hold without a flag.
    package enum Exemption: Hashable, Sendable {
        case serviceAccount(Int)
        case group(Int)
        case user(Int)
        case kubeSystem
        case node
        case systemComponent
    }

    /// Where the lease that decides comes from.
    package enum Scope: Hashable, Sendable {
        case requested
        /// A cluster-scoped resource, decided by the namespace that the policy names.
        case configured(String)
        /// A cluster-scoped resource without a lease.
        case cluster
    }

    package let reason: Reason
    package let outcome: Outcome
    package let exemption: Exemption?
    package let scope: Scope
    /// Index into the policy's ``Policy/clusterIdentities``; nil: the caller belongs to this cluster by default.
    package let identity: Int?
    /// That of the namespace that decides, also where the decision did not come to depend on it.
    package let standing: LeadershipTable.Standing

    package var isAllowed: Bool { outcome != .denied }

    /// The HTTP status code that the API server's client gets for a denial; 503 where trying again may help.
    package var code: Int {
        switch reason {
        case .notElected, .unknown, .free, .lapsed, .unreadable, .silent: 503
        case .notServiceAccount, .exemption, .unmanaged, .clusterScoped, .leads, .foreignCaller, .otherLeads: 403
        }
    }
}

extension Decision.Outcome {
    var label: String {
        switch self {
        case .allowed: "allowed"
        case .exempt: "exempt"
        case .denied: "denied"
        case .warned: "warned"
        case .audited: "audited"
        }
    }
}

extension Decision.Reason {
    var label: String {
        switch self {
        case .notServiceAccount: "not_service_account"
        case .exemption: "exemption"
        case .unmanaged: "unmanaged"
        case .clusterScoped: "cluster_scoped"
        case .leads: "leads"
        case .foreignCaller: "foreign_caller"
        case .otherLeads: "other_leads"
        case .notElected: "not_elected"
        case .unknown: "unknown"
        case .free: "free"
        case .lapsed: "lapsed"
        case .unreadable: "unreadable"
        case .silent: "silent"
        }
    }

    /// The outcomes that a request with this reason can have, over all modes and policies.
    var outcomes: [Decision.Outcome] {
        switch self {
        case .notServiceAccount, .exemption: [.exempt]
        case .leads: [.allowed]
        case .unmanaged, .clusterScoped: [.allowed, .denied, .warned, .audited]
        case .foreignCaller, .otherLeads, .notElected, .unknown, .free, .lapsed, .unreadable, .silent:
            [.denied, .warned, .audited]
        }
    }
}

package import Election

extension Decision {
    /// Appends what a person who wrote to the API should read: who leads, since when, which cluster asks, what to do.
    ///
    /// - Parameters:
    ///   - table: that of the decision.
    ///   - message: plain text; whoever puts it into JSON escapes it.
    package func appendMessage(
        for request: borrowing AdmissionRequest, policy: Policy, table: LeadershipTable, to message: inout [UInt8]
    ) {
        let cluster = table.cluster
        switch reason {
        case .notServiceAccount:
            message.append("the caller is no service account, and only those are guarded")
        case .exemption:
            message.append("the caller is exempt")
        case .leads:
            appendNamespace(request, to: &message)
            message.append(" is led by this cluster, \"\(cluster)\"")
        case .unmanaged where scope != .requested:
            appendNamespace(request, to: &message)
            message.append(" is left out of the election, so nobody may write those. Elect a leader for it, ")
            message.append("or let another namespace's lease decide: --cluster-scoped NAMESPACE")
        case .unmanaged where policy.unmanagedNamespaces == .allow:
            appendNamespace(request, to: &message)
            message.append(" is left out of the election")
        case .unmanaged:
            appendNamespace(request, to: &message)
            message.append(" is left out of the election, and cluster ")
            message.append(quoted: cluster)
            message.append(" denies writes there. To elect a leader for it, no longer exclude it")
        case .clusterScoped where policy.clusterScoped == .allow:
            message.append("cluster-scoped resources are not guarded")
        case .clusterScoped:
            if request.resource.name.isEmpty {
                message.append("resources of no name")
            } else {
                message.append(request.resource.name)
            }
            message.append(" lie in no namespace whose lease could say who may write, and cluster ")
            message.append(quoted: cluster)
            message.append(" denies such writes. To let one namespace's lease decide: --cluster-scoped NAMESPACE")
        case .foreignCaller:
            message.append("this request comes from cluster ")
            message.append(quoted: identity.map { policy.clusterIdentities[$0].cluster } ?? "")
            message.append(", and this webhook vouches only for cluster ")
            message.append(quoted: cluster)
            message.append("; ")
            appendNamespace(request, to: &message)
            switch standing {
            case .leads(let term):
                message.append(" is led by cluster ")
                message.append(quoted: cluster)
                message.append(" (term ")
                message.append(decimal: term)
                message.append(")")
            case .follows(let slot):
                appendLeader(table.tenure(slot), to: &message)
            case .vacant, .unmanaged:
                message.append(" has no leader that is known here")
            }
            message.append(". Write through the API server of the cluster that leads")
        case .otherLeads:
            guard case .follows(let slot) = standing else { preconditionFailure("what otherLeads means") }
            let tenure = table.tenure(slot)
            appendNamespace(request, to: &message)
            appendLeader(tenure, to: &message)
            message.append("; this request came to cluster ")
            message.append(quoted: cluster)
            message.append(". Apply it on ")
            if let holder = tenure.holder { message.append(quoted: holder) } else { message.append("that one") }
            message.append(", or move the lease: leasehold transfer ")
            appendName(request, to: &message)
            message.append(" --to ")
            message.append(cluster)
        case .notElected:
            appendNamespace(request, to: &message)
            message.append(" is not in the election that cluster ")
            message.append(quoted: cluster)
            message.append(" takes part in, so it has no leader. If it is new, try again in a few seconds; ")
            message.append("if this lasts, elect a leader for it or exclude it")
        case .unknown:
            message.append("cluster ")
            message.append(quoted: cluster)
            message.append(" does not know yet who leads ")
            appendNamespace(request, to: &message)
            message.append(". Try again in a few seconds; if this lasts, see on that cluster: leasehold status")
        case .free:
            message.append("nobody leads ")
            appendNamespace(request, to: &message)
            message.append(" now, cluster ")
            message.append(quoted: cluster)
            message.append(" included: its lease is free")
            appendTerm(table, to: &message)
            message.append(". Try again in a few seconds; if this lasts, no cluster wants it, see: leasehold status")
        case .lapsed:
            message.append("cluster ")
            message.append(quoted: cluster)
            message.append(" does not lead ")
            appendNamespace(request, to: &message)
            message.append(" any more: its lease has run out")
            appendTerm(table, to: &message)
            message.append(". Try again in a few seconds; if this lasts, see on that cluster: leasehold status")
        case .unreadable:
            message.append("nobody can tell who leads ")
            appendNamespace(request, to: &message)
            message.append(", so cluster ")
            message.append(quoted: cluster)
            message.append(" may not write: its lease record in the store cannot be read. Repair that record")
        case .silent:
            message.append("no active controller of cluster ")
            message.append(quoted: cluster)
            message.append(" could be reached")
            if let since = table.silentSince {
                message.append(" since ")
                Timestamp.append(seconds: since / 1_000_000, to: &message)
            }
            message.append(", so it is not known here who leads ")
            appendNamespace(request, to: &message)
            message.append(
                ". Try again in a few seconds; if this lasts, see the logs of that cluster's controllers and ")
            message.append("of this webhook")
        }
    }

    private func appendNamespace(_ request: borrowing AdmissionRequest, to message: inout [UInt8]) {
        message.append("namespace \"")
        appendName(request, to: &message)
        message.append("\"")
        if case .configured = scope { message.append(", whose lease decides for cluster-scoped resources,") }
    }

    private func appendName(_ request: borrowing AdmissionRequest, to message: inout [UInt8]) {
        switch scope {
        case .requested, .cluster: message.append(request.namespace)
        case .configured(let name): message.append(name)
        }
    }

    /// ` is led by cluster "west" (since 2026-11-22T18:00:00Z, term 7)`
    private func appendLeader(_ tenure: LeadershipTable.Tenure, to message: inout [UInt8]) {
        if let holder = tenure.holder {
            message.append(" is led by cluster ")
            message.append(quoted: holder)
        } else {
            message.append(" is led by another cluster")
        }
        message.append(" (")
        if tenure.acquired != 0 {
            message.append("since ")
            Timestamp.append(seconds: tenure.acquired / 1_000_000, to: &message)
            message.append(", ")
        }
        message.append("term ")
        message.append(decimal: tenure.term)
        message.append(")")
    }

    /// ` (term 7)`, or nothing where no term is known.
    private func appendTerm(_ table: LeadershipTable, to message: inout [UInt8]) {
        guard case .vacant(let slot?, _) = standing, table.tenure(slot).term > 0 else { return }
        message.append(" (term ")
        message.append(decimal: table.tenure(slot).term)
        message.append(")")
    }
}

extension [UInt8] {
    fileprivate mutating func append(quoted name: String) {
        append(UInt8(ascii: "\""))
        append(name)
        append(UInt8(ascii: "\""))
    }
}

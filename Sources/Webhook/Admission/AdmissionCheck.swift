package import Election

/// What the webhook would say to one AdmissionReview, and how it came to that, for people to read.
package struct AdmissionCheck {
    /// 200 or 400, as the webhook would answer.
    package let status: Int
    package let isAllowed: Bool
    /// The body of the answer: JSON for 200, a line of text for 400.
    package let answer: String
    /// One sentence for each step that counted, in order; the last one is the result.
    package let steps: [String]

    /// - Parameters:
    ///   - review: the body as the API server sends it.
    ///   - now: this machine's clocks.
    package init(_ review: [UInt8], policy: Policy, table: LeadershipTable, at now: Reading) {
        self = unsafe review.withUnsafeBytes { unsafe Self($0, policy, table, now) }
    }

    private init(_ review: UnsafeRawBufferPointer, _ policy: Policy, _ table: LeadershipTable, _ now: Reading) {
        var scanner = AdmissionScanner()
        do throws(ScanError) {
            try unsafe scanner.scan(review)
        } catch {
            (status, isAllowed, answer) = (400, false, "\(error)\n")
            steps = ["The body cannot be judged, and an API server takes that for a denial: \(error)."]
            return
        }
        let decision = Guard(policy: policy).decide(scanner.request, by: table, at: now)
        var (message, body): ([UInt8], [UInt8]) = ([], [])
        decision.appendAnswer(to: scanner.request, policy: policy, table: table, message: &message, into: &body)
        (status, isAllowed, answer) = (200, decision.isAllowed, String(decoding: body, as: UTF8.self))
        steps = decision.steps(for: scanner.request, policy: policy, table: table)
    }
}

extension Decision {
    fileprivate func steps(
        for request: borrowing AdmissionRequest, policy: Policy, table: LeadershipTable
    ) -> [String] {
        var steps = [Self.summary(of: request), subject(request, policy)]
        if outcome != .exempt {
            if reason != .clusterScoped && reason != .unmanaged { steps.append(caller(policy, table)) }
            if let lease = lease(of: request) { steps.append(lease) }
        }
        var message: [UInt8] = []
        appendMessage(for: request, policy: policy, table: table, to: &message)
        let why = String(decoding: message, as: UTF8.self)
        let result =
            switch outcome {
            case .allowed, .exempt: "Allowed: \(why)."
            case .denied: "Denied with code \(code): \(why)."
            case .warned: "Allowed with a warning in mode warn; enforce would deny it with code \(code): \(why)."
            case .audited: "Allowed and counted in mode audit; enforce would deny it with code \(code): \(why)."
            }
        return steps + [result]
    }

    private static func summary(of request: borrowing AdmissionRequest) -> String {
        let group = request.resource.group.isEmpty ? "" : ".\(request.resource.group.string)"
        let sub = request.subResource.isEmpty ? "" : "/\(request.subResource.string)"
        let name = request.name.isEmpty ? "" : " \"\(request.name.string)\""
        let place =
            request.namespace.isEmpty ? "in no namespace" : "in namespace \"\(request.namespace.string)\""
        return "Request \(request.uid.string): \(request.operation.string) \(request.resource.name.string)\(group)"
            + "\(sub)\(name) \(place)\(request.dryRun ? ", as a dry run" : "")."
    }

    private func subject(_ request: borrowing AdmissionRequest, _ policy: Policy) -> String {
        let user = "The caller is \"\(request.username.string)\""
        switch exemption {
        case .serviceAccount(let index): return "\(user), exempt by the rule \(policy.exemptServiceAccounts[index])."
        case .group(let index): return "\(user), exempt by the rule for group \(policy.exemptGroups[index])."
        case .user(let index): return "\(user), exempt by the rule for user \(policy.exemptUsers[index])."
        case .kubeSystem: return "\(user), a service account of kube-system: those are exempt."
        case .node: return "\(user), a node: those are exempt."
        case .systemComponent: return "\(user), a part of Kubernetes: those are exempt."
        case nil where request.username.isServiceAccount: return "\(user), a service account: subject to the guard."
        case nil where policy.guardUsers: return "\(user): people are subject to the guard, too."
        case nil: return "\(user), no service account: not subject to the guard."
        }
    }

    private func caller(_ policy: Policy, _ table: LeadershipTable) -> String {
        guard let identity else {
            return "The caller belongs to cluster \"\(table.cluster)\", which this webhook serves."
        }
        let rule = policy.clusterIdentities[identity]
        return "The caller belongs to cluster \"\(rule.cluster)\" by the rule \(rule.pattern)."
    }

    private func lease(of request: borrowing AdmissionRequest) -> String? {
        switch scope {
        case .requested: "The lease of namespace \"\(request.namespace.string)\" decides."
        case .configured(let name): "The lease of namespace \"\(name)\" decides for cluster-scoped resources."
        case .cluster: nil
        }
    }
}

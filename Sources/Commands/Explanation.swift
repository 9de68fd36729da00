internal import Election
internal import Webhook

/// A decision of the guard, step by step, for people.
struct Explanation {
    let decision: Decision
    let policy: Policy
    let table: LeadershipTable
    /// Where the knowledge of the leader comes from.
    let source: String

    func text(_ request: borrowing AdmissionRequest) -> String {
        var text = "\(verdict): \(message(request))\n\n"
        for (label, words) in steps(request) {
            text += "  \(label)\(String(repeating: " ", count: 11 - label.count))\(words)\n"
        }
        return text
    }

    private var verdict: String {
        switch decision.outcome {
        case .allowed, .exempt: "allowed"
        case .denied: "denied (\(decision.code))"
        case .warned: "allowed with a warning; --mode enforce would deny it (\(decision.code))"
        case .audited: "allowed and counted; --mode enforce would deny it (\(decision.code))"
        }
    }

    private func message(_ request: borrowing AdmissionRequest) -> String {
        var message: [UInt8] = []
        decision.appendMessage(for: request, policy: policy, table: table, to: &message)
        return printable(String(decoding: message, as: UTF8.self))
    }

    private func steps(_ request: borrowing AdmissionRequest) -> [(String, String)] {
        var steps = [("request", requestLine(request)), ("caller", callerLine(request))]
        // Further steps are not taken for callers that the guard does not concern.
        if decision.outcome == .exempt { return steps }
        steps.append(("cluster", clusterLine))
        steps.append(("scope", scopeLine(request)))
        if decision.scope != .cluster { steps.append(("lease", leaseLine)) }
        steps.append(("mode", policy.mode.rawValue))
        return steps
    }

    private func requestLine(_ request: borrowing AdmissionRequest) -> String {
        var line = "\(request.operation.string) \(request.resource.name.string)"
        if !request.resource.group.isEmpty { line += ".\(request.resource.group.string)" }
        if !request.subResource.isEmpty { line += "/\(request.subResource.string)" }
        line += request.name.isEmpty ? "" : " \"\(request.name.string)\""
        line += request.namespace.isEmpty ? ", cluster-scoped" : " in namespace \"\(request.namespace.string)\""
        return printable(line + (request.dryRun ? ", dry run" : ""))
    }

    private func callerLine(_ request: borrowing AdmissionRequest) -> String {
        let rule: String =
            switch decision.exemption {
            case nil where decision.reason == .notServiceAccount:
                "no service account, and --guard-users is off: not subject to the guard"
            case nil: "subject to the guard"
            case .serviceAccount(let index): "exempt by --exempt-service-account, number \(index + 1)"
            case .group(let index): "exempt by --exempt-group, number \(index + 1)"
            case .user(let index): "exempt by --exempt-user, number \(index + 1)"
            case .kubeSystem: "exempt: a service account of kube-system"
            case .node: "exempt: a node"
            case .systemComponent: "exempt: a part of Kubernetes"
            }
        return printable("\(request.username.string): ") + rule
    }

    private var clusterLine: String {
        if let identity = decision.identity {
            return "\(policy.clusterIdentities[identity].cluster), by --cluster-identity, number \(identity + 1)"
        }
        return "\(table.cluster), whose webhook is asked"
    }

    private func scopeLine(_ request: borrowing AdmissionRequest) -> String {
        switch decision.scope {
        case .cluster: return "in no namespace: --cluster-scoped decides"
        case .configured(let name): return "in no namespace: --cluster-scoped lets the lease of \(name) decide"
        case .requested:
            return decision.standing == .unmanaged
                ? "a namespace without election: --unmanaged-namespaces decides" : "the namespace's lease decides"
        }
    }

    private var leaseLine: String {
        switch decision.standing {
        case .unmanaged: return "not asked"
        case .leads(let term): return "\(table.cluster) leads (term \(term)), \(source)"
        case .follows(let slot):
            let tenure = table.tenure(slot)
            return "\(tenure.holder ?? "another cluster") leads (term \(tenure.term)), \(source)"
        case .vacant(_, let reason):
            let words =
                switch reason {
                case .notElected: "there is no lease record"
                case .unknown: "nothing is known of it"
                case .free: "it is free"
                case .lapsed: "it names \(table.cluster), which has not renewed for a window or has left"
                case .unreadable: "its record cannot be read"
                }
            return "\(words), \(source)"
        }
    }

    /// No escape sequence of a request may reach a terminal.
    private func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map(TextTable.printable)))
    }
}

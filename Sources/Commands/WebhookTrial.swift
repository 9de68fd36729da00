internal import Kubernetes

/// Has the API server ask the webhook, by a dry-run write that it must have admitted.
struct WebhookTrial {
    let client: KubernetesClient
    let registration: WebhookRegistration

    /// What an attempt told.
    private enum Outcome {
        /// The webhook was asked, and this is its answer in a word.
        case answered(String)
        case unreachable(String)
        /// Nothing is known, for this reason.
        case inconclusive(String)
    }

    private struct Target {
        let resource: APIResource
        let creates: Bool
        let updates: Bool
    }

    func finding(_ check: String) async -> Finding {
        do throws(KubernetesError) {
            guard let webhook = registration.webhooks?.first, let namespace = try await namespace(for: webhook) else {
                return .skipped(check, "there is no namespace yet that the webhook guards")
            }
            let targets = try await targets(of: webhook)
            guard !targets.isEmpty else {
                return .skipped(
                    check,
                    "the rules of \(webhook.name) name no namespaced kind that this API server serves: install the "
                        + "guarded CRDs, or check the rules")
            }
            var reasons: [String] = []
            for target in targets {
                switch try await attempt(target, namespace, webhook) {
                case .answered(let verdict):
                    return .ok(
                        check, "the API server asked about \(target.resource.plural) in \(namespace): \(verdict)")
                case .unreachable(let reason):
                    return .failed(
                        check, "the API server cannot ask the webhook: \(reason)",
                        "is a webhook running and ready, and may the API server reach it (network policies, the firewall of a "
                            + "private cluster: port 10250)? Meanwhile every guarded write is rejected")
                case .inconclusive(let reason): reasons.append("\(target.resource.plural): \(reason)")
                }
            }
            return .warning(
                check,
                "it could not be told whether the API server reaches the webhook: \(reasons.joined(separator: "; "))",
                "make a guarded object as a service account, with --dry-run=server")
        } catch {
            return .failed(check, "\(error)")
        }
    }

    // MARK: - What to write, and where

    /// One that is guarded: with a Lease object if there is one, else any.
    private func namespace(for webhook: WebhookRegistration.Webhook) async throws(KubernetesError) -> String? {
        let namespaces = try await client.list(NamespaceObject.self).filter { object in
            object.metadata.deletionTimestamp == nil
                && webhook.namespaceSelector?.matches(object.metadata.labels ?? [:]) ?? true
        }.compactMap(\.metadata.name)
        var elected: Set<String> = []
        do throws(KubernetesError) {
            elected = Set(try await client.list(LeaseObject.self).compactMap(\.metadata.namespace))
        } catch {
            // Told by another check.
            guard error.code == .notFound || error.code == .forbidden else { throw error }
        }
        return namespaces.first(where: elected.contains)
            ?? namespaces.first { !PolicyOptions.excludedByDefault.contains($0) }
    }

    private func targets(of webhook: WebhookRegistration.Webhook) async throws(KubernetesError) -> [Target] {
        var targets: [Target] = []
        for rule in webhook.rules ?? [] {
            let operations = rule.operations ?? []
            let creates = operations.contains("CREATE") || operations.contains("*")
            let updates = operations.contains("UPDATE") || operations.contains("*")
            for group in rule.apiGroups ?? [] where group != "*" && (creates || updates) {
                targets += try await kinds(group, rule).map { Target(resource: $0, creates: creates, updates: updates) }
            }
        }
        return targets
    }

    private func kinds(_ group: String, _ rule: WebhookRegistration.Rule) async throws(KubernetesError) -> [APIResource]
    {
        do throws(KubernetesError) {
            var versions = rule.apiVersions ?? []
            if versions.contains("*") { versions = Array(try await client.servedVersions(group: group).prefix(1)) }
            var kinds: [APIResource] = []
            for version in versions {
                let wanted = rule.resources ?? []
                let served = try await client.servedKinds(group: group, version: version).resources
                for entry in served where entry.namespaced && !entry.name.contains("/") {
                    guard wanted.contains(where: { [entry.name, "*", "*/*"].contains($0) }) else { continue }
                    kinds.append(
                        APIResource(
                            group: group, version: version, kind: entry.kind, plural: entry.name, isNamespaced: true))
                }
            }
            return kinds
        } catch {
            // The operator's kinds are not installed yet.
            guard error.code == .notFound else { throw error }
            return []
        }
    }

    // MARK: - Writing

    private func attempt(
        _ target: Target, _ namespace: String, _ webhook: WebhookRegistration.Webhook
    ) async throws(KubernetesError) -> Outcome {
        // A service account, since only those are guarded, that may do anything; it does not have to exist.
        let caller = KubernetesClient.Impersonation(
            user: "system:serviceaccount:\(namespace):leasehold-doctor", groups: ["system:masters"])
        var outcome = try await attempt(target, namespace, webhook, as: caller)
        if case .inconclusive(let reason) = outcome, reason.contains("cannot impersonate") {
            outcome = try await attempt(target, namespace, webhook, as: nil)
        }
        return outcome
    }

    private func attempt(
        _ target: Target, _ namespace: String, _ webhook: WebhookRegistration.Webhook,
        as caller: KubernetesClient.Impersonation?
    ) async throws(KubernetesError) -> Outcome {
        // Without the service account, a condition on the caller may have left the webhook out.
        let isAsked = caller != nil || (webhook.matchConditions ?? []).isEmpty
        let passed: Outcome = isAsked ? .answered("admitted") : .inconclusive("admitted, perhaps without asking")
        var reason = "its rules name neither CREATE nor UPDATE"
        if target.creates {
            do throws(KubernetesError) {
                let object =
                    #"{"apiVersion":"\#(target.resource.apiVersion)","kind":"\#(target.resource.kind)","#
                    + #""metadata":{"generateName":"leasehold-doctor-","namespace":"\#(namespace)"}}"#
                try await client.tryCreating(target.resource, in: namespace, Array(object.utf8), as: caller)
                return passed
            } catch {
                switch Self.outcome(of: error, webhook) {
                // Without what its schema wants; one that exists has all of it.
                case .inconclusive(let text): reason = text
                case let outcome: return outcome
                }
                if reason.contains("cannot impersonate") { return .inconclusive(reason) }
            }
        }
        guard target.updates else { return .inconclusive(reason) }
        do throws(KubernetesError) {
            guard let name = try await client.anyObject(target.resource, in: namespace)?.name else {
                return .inconclusive(reason)
            }
            let patch = #"{"metadata":{"annotations":{"leaderelection.600lyy.io/doctor":"asks"}}}"#
            try await client.tryPatching(target.resource, name, in: namespace, merge: Array(patch.utf8), as: caller)
            return passed
        } catch {
            return Self.outcome(of: error, webhook)
        }
    }

    private static func outcome(of error: KubernetesError, _ webhook: WebhookRegistration.Webhook) -> Outcome {
        let text = error.message
        if text.contains("failed calling webhook"), text.contains(webhook.name) { return .unreachable(text) }
        if text.contains("admission webhook \"\(webhook.name)\" denied the request") { return .answered("denied") }
        return .inconclusive(text)
    }
}

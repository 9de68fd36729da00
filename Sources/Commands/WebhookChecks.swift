internal import Controller
internal import Election
private import FoundationEssentials
internal import Kubernetes
private import Platform
internal import TLS

/// What the guard needs: a registration that says no when nobody answers, a certificate, and a webhook that is reached.
struct WebhookChecks {
    static let names = ["webhook-configuration", "webhook-certificate", "webhook-reachable"]

    let options: DoctorCommand.Options
    let client: KubernetesClient
    let environment: [String: String]

    func examine() async -> [Finding] {
        let name = options.webhookConfiguration
        let registration: WebhookRegistration
        do throws(KubernetesError) {
            registration = try await client.read(WebhookRegistration.self, name)
        } catch {
            let rest = Self.names.dropFirst().map { Finding.skipped($0, "the registration cannot be read") }
            switch error.code {
            case .notFound:
                return [
                    .failed(
                        Self.names[0], "there is no ValidatingWebhookConfiguration \(name): nothing is guarded",
                        "kubectl apply -k config/webhook, with your own rules; check --webhook-configuration")
                ] + rest
            default: return [.failed(Self.names[0], "\(error)")] + rest
            }
        }
        let labels: [String: String]
        do throws(KubernetesError) {
            let namespace = try await client.read(NamespaceObject.self, options.kubernetes.systemNamespace)
            labels = namespace.metadata.labels ?? [:]
        } catch {
            // As Kubernetes labels each since 1.21.
            labels = ["kubernetes.io/metadata.name": options.kubernetes.systemNamespace]
        }
        async let certificate = certificates(of: registration)
        async let answer = WebhookTrial(client: client, registration: registration).finding(Self.names[2])
        return [Self.judge(registration, systemLabels: labels, options)] + [await certificate, await answer]
    }

    /// - Parameter systemLabels: the labels of the namespace that Leasehold itself runs in.
    static func judge(
        _ registration: WebhookRegistration, systemLabels: [String: String], _ options: DoctorCommand.Options
    ) -> Finding {
        let (check, name) = (names[0], options.webhookConfiguration)
        let webhooks = registration.webhooks ?? []
        var faults: [String] = webhooks.isEmpty ? ["it has no webhook"] : []
        for webhook in webhooks {
            let place = webhooks.count > 1 ? "\(webhook.name): " : ""
            if webhook.failurePolicy != "Fail" {
                faults.append("\(place)failurePolicy is \(webhook.failurePolicy ?? "not set") and must be Fail")
            }
            let isEmpty = { (list: [String]?) in list?.isEmpty ?? true }
            let rules = webhook.rules ?? []
            if rules.isEmpty || rules.contains(where: { isEmpty($0.resources) || isEmpty($0.operations) }) {
                faults.append("\(place)its rules guard nothing")
            }
            if webhook.namespaceSelector?.matches(systemLabels) ?? true {
                faults.append(
                    "\(place)it guards Leasehold's own namespace, \(options.kubernetes.systemNamespace), and could lock itself "
                        + "out: leave that out by namespaceSelector")
            }
            if webhook.sideEffects != "None" {
                faults.append("\(place)sideEffects must be None, or dry-runs are refused")
            }
            if webhook.admissionReviewVersions?.contains("v1") != true {
                faults.append("\(place)admissionReviewVersions lacks v1")
            }
        }
        guard faults.isEmpty else {
            return .failed(
                check, "\(name): \(faults.joined(separator: "; "))",
                "mend it after config/webhook/validating_webhook.yaml")
        }
        // By default 10 (https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#timeouts).
        let patience = webhooks.map { $0.timeoutSeconds ?? 10 }.max() ?? 0
        guard .seconds(patience) < options.commitMargin else {
            return .warning(
                check,
                "\(name): timeoutSeconds is \(patience), which is not below the commit margin of "
                    + "\(DurationText.format(options.commitMargin)): an answer may reach the API server when another cluster "
                    + "leads", "lower it, or raise --commit-margin of this cluster's controllers")
        }
        let rules = webhooks.flatMap { $0.rules ?? [] }
        let guarded = rules.flatMap { rule in (rule.resources ?? []).map { "\($0).\(rule.apiGroups?.first ?? "")" } }
        return .ok(
            check, "\(name) guards \(guarded.prefix(4).joined(separator: ", "))\(guarded.count > 4 ? ", ..." : "")")
    }

    // MARK: - The certificate

    private func certificates(of registration: WebhookRegistration) async -> Finding {
        let check = Self.names[1]
        guard let webhook = registration.webhooks?.first else { return .skipped(check, "there is no webhook") }
        guard let bundle = webhook.clientConfig.authorities else {
            return .failed(
                check, "the caBundle of \(webhook.name) is empty: the API server trusts no webhook",
                "start the controller, which writes it; with cert-manager, look at its CA injector")
        }
        let now = Reading.now().realtime / 1000
        let authorities: [Certificate]
        do throws(TLSError) {
            authorities = try Certificate.all(pem: bundle.span, source: "the caBundle of \(webhook.name)")
        } catch {
            return .failed(check, "\(error)", "start the controller, which writes it anew")
        }
        guard authorities.contains(where: { $0.validity.notBefore <= now && now < $0.validity.notAfter }) else {
            return .failed(
                check, "no authority in the caBundle of \(webhook.name) is valid now",
                "start the controller, which writes it anew; check this machine's clock")
        }
        guard let endpoint = Endpoint(webhook.clientConfig, environment: environment) else {
            return await secret(for: webhook.clientConfig, authorities, at: now, check)
        }
        do {
            let leaf = try await ServingProbe.certificate(of: endpoint, trusting: authorities)
            return Self.judge(leaf, in: endpoint.description, at: now, check)
        } catch {
            return .failed(
                check, "\(endpoint) does not prove to be the webhook: \(error)",
                "look at the webhook's log, and at who may write its certificate and the caBundle")
        }
    }

    /// A Service cannot be reached from outside its cluster; what is served there is in a Secret.
    private func secret(
        for config: WebhookConfigurationObject.ClientConfig, _ authorities: [Certificate], at now: Int64,
        _ check: String
    ) async -> Finding {
        let namespace = options.kubernetes.systemNamespace
        let place = "the Secret \(namespace)/\(AuthorityKeeper.webhookSecret)"
        let host = config.service.map { "\($0.name).\($0.namespace).svc" } ?? ""
        let chain: [Certificate]
        do {
            let found = try await client.read(
                ServedCertificate.self, AuthorityKeeper.webhookSecret, namespace: namespace)
            let bytes = found.data?.certificate.map { [UInt8]($0) } ?? []
            chain = try Certificate.all(pem: bytes.span, source: place)
        } catch let error as KubernetesError where error.code == .forbidden || error.code == .notFound {
            return .skipped(
                check,
                "the caBundle is valid; the certificate was not looked at, as \(place) cannot be read and the Service "
                    + "is out of reach from outside the cluster: run this in a controller's pod")
        } catch {
            return .failed(check, "\(error)", "look at the controller's log, which writes it")
        }
        return Self.judge(chain, for: host, trusting: authorities, in: place, at: now, check)
    }

    /// - Parameters:
    ///   - chain: a leaf first, each signed by the next.
    ///   - host: the name by which the API server calls the webhook.
    ///   - now: microseconds since 1970.
    static func judge(
        _ chain: [Certificate], for host: String, trusting authorities: [Certificate], in place: String, at now: Int64,
        _ check: String
    ) -> Finding {
        let isChain = zip(chain, chain.dropFirst()).allSatisfy { $0.isSigned(by: $1) }
        guard isChain, authorities.contains(where: { chain[chain.count - 1].isSigned(by: $0) }) else {
            return .failed(
                check, "the certificate in \(place) is of no authority in the caBundle",
                "look at the log of the controller, which writes both, and at who else may write them")
        }
        guard chain[0].names.contains(.dns(host)), chain[0].validity.notBefore <= now, now < chain[0].validity.notAfter
        else {
            return .failed(
                check, "the certificate in \(place) is not for \(host), or not valid now",
                "look at the controller's log; check --webhook-tls-name")
        }
        return judge(chain[0], in: place, at: now, check)
    }

    /// - Parameter now: microseconds since 1970.
    static func judge(_ leaf: Certificate, in place: String, at now: Int64, _ check: String) -> Finding {
        let day: Int64 = 86_400 * 1_000_000
        let left = (leaf.validity.notAfter - now) / day
        let life = leaf.validity.notAfter - leaf.validity.notBefore
        let until = Timestamp.format(microseconds: leaf.validity.notAfter).prefix(10)
        let found = "\(place) has a certificate that the caBundle trusts, good until \(until) (\(left) days)"
        // Renewed at two thirds of its life: what is left of the last sixth says that nobody renews it.
        return (leaf.validity.notAfter - now) < life / 6
            ? .warning(check, found, "it should have been renewed by now: look at the controller's log")
            : .ok(check, found)
    }
}

/// The Secret of the webhook's certificate, without its key.
private struct ServedCertificate: APIObject {
    static let resource = SecretObject.resource

    struct Values: Codable, Sendable {
        enum CodingKeys: String, CodingKey { case certificate = "tls.crt" }
        var certificate: Data?
    }

    var metadata: ObjectMetadata
    var data: Values?
}

/// Where a webhook is served.
struct Endpoint: Hashable, CustomStringConvertible {
    let host: String
    let port: UInt16

    /// - Returns: nil for a Service, outside the cluster.
    init?(_ config: WebhookConfigurationObject.ClientConfig, environment: [String: String]) {
        if let service = config.service {
            guard KubernetesCredentials.isInCluster(environment: environment) else { return nil }
            host = "\(service.name).\(service.namespace).svc"
            port = UInt16(clamping: service.port ?? 443)
        } else {
            guard let url = config.url.flatMap({ URL(string: $0) }), let host = url.host() else { return nil }
            self.host = host
            port = UInt16(clamping: url.port ?? 443)
        }
    }

    var description: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }
}

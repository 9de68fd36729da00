internal import Controller
internal import Election
internal import Kubernetes
internal import Platform

/// What Leasehold needs of a cluster's API server.
struct ClusterChecks {
    static let names = ["api-server", "lease-kind", "rights", "controller"] + WebhookChecks.names

    let options: DoctorCommand.Options
    let client: KubernetesClient

    private var systemNamespace: String { options.kubernetes.systemNamespace }

    /// - Parameter isNamed: whether there is an API server to try.
    static func examine(
        _ options: DoctorCommand.Options, _ environment: [String: String], isNamed: Bool, log: Log
    ) async -> [Finding] {
        guard isNamed else {
            return [.skipped(names[0], "no API server was named: give --kubeconfig or --context, or run in a pod")]
        }
        let client: KubernetesClient
        let version: String
        do {
            client = try await options.kubernetes.client(environment, log: log)
            version = try await client.serverVersion()
            // Whoever is not known may ask for the version all the same.
            _ = try await client.isAllowed(AccessReview.Right("get", "namespaces"))
        } catch {
            return [.failed(names[0], "\(error)", "check --kubeconfig, --context and the network")]
                + names.dropFirst().map { .skipped($0, "the API server cannot be asked") }
        }
        let checks = ClusterChecks(options: options, client: client)
        async let kind = checks.leaseKind()
        async let rights = checks.rights()
        async let controller = checks.controller()
        async let webhook = WebhookChecks(options: options, client: client, environment: environment).examine()
        return [.ok(names[0], "\(client.server) answers, version \(version)")] + [
            await kind, await rights, await controller,
        ]
            + (await webhook)
    }

    // MARK: - The kind

    private static let fields = [
        ["spec", "properties", "preferredHolder"], ["status", "properties", "term"],
        ["status", "properties", "observedPreferredHolder"], ["status", "properties", "conditions"],
    ]

    func leaseKind() async -> Finding {
        let check = "lease-kind"
        let name = "\(LeaseObject.resource.plural).\(LeaseObject.resource.group)"
        do throws(KubernetesError) {
            let definition = try await client.read(CustomResourceDefinitionObject.self, name)
            return Self.judge(definition, check, name)
        } catch {
            switch error.code {
            case .notFound:
                return .failed(
                    check, "there is no CustomResourceDefinition \(name)",
                    "make install, or kubectl apply -k config/crd")
            case .forbidden: return await servedKind(check, name)
            default: return .failed(check, "\(error)")
            }
        }
    }

    static func judge(_ definition: CustomResourceDefinitionObject, _ check: String, _ name: String) -> Finding {
        let remedy = "make install, or kubectl apply -k config/crd, of this version"
        guard let version = definition.spec.versions.first(where: { $0.name == LeaseObject.resource.version }),
            version.served
        else { return .failed(check, "\(name) does not serve \(LeaseObject.resource.version)", remedy) }
        let established = definition.status?.conditions?.first { $0.type == "Established" }
        guard established?.status == "True" else {
            return .failed(check, "\(name) is not established\(established?.message.map { ": \($0)" } ?? "")", remedy)
        }
        guard version.subresources?["status"] != nil else {
            return .failed(check, "\(name) has no status subresource", remedy)
        }
        let missing = fields.filter { path in
            guard case .object(let properties)? = version.schema?["openAPIV3Schema", "properties"] else { return true }
            var value: JSONValue? = .object(properties)
            for part in path { value = value?[part] }
            return value == nil
        }
        guard missing.isEmpty else {
            let fields = missing.map { "\($0[0]).\($0[2])" }.joined(separator: ", ")
            return .failed(check, "\(name) is of an older version: it lacks \(fields)", remedy)
        }
        return .ok(check, "\(name) is installed, with all fields of this version")
    }

    /// For callers that may not read definitions, as controllers.
    private func servedKind(_ check: String, _ name: String) async -> Finding {
        do throws(KubernetesError) {
            let kinds = try await client.servedKinds(
                group: LeaseObject.resource.group, version: LeaseObject.resource.version)
            let served = kinds.resources.map(\.name)
            guard served.contains("leases"), served.contains("leases/status") else {
                return .failed(check, "\(name) is not served with its status", "kubectl apply -k config/crd")
            }
            return .ok(check, "\(name) is served; its definition may not be read, so its fields were not checked")
        } catch {
            return error.code == .notFound
                ? .failed(
                    check, "there is no CustomResourceDefinition \(name)",
                    "make install, or kubectl apply -k config/crd")
                : .failed(check, "\(error)")
        }
    }

    // MARK: - Rights

    /// All that a controller does on its API server.
    ///
    /// - Parameter writesAuthorities: whether it keeps the caBundle; else cert-manager does.
    func neededRights(writesAuthorities: Bool) -> [AccessReview.Right] {
        let (group, heartbeat) = (LeaseObject.resource.group, ControllerHeartbeat.name)
        func each(_ verbs: String..., of right: (String) -> AccessReview.Right) -> [AccessReview.Right] {
            verbs.map(right)
        }
        return each("get", "list", "watch") { .init($0, "namespaces") }
            + each("list", "watch", "create", "patch") { .init($0, "leases", group: group) }
            + [.init("patch", "leases", group: group, subresource: "status"), .init("create", "events")]
            + each("get", "patch") {
                .init($0, "leases", group: "coordination.k8s.io", namespace: systemNamespace, name: heartbeat)
            }
            + [.init("create", "leases", group: "coordination.k8s.io", namespace: systemNamespace)]
            + (writesAuthorities
                ? each("get", "patch") {
                    .init(
                        $0, "validatingwebhookconfigurations", group: "admissionregistration.k8s.io",
                        name: options.webhookConfiguration)
                } : []) + rightsOfAuthority
    }

    /// For the Secrets that controllers keep, where they do.
    private var rightsOfAuthority: [AccessReview.Right] {
        guard let authority = options.authoritySecret else { return [] }
        let names = [authority, AuthorityKeeper.webhookSecret, AuthorityKeeper.grantsSecret]
        return names.flatMap { name in
            ["get", "patch"].map { .init($0, "secrets", namespace: systemNamespace, name: name) }
        } + [.init("create", "secrets", namespace: systemNamespace)]
    }

    /// Whether cert-manager writes the caBundle; a registration that cannot be read is another check's.
    private func isInjected() async -> Bool {
        let registration = try? await client.read(WebhookRegistration.self, options.webhookConfiguration)
        return registration?.metadata.annotations?["cert-manager.io/inject-ca-from"] != nil
    }

    func rights() async -> Finding {
        let check = "rights"
        let account = options.account.map { (namespace: systemNamespace, name: $0) }
        let who = options.account.map { "the service account \(systemNamespace)/\($0)" } ?? "the caller"
        let needed = neededRights(writesAuthorities: await !isInjected())
        var missing: [String] = []
        do throws(KubernetesError) {
            for right in needed where try await !client.isAllowed(right, account: account) {
                missing.append(right.description)
            }
        } catch {
            guard error.code == .forbidden, options.account != nil else { return .failed(check, "\(error)") }
            return .skipped(check, "the caller may not ask for the rights of another: \(error)")
        }
        guard missing.isEmpty else {
            return .failed(
                check, "\(who) may not \(missing.joined(separator: ", "))",
                "kubectl apply -k config/rbac, or grant these rights")
        }
        return .ok(check, "\(who) may do all \(needed.count) things that a controller does")
    }

    // MARK: - The controller

    /// Fresh by this machine's clock, or seen to be renewed: clocks differ, and a renewal proves more.
    func controller() async -> Finding {
        let check = "controller"
        let name = "\(systemNamespace)/\(ControllerHeartbeat.name)"
        do throws(KubernetesError) {
            let first = try await heartbeat()
            guard let cluster = first.spec.holderIdentity, let seconds = first.spec.leaseDurationSeconds,
                let renewed = first.spec.renewTime.flatMap(Timestamp.parse)
            else {
                return .failed(check, "the Lease \(name) does not say who renewed it and when", "start the controller")
            }
            let age = Double(Reading.now().realtime / 1000 - renewed) / 1_000_000
            if (-1...Double(seconds) / 2).contains(age) {
                return .ok(check, "the controller of \(cluster) renewed \(Int(max(age, 0))) s ago")
            }
            let limit = ContinuousClock.now + .seconds(min(seconds, 60))
            while ContinuousClock.now < limit {
                if try await heartbeat().spec.renewTime != first.spec.renewTime {
                    return .warning(
                        check, "the controller of \(cluster) renews, though its clock or this one is \(Int(age)) s off",
                        "synchronise the clocks; the election does not need it, but people do")
                }
                // Cancelled: the next request fails for that.
                try? await Task.sleep(for: .milliseconds(500))
            }
            return .failed(
                check, "the controller of \(cluster) has not renewed the Lease \(name) for \(Int(age)) s",
                "look at the controllers' logs: is one running, and does it reach the store and this API server?")
        } catch {
            switch error.code {
            case .notFound:
                return .failed(
                    check, "there is no Lease \(name) of coordination.k8s.io: no controller has taken part here",
                    "deploy the controller, and look at its log; check --system-namespace")
            case .forbidden:
                return .skipped(check, "the caller may not read the Lease \(name) of coordination.k8s.io")
            default: return .failed(check, "\(error)")
            }
        }
    }

    private func heartbeat() async throws(KubernetesError) -> CoordinationLease {
        try await client.read(CoordinationLease.self, ControllerHeartbeat.name, namespace: systemNamespace)
    }
}

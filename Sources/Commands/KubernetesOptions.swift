internal import Controller
internal import Kubernetes

/// The flags that say which API server is served, and how; without one, namespaces come by name.
struct KubernetesOptions {
    var kubeconfig: String?
    var context: String?
    var leaseName = "lease-gsc"
    var namespaceSelector: LabelSelector?
    var systemNamespace = "multi-cluster-leader-election-system"
    var apiLossTimeout = Duration.seconds(60)

    static func flags<Options>(at path: WritableKeyPath<Options, KubernetesOptions>) -> [Flag<Options>] {
        [
            Flag(
                "kubeconfig", path.appending(path: \.kubeconfig), .file,
                "How to reach the API server, as kubectl knows it.",
                defaultText: "in a pod, its service account"),
            Flag(
                "context", path.appending(path: \.context), .text("CONTEXT", allowed: "the name of a context"),
                "The kubeconfig's context.",
                defaultText: "its current one"),
            Flag(
                "lease-name", path.appending(path: \.leaseName), .name("NAME"),
                "The name of the Lease object in each namespace."),
            Flag(
                "namespace-selector", path.appending(path: \.namespaceSelector), .labelSelector,
                "Labels that a namespace needs to take part in the election, as kubectl -l takes them.",
                defaultText: "all that --exclude-namespace leaves"),
            systemNamespaceFlag(at: path.appending(path: \.systemNamespace)),
            Flag(
                "api-loss-timeout", path.appending(path: \.apiLossTimeout), .duration(.zero...(.seconds(86_400))),
                "After which without an answer of the API server all leases are given back; 0: never."),
        ]
    }

    static func systemNamespaceFlag<Options>(at path: WritableKeyPath<Options, String>) -> Flag<Options> {
        Flag(
            "system-namespace", path, .name("NAMESPACE"),
            "Where Leasehold itself runs, and the controller's own Lease is; never in the election.")
    }

    /// How to reach the API server; nil: there is none, and namespaces come by name.
    func credentials(
        namespaces: [String], environment: [String: String]
    ) async throws -> KubernetesCredentials? {
        guard namespaces.isEmpty else { return nil }
        do throws(KubernetesError) {
            return kubeconfig == nil
                ? try KubernetesCredentials.inCluster(environment: environment)
                : try await KubernetesCredentials.kubeconfig(
                    path: kubeconfig, context: context, environment: environment)
        } catch {
            throw CommandFailure("the API server's credentials cannot be had: \(error)")
        }
    }
}

extension ValueType where Value == LabelSelector {
    static var labelSelector: ValueType {
        ValueType(
            placeholder: "SELECTOR", allowed: "a label selector, as in tier=prod,team in (a,b),!legacy", range: nil,
            parse: { $0.isEmpty ? nil : LabelSelector($0) }, format: { $0.description })
    }
}

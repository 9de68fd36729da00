internal import Controller
internal import Kubernetes
internal import Platform

/// The flags that say which API server is served, and how; without one, namespaces come by name.
struct KubernetesOptions {
    var kubeconfig: String?
    var context: String?
    var leaseName = "lease-gsc"
    var namespaceSelector: LabelSelector?
    var systemNamespace = "multi-cluster-leader-election-system"
    var apiLossTimeout = Duration.seconds(60)

    static func flags<Options>(at path: WritableKeyPath<Options, KubernetesOptions>) -> [Flag<Options>] {
        accessFlags(at: path, otherwise: "in a pod, its service account") + [
            leaseNameFlag(at: path.appending(path: \.leaseName)),
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

    /// - Parameter otherwise: what holds without them.
    static func accessFlags<Options>(
        at path: WritableKeyPath<Options, KubernetesOptions>, otherwise: String
    ) -> [Flag<Options>] {
        [
            Flag(
                "kubeconfig", path.appending(path: \.kubeconfig), .file,
                "How to reach the API server, as kubectl knows it.", defaultText: otherwise),
            Flag(
                "context", path.appending(path: \.context), .text("CONTEXT", allowed: "the name of a context"),
                "The kubeconfig's context.", defaultText: "its current one"),
        ]
    }

    static func leaseNameFlag<Options>(at path: WritableKeyPath<Options, String>) -> Flag<Options> {
        Flag("lease-name", path, .name("NAME"), "The name of the Lease object in each namespace.")
    }

    static func systemNamespaceFlag<Options>(at path: WritableKeyPath<Options, String>) -> Flag<Options> {
        Flag(
            "system-namespace", path, .name("NAMESPACE"),
            "Where Leasehold itself runs, and the controller's own Lease is; never in the election.")
    }

    /// What ``accessFlags(at:otherwise:)`` say for the commands of people.
    static let accessOfPeople = "in a pod, its service account; else as kubectl finds it"

    /// Whether a flag names an API server.
    var isNamed: Bool { kubeconfig != nil || context != nil }

    /// Whether a person means an API server: one is named, or this is a plugin of kubectl. A store that is named wins, since a
    /// shell often names an API server for other programs too.
    func isMeant(insteadOf store: StoreOptions, _ console: Console) -> Bool {
        !store.isNamed && (isNamed || console.program != Program.name)
    }

    /// The API server that a person means: the one named, that of the pod, or kubectl's own.
    ///
    /// - Throws: ``CommandFailure`` when there are no credentials for it.
    func client(_ environment: [String: String], log: Log) async throws -> KubernetesClient {
        do throws(KubernetesError) {
            let credentials =
                !isNamed && KubernetesCredentials.isInCluster(environment: environment)
                ? try KubernetesCredentials.inCluster(environment: environment)
                : try await KubernetesCredentials.kubeconfig(
                    path: kubeconfig, context: context, environment: environment)
            return KubernetesClient(credentials, log: log)
        } catch {
            throw CommandFailure("the API server's credentials cannot be had: \(error)")
        }
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

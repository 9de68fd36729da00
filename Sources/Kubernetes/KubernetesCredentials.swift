/// How to reach one API server, and as whom.
package struct KubernetesCredentials: Sendable {
    /// The service account's files in a pod. `root` is where they are; for tests.
    package static func inCluster(
        environment: [String: String], root: String = "/var/run/secrets/kubernetes.io/serviceaccount"
    ) throws(KubernetesError) -> KubernetesCredentials {
        throw KubernetesError(.credentials, "not there yet")
    }

    /// Whether the environment is a pod's.
    package static func isInCluster(environment: [String: String]) -> Bool {
        environment["KUBERNETES_SERVICE_HOST"]?.isEmpty == false
    }

    /// What kubectl reads (`kubectl config view --raw --minify --flatten -o json`).
    ///
    /// - Parameters:
    ///   - path: of a kubeconfig; nil: as kubectl finds it (`KUBECONFIG`, `~/.kube/config`).
    ///   - context: nil: the current one.
    package static func kubeconfig(
        path: String?, context: String?, environment: [String: String]
    ) async throws(KubernetesError) -> KubernetesCredentials {
        throw KubernetesError(.credentials, "not there yet")
    }
}

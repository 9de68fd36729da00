extension KubernetesCredentials {
    /// The service account's files in a pod. `root` is where they are; for tests.
    package static func inCluster(
        environment: [String: String], root: String = "/var/run/secrets/kubernetes.io/serviceaccount"
    ) throws(KubernetesError) -> KubernetesCredentials {
        guard let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty,
            let port = environment["KUBERNETES_SERVICE_PORT"], !port.isEmpty
        else {
            throw KubernetesError(
                .credentials,
                "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this is no pod: name a kubeconfig")
        }
        let credentials = try KubernetesCredentials(
            server: "https://\(host.contains(":") ? "[\(host)]" : host):\(port)",
            // A pod without its namespace's name can still work with names that are configured.
            namespace: try? SmallTextFile.read("\(root)/namespace", "the pod's namespace"),
            trust: .file("\(root)/ca.crt"), user: .tokenFile("\(root)/token"))
        // What is missing now is told now, and not with the first call.
        _ = try credentials.readAuthorities()
        _ = try credentials.readToken()
        return credentials
    }

    /// Whether the environment is a pod's.
    package static func isInCluster(environment: [String: String]) -> Bool {
        environment["KUBERNETES_SERVICE_HOST"]?.isEmpty == false
    }
}

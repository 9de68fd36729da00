extension ControlPlane {
    /// Plays kube-controller-manager's part in the deletion of a namespace that is in phase Terminating: deletes all that
    /// is in it, as that controller's identity and with that identity's rights only, and then lets the namespace go.
    ///
    /// - Throws: what the API server, or a webhook, said against it.
    package func finishDeletion(of namespace: String) async throws {
        let accounts = "system:serviceaccounts"
        let identity = [
            "--as=system:serviceaccount:kube-system:namespace-controller", "--as-group=\(accounts)",
            "--as-group=\(accounts):kube-system", "--as-group=system:authenticated",
        ]
        func call(_ arguments: [String], input: String? = nil) async throws {
            let outcome = try await kubectl(arguments + identity, input: input)
            guard outcome.code == 0 else {
                throw ChildProcess.Failure("the namespace controller of \(name): \(arguments): \(outcome)")
            }
        }
        for path in try await collections(in: namespace) { try await call(["delete", "--raw", path]) }
        try await call(
            ["replace", "--raw", "/api/v1/namespaces/\(namespace)/finalize", "--filename", "-"],
            input: """
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "\(namespace)"}, "spec": {"finalizers": []}}
                """)
    }

    /// The paths of all that can be deleted in a namespace by one call.
    private func collections(in namespace: String) async throws -> [String] {
        let kinds = try await run(
            "api-resources", "--namespaced=true", "--verbs=list,deletecollection", "--no-headers", "--cached=false")
        return try kinds.split(separator: "\n").map { line in
            // NAME [SHORTNAMES] APIVERSION NAMESPACED KIND
            let words = line.split(separator: " ").map(String.init)
            guard words.count >= 4 else { throw ChildProcess.Failure("kubectl api-resources wrote \"\(line)\"") }
            let version = words[words.count - 3]
            return "/\(version.contains("/") ? "apis" : "api")/\(version)/namespaces/\(namespace)/\(words[0])"
        }
    }
}

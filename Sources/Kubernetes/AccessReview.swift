/// Whether somebody may do something (authorization.k8s.io), as the API server's own authorizers judge.
package enum AccessReview {
    /// One right.
    package struct Right: Codable, Hashable, Sendable {
        package let verb: String
        /// nil: the core group.
        package let group: String?
        package let resource: String
        package var subresource: String?
        /// nil: in all namespaces, or for a kind without namespaces.
        package var namespace: String?
        /// nil: whatever its name.
        package var name: String?

        package init(
            _ verb: String, _ resource: String, group: String? = nil, subresource: String? = nil,
            namespace: String? = nil,
            name: String? = nil
        ) {
            self.verb = verb
            self.group = group
            self.resource = resource
            self.subresource = subresource
            self.namespace = namespace
            self.name = name
        }
    }

    struct Spec: Codable, Hashable, Sendable {
        var resourceAttributes: Right
        /// nil: the caller.
        var user: String?
        var groups: [String]?
    }

    struct Status: Codable, Hashable, Sendable {
        var allowed: Bool
    }
}

extension AccessReview.Right: CustomStringConvertible {
    package var description: String {
        let kind = "\(resource)\(subresource.map { "/\($0)" } ?? "")\(group.map { ".\($0)" } ?? "")"
        return "\(verb) \(kind)\(name.map { " \($0)" } ?? "")\(namespace.map { " in \($0)" } ?? "")"
    }
}

extension KubernetesClient {
    private struct Own: APIObject {
        static let resource = APIResource(
            group: "authorization.k8s.io", version: "v1", kind: "SelfSubjectAccessReview",
            plural: "selfsubjectaccessreviews", isNamespaced: false)

        var metadata = ObjectMetadata()
        var spec: AccessReview.Spec
        var status: AccessReview.Status?
    }

    private struct Other: APIObject {
        static let resource = APIResource(
            group: "authorization.k8s.io", version: "v1", kind: "SubjectAccessReview", plural: "subjectaccessreviews",
            isNamespaced: false)

        var metadata = ObjectMetadata()
        var spec: AccessReview.Spec
        var status: AccessReview.Status?
    }

    /// Whether the caller, or a service account, has a right.
    ///
    /// - Parameter account: nil: the caller. To ask for another takes the right to create subjectaccessreviews.
    package func isAllowed(
        _ right: AccessReview.Right, account: (namespace: String, name: String)? = nil
    ) async throws(KubernetesError) -> Bool {
        var spec = AccessReview.Spec(resourceAttributes: right)
        guard let account else { return try await create(Own(spec: spec)).status?.allowed ?? false }
        spec.user = "system:serviceaccount:\(account.namespace):\(account.name)"
        spec.groups = [
            "system:serviceaccounts", "system:serviceaccounts:\(account.namespace)", "system:authenticated",
        ]
        return try await create(Other(spec: spec)).status?.allowed ?? false
    }
}

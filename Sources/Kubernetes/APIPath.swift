private import HTTP

/// A path on the API server with its query, percent-encoded (RFC 3986).
struct APIPath: Hashable, Sendable {
    /// Without the query; what errors show.
    private(set) var path: String
    private var query = ""

    /// What lies outside all kinds, such as `/version`.
    init(plain path: String) { self.path = path }

    /// All objects of a kind.
    ///
    /// - Parameter namespace: nil: of all namespaces. Of no account for a kind without namespaces.
    init(_ resource: APIResource, namespace: String?) throws(KubernetesError) {
        path = resource.group.isEmpty ? "/api/\(resource.version)" : "/apis/\(resource.apiVersion)"
        if resource.isNamespaced, let namespace {
            path += "/namespaces/\(try Self.segment(namespace, "namespace", of: resource))"
        }
        path += "/\(resource.plural)"
    }

    /// One object.
    init(
        _ resource: APIResource, _ name: String?, namespace: String?, subresource: KubernetesClient.Subresource? = nil
    ) throws(KubernetesError) {
        if resource.isNamespaced { _ = try Self.segment(namespace, "namespace", of: resource) }
        try self.init(resource, namespace: namespace)
        path += "/\(try Self.segment(name, "name", of: resource))"
        if let subresource { path += "/\(subresource.rawValue)" }
    }

    /// The same path with one more parameter; none when `value` is nil.
    func with(_ name: String, _ value: String?) -> APIPath {
        guard let value else { return self }
        var result = self
        result.query += "\(query.isEmpty ? "?" : "&")\(name)=\(PercentEncoding.encoded(value))"
        return result
    }

    /// What follows the server's URL.
    var text: String { path + query }

    // An empty name would address all objects at once, and dots would be resolved away: neither may leave the process.
    private static func segment(
        _ text: String?, _ what: String, of resource: APIResource
    ) throws(KubernetesError) -> String {
        guard let text, !text.isEmpty, text != ".", text != "..",
            !text.utf8.contains(where: { $0 == 0x2F || $0 == 0x25 })
        else {
            throw KubernetesError(
                .invalid,
                "Nothing was sent: \"\(text ?? "")\" is no \(what) that a \(resource.kind) can have. Give it a valid one."
            )
        }
        return PercentEncoding.encoded(text)
    }
}

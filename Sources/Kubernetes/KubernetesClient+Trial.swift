internal import HTTP

/// What an API server serves in one group and version (`APIResourceList`).
package struct ServedKinds: Decodable, Sendable {
    package struct Entry: Decodable, Sendable {
        /// The plural, with `/SUBRESOURCE` for those.
        package let name: String
        package let kind: String
        package let namespaced: Bool
        package let verbs: [String]
    }

    package let resources: [Entry]
}

extension KubernetesClient {
    /// As whom a trial is made.
    package struct Impersonation: Sendable {
        package let user: String
        package let groups: [String]

        package init(user: String, groups: [String]) {
            self.user = user
            self.groups = groups
        }
    }

    /// The server's version, such as `v1.31.2`.
    package func serverVersion() async throws(KubernetesError) -> String {
        struct Version: Decodable { let gitVersion: String }
        return try await plain("/version", Version.self).gitVersion
    }

    /// The kinds of a group and version.
    package func servedKinds(group: String, version: String) async throws(KubernetesError) -> ServedKinds {
        try await plain(group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)", ServedKinds.self)
    }

    /// The versions of a group, the preferred one first.
    package func servedVersions(group: String) async throws(KubernetesError) -> [String] {
        struct Group: Decodable {
            struct Version: Decodable { let version: String }
            let versions: [Version]
            let preferredVersion: Version?
        }
        if group.isEmpty { return ["v1"] }
        let group = try await plain("/apis/\(group)", Group.self)
        let preferred = group.preferredVersion.map { [$0.version] } ?? []
        return preferred + group.versions.map(\.version).filter { !preferred.contains($0) }
    }

    /// Has an object created, but for storing it (`dryRun=All`); whatever admission says is said.
    ///
    /// - Parameter body: JSON.
    package func tryCreating(
        _ resource: APIResource, in namespace: String, _ body: [UInt8], as caller: Impersonation?
    ) async throws(KubernetesError) {
        var call = APICall(.post, try APIPath(resource, namespace: namespace).with("dryRun", "All"), resource)
        (call.body, call.contentType) = (body, "application/json")
        _ = try await connection.send(call.by(caller))
    }

    /// Has an object changed, but for storing it (`dryRun=All`).
    ///
    /// - Parameter patch: JSON (RFC 7386).
    package func tryPatching(
        _ resource: APIResource, _ name: String, in namespace: String, merge patch: [UInt8], as caller: Impersonation?
    ) async throws(KubernetesError) {
        var call = APICall(.patch, try APIPath(resource, name, namespace: namespace).with("dryRun", "All"), resource)
        (call.body, call.contentType) = (patch, "application/merge-patch+json")
        _ = try await connection.send(call.by(caller))
    }

    /// One object of a kind in a namespace, whichever; nil: there is none.
    package func anyObject(_ resource: APIResource, in namespace: String) async throws(KubernetesError)
        -> ObjectMetadata?
    {
        struct List: Decodable {
            struct Item: Decodable { let metadata: ObjectMetadata }
            let items: [Item]?
        }
        var call = APICall(.get, try APIPath(resource, namespace: namespace).with("limit", "1"), resource)
        call.isList = true
        return try call.decode(List.self, from: await connection.send(call).body).items?.first?.metadata
    }

    private func plain<Value: Decodable>(_ path: String, _ type: Value.Type) async throws(KubernetesError) -> Value {
        // Of no kind: only what errors say of a kind that is missing needs one.
        let none = APIResource(group: "", version: "", kind: "", plural: "", isNamespaced: false)
        let call = APICall(.get, APIPath(plain: path), none)
        return try call.decode(type, from: await connection.send(call).body)
    }
}

extension APICall {
    /// The same call in the name of another (Kubernetes, "User impersonation"), which takes the right to do so.
    fileprivate func by(_ caller: KubernetesClient.Impersonation?) -> APICall {
        guard let caller else { return self }
        var call = self
        call.headers =
            [HTTPRequest.Header("Impersonate-User", caller.user)]
            + caller.groups.map { HTTPRequest.Header("Impersonate-Group", $0) }
        return call
    }
}

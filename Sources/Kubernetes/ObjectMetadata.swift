/// What every object of the API has (apimachinery, `ObjectMeta`), as far as it is used.
package struct ObjectMetadata: Codable, Hashable, Sendable {
    package var name: String?
    package var generateName: String?
    package var namespace: String?
    package var uid: String?
    package var resourceVersion: String?
    package var generation: Int64?
    package var labels: [String: String]?
    package var annotations: [String: String]?
    package var creationTimestamp: String?
    package var deletionTimestamp: String?

    package init(name: String? = nil, namespace: String? = nil) {
        self.name = name
        self.namespace = namespace
    }
}

/// An object of the API that this program reads or writes.
package protocol APIObject: Codable, Sendable {
    /// Where the API server keeps objects of this kind.
    static var resource: APIResource { get }
    var metadata: ObjectMetadata { get set }
}

/// A kind of object and its path on the API server.
package struct APIResource: Hashable, Sendable {
    /// Empty for the core group.
    package let group: String
    package let version: String
    package let kind: String
    package let plural: String
    package let isNamespaced: Bool
    /// Whether only the metadata is asked for (`as=PartialObjectMetadata`).
    package let isMetadataOnly: Bool

    package init(
        group: String, version: String, kind: String, plural: String, isNamespaced: Bool, isMetadataOnly: Bool = false
    ) {
        self.group = group
        self.version = version
        self.kind = kind
        self.plural = plural
        self.isNamespaced = isNamespaced
        self.isMetadataOnly = isMetadataOnly
    }

    /// `v1`, or `apps/v1`.
    package var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
}

/// A namespace, of which only the metadata is read.
package struct NamespaceObject: APIObject, Hashable {
    package static let resource = APIResource(
        group: "", version: "v1", kind: "Namespace", plural: "namespaces", isNamespaced: false, isMetadataOnly: true)

    package var metadata: ObjectMetadata

    package init(metadata: ObjectMetadata) {
        self.metadata = metadata
    }
}

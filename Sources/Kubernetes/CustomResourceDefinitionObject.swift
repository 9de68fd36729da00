/// The definition of a kind (apiextensions.k8s.io), as far as it tells whether that kind is the one this program knows.
package struct CustomResourceDefinitionObject: APIObject {
    package static let resource = APIResource(
        group: "apiextensions.k8s.io", version: "v1", kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions", isNamespaced: false)

    package struct Spec: Codable, Sendable {
        package var versions: [Version]
    }

    package struct Version: Codable, Sendable {
        package var name: String
        package var served: Bool
        package var subresources: JSONValue?
        package var schema: JSONValue?
    }

    package struct Status: Codable, Sendable {
        package var conditions: [Condition]?
    }

    package struct Condition: Codable, Sendable {
        package var type: String
        package var status: String
        package var message: String?
    }

    package var metadata: ObjectMetadata
    package var spec: Spec
    package var status: Status?
}

extension JSONValue {
    /// A member of an object, at any depth; nil: there is none.
    package subscript(_ path: String...) -> JSONValue? {
        var value: JSONValue? = self
        for name in path {
            guard case .object(let members) = value else { return nil }
            value = members[name]
        }
        return value
    }
}

private import FoundationEssentials

/// A `Secret` (core/v1). Its description shows no value.
///
/// ``changed(from:)`` changes one; a replacement would lose what is not read here.
package struct SecretObject: APIObject, Hashable, CustomStringConvertible {
    package static let resource = APIResource(
        group: "", version: "v1", kind: "Secret", plural: "secrets", isNamespaced: true)

    private enum CodingKeys: String, CodingKey {
        case metadata
        case type
        case data
    }

    package var metadata: ObjectMetadata
    /// nil: `Opaque`.
    package var type: String?
    package var data: [String: [UInt8]]

    package init(metadata: ObjectMetadata, type: String? = nil, data: [String: [UInt8]] = [:]) {
        self.metadata = metadata
        self.type = type
        self.data = data
    }

    package init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        metadata = try object.decode(ObjectMetadata.self, forKey: .metadata)
        type = try object.decodeIfPresent(String.self, forKey: .type)
        // In base64, which is how `Data` decodes.
        data = (try object.decodeIfPresent([String: Data].self, forKey: .data) ?? [:]).mapValues { [UInt8]($0) }
    }

    package func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(metadata, forKey: .metadata)
        try object.encodeIfPresent(type, forKey: .type)
        try object.encode(data.mapValues { Data($0) }, forKey: .data)
    }

    package var description: String {
        "Secret \(metadata.namespace ?? "")/\(metadata.name ?? "") with \(data.keys.sorted().joined(separator: ", "))"
    }

    /// The merge patch that makes `old`, as it was read, into this: data, labels and annotations. It is refused
    /// (``KubernetesError/Code/conflict``) when somebody has changed the object since.
    ///
    /// - Returns: JSON; nil: nothing differs.
    package func changed(from old: SecretObject) -> [UInt8]? {
        var patch = Patch()
        patch.data = Self.difference(data.mapValues { Data($0) }, from: old.data.mapValues { Data($0) })
        patch.metadata.labels = Self.difference(metadata.labels ?? [:], from: old.metadata.labels ?? [:])
        patch.metadata.annotations = Self.difference(
            metadata.annotations ?? [:], from: old.metadata.annotations ?? [:])
        guard patch != Patch() else { return nil }
        patch.metadata.resourceVersion = old.metadata.resourceVersion
        do { return [UInt8](try JSONEncoder().encode(patch)) } catch {
            // Texts only: the encoder has nothing to refuse.
            preconditionFailure("a patch of the Secret \(metadata.name ?? "") cannot be encoded")
        }
    }

    private struct Patch: Encodable, Equatable {
        struct Metadata: Encodable, Equatable {
            var resourceVersion: String?
            var labels: [String: String?]?
            var annotations: [String: String?]?
        }
        var metadata = Metadata()
        var data: [String: Data?]?
    }

    /// What is new or different, and null for what is gone; nil: nothing.
    private static func difference<Value: Equatable>(
        _ new: [String: Value], from old: [String: Value]
    ) -> [String: Value?]? {
        var changes: [String: Value?] = new.filter { old[$0.key] != $0.value }
        for name in old.keys where new[name] == nil { changes.updateValue(nil, forKey: name) }
        return changes.isEmpty ? nil : changes
    }
}

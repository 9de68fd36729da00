/// Kubernetes' own `Lease` (`coordination.k8s.io/v1`): how in-cluster clients tell that the controller is alive.
package struct CoordinationLease: APIObject, Hashable {
    package static let resource = APIResource(
        group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases", isNamespaced: true)

    package struct Spec: Codable, Hashable, Sendable {
        package var holderIdentity: String?
        package var leaseDurationSeconds: Int?
        package var acquireTime: String?
        package var renewTime: String?
        package var leaseTransitions: Int?

        package init() {}
    }

    package var metadata: ObjectMetadata
    package var spec: Spec

    package init(metadata: ObjectMetadata, spec: Spec) {
        self.metadata = metadata
        self.spec = spec
    }

    package init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        metadata = try object.decode(ObjectMetadata.self, forKey: .metadata)
        // The API server takes one without.
        spec = try object.decodeIfPresent(Spec.self, forKey: .spec) ?? Spec()
    }
}

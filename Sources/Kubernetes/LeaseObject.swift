/// The election as one namespace's users see it: kind `Lease` of `leaderelection.600lyy.io/v1`.
package struct LeaseObject: APIObject, Hashable {
    package static let resource = APIResource(
        group: "leaderelection.600lyy.io", version: "v1", kind: "Lease", plural: "leases", isNamespaced: true)

    /// `kubectl annotate` with it asks for a planned handover to the cluster that it names; empty: the wish is taken back.
    /// The controller removes it once the wish is written.
    package static let transferAnnotation = "leaderelection.600lyy.io/transfer-to"

    package struct Spec: Codable, Hashable, Sendable {
        /// This cluster's name.
        package var holderIdentity: String?
        package var leaseDurationSeconds: Int?
        /// The cluster that should lead the namespace whenever it is live.
        package var preferredHolder: String?

        package init(holderIdentity: String? = nil, leaseDurationSeconds: Int? = nil, preferredHolder: String? = nil) {
            self.holderIdentity = holderIdentity
            self.leaseDurationSeconds = leaseDurationSeconds
            self.preferredHolder = preferredHolder
        }
    }

    package struct Status: Codable, Hashable, Sendable {
        /// Whether this cluster leads the namespace.
        package var isLeader: Bool?
        /// The cluster that leads; empty: none.
        package var observedHolderIdentity: String?
        /// RFC 3339 with microseconds, as are all times here.
        package var observedAcquireTime: String?
        package var observedRenewTime: String?
        package var leaseTransitions: Int?
        /// The fencing token of the tenure.
        package var term: Int64?
        package var observedGeneration: Int64?
        /// What was last written into the lease record of `spec.preferredHolder`; empty: nothing.
        package var observedPreferredHolder: String?
        package var conditions: [Condition]?

        package init() {}
    }

    package struct Condition: Codable, Hashable, Sendable {
        package var type: String
        /// `True`, `False` or `Unknown`.
        package var status: String
        package var reason: String
        package var message: String
        package var lastTransitionTime: String
        package var observedGeneration: Int64?

        package init(
            type: String, status: String, reason: String, message: String, lastTransitionTime: String,
            observedGeneration: Int64? = nil
        ) {
            self.type = type
            self.status = status
            self.reason = reason
            self.message = message
            self.lastTransitionTime = lastTransitionTime
            self.observedGeneration = observedGeneration
        }
    }

    package var metadata: ObjectMetadata
    package var spec: Spec
    package var status: Status?

    package init(metadata: ObjectMetadata, spec: Spec, status: Status? = nil) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    package init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        metadata = try object.decode(ObjectMetadata.self, forKey: .metadata)
        // Somebody may have made the object without one.
        spec = try object.decodeIfPresent(Spec.self, forKey: .spec) ?? Spec()
        status = try object.decodeIfPresent(Status.self, forKey: .status)
    }
}

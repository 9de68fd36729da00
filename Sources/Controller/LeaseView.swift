internal import Kubernetes

/// What the controller keeps in mind of a Lease object: there may be ten thousand.
struct LeaseView: Hashable, Sendable {
    let uid: String?
    let resourceVersion: String?
    let generation: Int64?
    let spec: LeaseObject.Spec
    var status: LeaseObject.Status?
    let transferTo: String?

    init(_ object: LeaseObject) {
        uid = object.metadata.uid
        resourceVersion = object.metadata.resourceVersion
        generation = object.metadata.generation
        spec = object.spec
        status = object.status
        transferTo = object.metadata.annotations?[LeaseObject.transferAnnotation]
    }

    /// Whether this state of the object is older than `other`: a watch may tell later what an answer told already.
    func isOlder(than other: LeaseView) -> Bool {
        guard uid == other.uid, let own = resourceVersion.flatMap(UInt64.init),
            let others = other.resourceVersion.flatMap(UInt64.init)
        else { return false }
        return own < others
    }

    /// The preferred holder that somebody wrote into the spec and that no lease record has seen yet.
    ///
    /// What counts is the change, not the state: two clusters whose Leases name two holders would else overwrite each other's
    /// wish for ever.
    var newPreference: String? {
        let wished = spec.preferredHolder ?? ""
        return wished == status?.observedPreferredHolder ?? "" ? nil : wished
    }
}

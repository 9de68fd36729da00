internal import Election
private import FoundationEssentials
internal import Kubernetes
internal import Storage

/// Carries one chore out against the API server, and the store where it asks for a planned handover.
struct LeaseWriter: Sendable {
    /// What an attempt came to.
    enum Outcome: Sendable {
        /// The object as it is now, and what people should be told at it.
        case done(LeaseObject, tell: (level: EventQueue.Entry.Level, reason: String, message: String)? = nil)
        /// Not carried out, since the object is another than was thought: as it is now.
        case overtaken(LeaseObject)
        case failed(KubernetesError)
        /// The store has not taken the wish; why, as a sentence.
        case notAsked(String)
    }

    private static let managedBy = ("managed-by", "leaderelection.600lyy.io/lease-operator")

    let client: KubernetesClient
    let store: any LeaseStore
    let cluster: String
    let leaseName: String
    let defaultSeconds: Int

    /// - Parameter view: the Lease object that the chore is about; nil: there is none.
    func perform(_ chore: LeaseDesk.Chore, _ namespace: String, _ view: LeaseView?) async -> Outcome {
        do throws(KubernetesError) {
            switch chore {
            case .create: return try await create(namespace)
            case .repairHolder(let found):
                let object = try await patch(namespace, Patch(spec: .init(holderIdentity: cluster)))
                return .done(
                    object,
                    tell: (
                        .warning, "HolderIdentityRepaired",
                        "spec.holderIdentity said \(found ?? "nothing") and is \(cluster) again: it names the cluster that "
                            + "this object is of. To move the lease, set spec.preferredHolder"
                    ))
            case .transfer(let target): return try await transfer(namespace, to: target, view)
            case .prefer(let target): return try await prefer(namespace, target)
            case .status(let status): return try await write(status, namespace, view)
            }
        } catch {
            return .failed(error)
        }
    }

    private func create(_ namespace: String) async throws(KubernetesError) -> Outcome {
        var metadata = ObjectMetadata(name: leaseName, namespace: namespace)
        metadata.annotations = [Self.managedBy.0: Self.managedBy.1]
        do throws(KubernetesError) {
            return .done(
                try await client.create(
                    LeaseObject(
                        metadata: metadata, spec: .init(holderIdentity: cluster, leaseDurationSeconds: defaultSeconds)))
            )
        } catch  where error.code == .alreadyExists {
            // Somebody else made it, and the watch may have told of that before it told of the namespace.
            return .overtaken(try await read(namespace))
        }
    }

    /// Conditions are a list, which a merge patch replaces: one that somebody else adds meanwhile must not be lost.
    private func write(
        _ status: LeaseObject.Status, _ namespace: String, _ view: LeaseView?
    ) async throws(KubernetesError) -> Outcome {
        do throws(KubernetesError) {
            return .done(
                try await patch(
                    namespace,
                    Patch(metadata: .init(resourceVersion: view?.resourceVersion), status: StatusPatch(status)),
                    subresource: .status))
        } catch  where error.code == .conflict {
            // What the object says now decides what is written next.
            return .overtaken(try await read(namespace))
        }
    }

    /// By a patch that changes nothing, which needs no right to read single objects.
    private func read(_ namespace: String) async throws(KubernetesError) -> LeaseObject {
        try await patch(namespace, Patch())
    }

    // MARK: Planned handovers

    private func transfer(
        _ namespace: String, to target: String?, _ view: LeaseView?
    ) async throws(KubernetesError) -> Outcome {
        let refusal = Self.refusal(of: target)
        if refusal == nil, let problem = await ask(target, namespace) { return .notAsked(problem) }
        // Only the annotation that was carried out is removed: with a newer one this is a conflict, and that comes next.
        let object = try await patch(
            namespace,
            Patch(
                metadata: .init(
                    resourceVersion: view?.resourceVersion, annotations: [LeaseObject.transferAnnotation: nil])))
        return .done(object, tell: refusal ?? Self.request(target, namespace))
    }

    private func prefer(_ namespace: String, _ target: String?) async throws(KubernetesError) -> Outcome {
        let refusal = Self.refusal(of: target)
        if refusal == nil, let problem = await ask(target, namespace) { return .notAsked(problem) }
        let object = try await patch(
            namespace, Patch(status: StatusPatch(observedPreferredHolder: target ?? "")), subresource: .status)
        return .done(object, tell: refusal ?? Self.request(target, namespace))
    }

    /// Writes the wish into the lease record.
    ///
    /// - Returns: why it could not be done; nil: it is.
    private func ask(_ target: String?, _ namespace: String) async -> String? {
        do throws(PreferredHolder.Failure) {
            _ = try await PreferredHolder.set(target, of: namespace, in: store)
            return nil
        } catch {
            return "\(error)"
        }
    }

    private typealias Telling = (level: EventQueue.Entry.Level, reason: String, message: String)

    private static func refusal(of target: String?) -> Telling? {
        guard let target, !RecordName.isValid(target) else { return nil }
        return (.warning, "HandoverRefused", "No handover was asked for: \"\(target)\" is no cluster's name")
    }

    private static func request(_ target: String?, _ namespace: String) -> Telling {
        guard let target else {
            return (.normal, "HandoverRequested", "\(namespace) prefers no cluster any more; whoever leads goes on")
        }
        return (
            .normal, "HandoverRequested",
            "\(target) is to lead \(namespace), now and whenever it is live, until the wish is taken back"
        )
    }

    // MARK: Patches

    private func patch(
        _ namespace: String, _ patch: Patch, subresource: KubernetesClient.Subresource? = nil
    ) async throws(KubernetesError) -> LeaseObject {
        let body: [UInt8]
        do {
            body = [UInt8](try JSONEncoder().encode(patch))
        } catch {
            // Strings, integers and truth values only: the encoder has nothing to refuse.
            preconditionFailure("a patch cannot be encoded: \(error)")
        }
        return try await client.patch(
            LeaseObject.self, leaseName, namespace: namespace, subresource: subresource, merge: body)
    }

    /// A merge patch: what is nil is left alone (RFC 7386).
    private struct Patch: Encodable {
        struct Metadata: Encodable {
            /// Makes the patch a compare-and-swap.
            var resourceVersion: String?
            /// null removes.
            var annotations: [String: String?]?
        }

        var metadata: Metadata?
        var spec: LeaseObject.Spec?
        var status: StatusPatch?
    }

    /// The whole status, nulls included: a field that has ended must go, and a merge patch removes only what it names.
    private struct StatusPatch: Encodable {
        private enum Key: String, CodingKey {
            case isLeader, observedHolderIdentity, observedAcquireTime, observedRenewTime, leaseTransitions, term
            case observedGeneration, observedPreferredHolder, conditions
        }

        private let status: LeaseObject.Status
        private let onlyPreference: Bool

        init(_ status: LeaseObject.Status) {
            self.status = status
            onlyPreference = false
        }

        init(observedPreferredHolder: String) {
            var status = LeaseObject.Status()
            status.observedPreferredHolder = observedPreferredHolder
            self.status = status
            onlyPreference = true
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            guard !onlyPreference else {
                return try container.encode(status.observedPreferredHolder, forKey: .observedPreferredHolder)
            }
            try container.encode(status.isLeader, forKey: .isLeader)
            try container.encode(status.observedHolderIdentity, forKey: .observedHolderIdentity)
            try container.encode(status.observedAcquireTime, forKey: .observedAcquireTime)
            try container.encode(status.observedRenewTime, forKey: .observedRenewTime)
            try container.encode(status.leaseTransitions, forKey: .leaseTransitions)
            try container.encode(status.term, forKey: .term)
            try container.encode(status.observedGeneration, forKey: .observedGeneration)
            try container.encode(status.conditions, forKey: .conditions)
        }
    }
}

internal import Election
private import FoundationEssentials
internal import Kubernetes

/// The `coordination.k8s.io` Lease that is renewed with every heartbeat the store acknowledged, so that in-cluster clients
/// can tell a live status from a stale one; between them, reads that show whether the API server answers.
package struct ControllerHeartbeat: Sendable {
    package static let name = "leader-election-controller"

    enum Beat: Hashable, Sendable {
        /// The heartbeat of this moment was acknowledged.
        case renew(Reading)
        /// Nothing to write.
        case probe
    }

    private var isBusy = false
    private var renewed: Reading?
    private var last: ContinuousClock.Instant?
    private var notBefore: ContinuousClock.Instant?
    private var failures = 0

    /// - Parameter anchor: when the last acknowledged heartbeat was sent; nil: this replica is not the active one.
    mutating func next(anchor: Reading?, every interval: Duration, at now: ContinuousClock.Instant) -> Beat? {
        guard !isBusy, notBefore ?? now <= now else { return nil }
        if let anchor, anchor.boottime > 0, anchor != renewed {
            (isBusy, last) = (true, now)
            return .renew(anchor)
        }
        guard last.map({ now - $0 >= interval }) ?? true else { return nil }
        (isBusy, last) = (true, now)
        return .probe
    }

    mutating func end(_ beat: Beat, failed: Bool, at now: ContinuousClock.Instant) {
        isBusy = false
        failures = failed ? failures + 1 : 0
        notBefore = failed ? now + .seconds(1 << min(failures, 4)) : nil
        if case .renew(let anchor) = beat, !failed { renewed = anchor }
    }

    /// - Returns: why it failed; a Lease that does not exist yet is no failure of a probe.
    func perform(_ beat: Beat, _ options: KubernetesController.Options, _ client: KubernetesClient) async
        -> KubernetesError?
    {
        do throws(KubernetesError) {
            switch beat {
            case .probe:
                _ = try await client.read(
                    CoordinationLease.self, Self.name, namespace: options.systemNamespace, isUrgent: true)
            case .renew(let anchor): try await renew(anchor, options, client)
            }
            return nil
        } catch {
            return beat == .probe && error.code == .notFound ? nil : error
        }
    }

    private func renew(
        _ anchor: Reading, _ options: KubernetesController.Options, _ client: KubernetesClient
    ) async throws(KubernetesError) {
        var spec = CoordinationLease.Spec()
        spec.holderIdentity = options.cluster
        spec.leaseDurationSeconds = options.leaseSeconds
        spec.renewTime = Timestamp.format(microseconds: anchor.realtime / 1000)
        let object = CoordinationLease(
            metadata: ObjectMetadata(name: Self.name, namespace: options.systemNamespace), spec: spec)
        do throws(KubernetesError) {
            let patch: [UInt8]
            do {
                patch = [UInt8](try JSONEncoder().encode(["spec": spec]))
            } catch {
                // Strings and integers only: the encoder has nothing to refuse.
                preconditionFailure("a patch cannot be encoded: \(error)")
            }
            _ = try await client.patch(
                CoordinationLease.self, Self.name, namespace: options.systemNamespace, merge: patch, isUrgent: true)
        } catch {
            guard error.code == .notFound else { throw error }
            _ = try await client.create(object, isUrgent: true)
        }
    }
}

internal import Controller
internal import Election
internal import Kubernetes

/// What one cluster's API server tells of the election: what its controller has written there.
struct ClusterSnapshot {
    let leases: [LeaseObject]
    /// The controller's own Lease; nil: there is none, or it may not be read.
    let heartbeat: CoordinationLease?
    /// Why the heartbeat is missing, as a sentence.
    let problem: String?
    /// This machine's wall clock when the answers were complete, in microseconds since 1970.
    let readAt: Int64
}

extension ClusterSnapshot {
    /// - Parameter namespaces: the ones to read, which takes rights in those only; empty: all.
    /// - Throws: ``KubernetesError``; a namespace or an object that is not there is none.
    init(
        reading client: KubernetesClient, namespaces: [String], options: KubernetesOptions, at now: () -> Int64
    ) async throws(KubernetesError) {
        var found: [LeaseObject] = []
        if namespaces.isEmpty {
            found = try await client.list(LeaseObject.self).filter { $0.metadata.name == options.leaseName }
        }
        for namespace in namespaces {
            do throws(KubernetesError) {
                found.append(try await client.read(LeaseObject.self, options.leaseName, namespace: namespace))
            } catch {
                guard error.isMissingObject else { throw error }
            }
        }
        leases = found
        do throws(KubernetesError) {
            heartbeat = try await client.read(
                CoordinationLease.self, ControllerHeartbeat.name, namespace: options.systemNamespace)
            problem = nil
        } catch {
            heartbeat = nil
            switch error.code {
            case .forbidden: problem = "The controller's heartbeat may not be read, so windows are not known: \(error)"
            case .notFound:
                problem =
                    "No controller has run here: there is no Lease \(ControllerHeartbeat.name) of coordination.k8s.io in "
                    + "\(options.systemNamespace). Check --system-namespace, or start a controller."
            default: throw error
            }
        }
        readAt = now()
    }
}

extension StatusDocument {
    /// How much older than the holder's last heartbeat a Lease object's status may be: the controller refreshes it every
    /// ten seconds at least, and a heartbeat comes every few.
    private static let refreshAllowance = 15.0

    /// - Parameters:
    ///   - cluster: whose leases are called ours; nil: those of the cluster that was read.
    ///   - namespaces: the ones that were asked for; empty: all.
    init(_ snapshot: ClusterSnapshot, cluster: String?, namespaces: [String]) {
        let own =
            snapshot.heartbeat?.spec.holderIdentity ?? snapshot.leases.lazy.compactMap(\.spec.holderIdentity).first
        let renewals = Self.renewals(snapshot, own: own)
        func ago(_ holder: String?) -> Double? {
            holder.flatMap { renewals[$0] }.map { Double(max(0, snapshot.readAt - $0)) / 1_000_000 }
        }

        source = .cluster
        readTime = Timestamp.format(microseconds: snapshot.readAt)
        problem = snapshot.problem
        leases = snapshot.leases.map { object in
            let holder = object.status?.observedHolderIdentity ?? ""
            var lease = Lease(object)
            lease.isOurs = (cluster ?? own).map { $0 == holder }
            if holder.isEmpty { return lease }
            let seconds = object.spec.leaseDurationSeconds.map(Double.init)
            // Another cluster's duration may differ; what this one would honour is the best guess.
            let isFresh = ago(holder).flatMap { ago in seconds.map { ago < $0 + Self.refreshAllowance } } ?? false
            lease.isLed = isFresh && (holder != own || object.status?.isLeader == true)
            guard holder == own, snapshot.heartbeat != nil, let ago = ago(holder),
                let duration = object.spec.leaseDurationSeconds
            else { return lease }
            lease.leaseDurationSeconds = duration
            let left = Double(Timing().window(ofSeconds: duration).nanoseconds) / 1_000_000_000 - ago
            lease.isLed = object.status?.isLeader == true && left > 0
            lease.window = left > 0 ? object.status?.isLeader == true ? "open" : "lapsed" : "over"
            lease.windowLeftSeconds = lease.window == "lapsed" ? nil : max(left, 0)
            return lease
        }
        let absent = namespaces.filter { name in !snapshot.leases.contains { $0.metadata.namespace == name } }
        leases += absent.map { Lease(namespace: $0, state: .absent, isLed: false) }
        members = Set(renewals.keys).union(own.map { [$0] } ?? []).sorted().map { name in
            let age = ago(name)
            let limit = Double(snapshot.heartbeat?.spec.leaseDurationSeconds ?? 15)
            let isSilent = age.map { $0 > limit + (name == own ? 0 : Self.refreshAllowance) } ?? true
            return Member(
                cluster: name,
                state: isSilent ? "silent" : name == own && snapshot.heartbeat != nil ? "live" : "observed",
                renewTime: renewals[name].map(Timestamp.format), renewedSecondsAgo: age)
        }
    }

    /// When each cluster last renewed, as far as any object tells; all of a cluster's leases live by the same heartbeat.
    private static func renewals(_ snapshot: ClusterSnapshot, own: String?) -> [String: Int64] {
        var times: [String: Int64] = [:]
        func add(_ holder: String?, _ time: String?) {
            guard let holder, !holder.isEmpty, let time = time.flatMap(Timestamp.parse) else { return }
            times[holder] = max(times[holder] ?? .min, time)
        }
        for object in snapshot.leases { add(object.status?.observedHolderIdentity, object.status?.observedRenewTime) }
        add(own, snapshot.heartbeat?.spec.renewTime)
        return times
    }
}

extension StatusDocument.Lease {
    /// All but what needs to be compared with other objects.
    fileprivate init(_ object: LeaseObject) {
        let status = object.status
        let held = status?.conditions?.first { $0.type == "Held" }
        let isHeld = status?.observedHolderIdentity.map { !$0.isEmpty } ?? false
        let state: State =
            switch held?.reason {
            case _ where isHeld: .held
            case "Free": .free
            case "RecordUnreadable": .unreadable
            default: .unknown
            }
        let wish = object.spec.preferredHolder ?? status?.observedPreferredHolder ?? ""
        self.init(
            namespace: object.metadata.namespace ?? "", state: state,
            leader: isHeld ? status?.observedHolderIdentity : nil, term: status?.term.map { UInt64(clamping: $0) },
            acquireTime: isHeld ? status?.observedAcquireTime : nil, transitions: status?.leaseTransitions,
            preferredHolder: wish.isEmpty ? nil : wish, isLed: false)
        if held?.reason == "RecordUnreadable" || held?.reason == "DurationRefused" { problem = held?.message }
    }
}

extension KubernetesError {
    /// Whether the object is not there although its kind is.
    var isMissingObject: Bool { code == .notFound && !message.contains("Install the CustomResourceDefinition") }
}

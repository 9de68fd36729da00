internal import Election
internal import Kubernetes

/// What the controller knows of a cluster's namespaces and their Lease objects, and what is to be done about each:
/// a value without I/O.
struct LeaseDesk {
    /// One write that a namespace's Lease object needs.
    enum Chore: Hashable, Sendable {
        case create
        /// Write this cluster's name into `spec.holderIdentity` again, where somebody wrote another.
        case repairHolder(found: String?)
        /// Carry out the transfer annotation and remove it; nil: the wish is taken back.
        case transfer(to: String?)
        /// Carry out a new `spec.preferredHolder`; nil: the wish is taken back.
        case prefer(String?)
        /// The status says something else now.
        case status(LeaseObject.Status)

        var name: String {
            switch self {
            case .create: "create"
            case .repairHolder: "repair"
            case .transfer: "transfer"
            case .prefer: "prefer"
            case .status: "status"
            }
        }

        fileprivate var retry: WritableKeyPath<Place, Retry> {
            if case .status = self { \.status } else { \.wishes }
        }

        /// After "Cannot".
        func purpose(_ namespace: String) -> String {
            switch self {
            case .create: "create the Lease object of \(namespace)"
            case .repairHolder: "set spec.holderIdentity of the Lease object of \(namespace) right"
            case .transfer: "carry out and remove the transfer annotation of the Lease object of \(namespace)"
            case .prefer: "carry out spec.preferredHolder of the Lease object of \(namespace)"
            case .status: "write the status of the Lease object of \(namespace)"
            }
        }
    }

    /// A namespace that exists.
    struct Place {
        var isElected: Bool
        var isTerminating: Bool
        var lease: LeaseView?
        /// The uid of the last Lease object that went away.
        var removed: String?
        /// A write about it is under way.
        var isBusy = false
        var status = Retry()
        /// Of all other writes: what cannot be carried out must not hold the status up.
        var wishes = Retry()
        /// What the last status that was compared or written rests on.
        var mark: LeaseStatusReport.Mark?
    }

    /// When writes of one kind that failed may be tried again.
    struct Retry {
        /// nil: the last one succeeded.
        private(set) var at: ContinuousClock.Instant?
        private(set) var failures = 0

        func isDue(at now: ContinuousClock.Instant) -> Bool { at ?? now <= now }

        mutating func end(failed: Bool, at now: ContinuousClock.Instant) {
            guard failed else {
                self = Retry()
                return
            }
            // 1 s, 2 s, 4 s ... 32 s: a cause that lasts must not load the API server.
            at = now + .seconds(1 << min(failures, 5))
            failures += 1
        }
    }

    private let leaseName: String
    private let defaultSeconds: Int
    private let cluster: String
    private let isElected: @Sendable (_ namespace: String, _ labels: [String: String]) -> Bool

    /// Whether this run leads nothing any more, and only says so: another one may have claimed since.
    var hasEnded = false
    private(set) var places: [String: Place] = [:]
    /// Objects in namespaces that are not known (yet).
    private var strays: [String: LeaseView] = [:]
    private var namespacesAreListed = false
    private var leasesAreListed = false
    /// What was told to the election.
    private var told: [String: Wish.Aim] = [:]
    /// Namespaces of which the election may have to be told something else: most events are about one of thousands.
    private var untold: Set<String> = []

    init(
        cluster: String, leaseName: String, defaultSeconds: Int,
        isElected: @escaping @Sendable (_ namespace: String, _ labels: [String: String]) -> Bool
    ) {
        self.cluster = cluster
        self.leaseName = leaseName
        self.defaultSeconds = defaultSeconds
        self.isElected = isElected
    }

    /// Whether both lists have been read once: before that, a namespace that is not known may exist all the same, and its
    /// lease must not be given back.
    var isComplete: Bool { namespacesAreListed && leasesAreListed }

    // MARK: What the API server tells

    /// - Returns: the namespaces that may need something.
    mutating func take(_ event: WatchEvent<NamespaceObject>) -> [String] {
        switch event {
        case .listed(let objects):
            namespacesAreListed = true
            let names = Set(objects.compactMap(\.metadata.name))
            for gone in places.keys where !names.contains(gone) { remove(gone) }
            return objects.compactMap { set($0) }
        case .changed(let object): return [set(object)].compactMap(\.self)
        case .removed(let object):
            if let name = object.metadata.name { remove(name) }
            return []
        case .troubled, .recovered: return []
        }
    }

    /// - Returns: the namespaces that may need something.
    mutating func take(_ event: WatchEvent<LeaseObject>) -> [String] {
        switch event {
        case .listed(let objects):
            leasesAreListed = true
            let found = Set(objects.lazy.filter(isOurs).compactMap(\.metadata.namespace))
            let gone = places.filter { $0.value.lease != nil && !found.contains($0.key) }.map(\.key)
            strays = strays.filter { found.contains($0.key) }
            for namespace in gone {
                let lease = places[namespace]?.lease
                places[namespace]?.removed = lease?.uid
                places[namespace]?.lease = nil
                untold.insert(namespace)
            }
            return gone + objects.compactMap { take($0) }
        case .changed(let object): return [take(object)].compactMap(\.self)
        case .removed(let object): return [takeRemoval(of: object)].compactMap(\.self)
        case .troubled, .recovered: return []
        }
    }

    /// A Lease object as a write of ours left or found it. The watch may have told of its end already, and tells that only
    /// once.
    ///
    /// - Parameter replacesNewer: the version that is known was refused, so it is the newest no more, however high: an API
    ///   server that was restored from a backup has lower ones.
    /// - Returns: its namespace, if that may need something.
    mutating func takeAnswer(_ object: LeaseObject, replacesNewer: Bool = false) -> String? {
        guard let place = object.metadata.namespace.flatMap({ places[$0] }) else { return nil }
        if let removed = place.removed, removed == object.metadata.uid { return nil }
        return take(object, replacesNewer: replacesNewer)
    }

    /// A Lease object as the API server shows it.
    ///
    /// - Returns: its namespace, if that may need something.
    private mutating func take(_ object: LeaseObject, replacesNewer: Bool = false) -> String? {
        guard isOurs(object), let namespace = object.metadata.namespace else { return nil }
        let view = LeaseView(object)
        guard let place = places[namespace] else {
            strays[namespace] = view
            return nil
        }
        if !replacesNewer, let known = place.lease, view.isOlder(than: known) { return nil }
        places[namespace]?.lease = view
        places[namespace]?.mark = nil
        untold.insert(namespace)
        // A list may have been older than the answer to its creation.
        if place.removed == view.uid { places[namespace]?.removed = nil }
        return namespace
    }

    private mutating func takeRemoval(of object: LeaseObject) -> String? {
        guard isOurs(object), let namespace = object.metadata.namespace else { return nil }
        strays[namespace] = nil
        places[namespace]?.removed = object.metadata.uid
        // A later object of the same name may have been told of already.
        guard let known = places[namespace]?.lease, known.uid == object.metadata.uid else { return nil }
        places[namespace]?.lease = nil
        untold.insert(namespace)
        return namespace
    }

    private func isOurs(_ object: LeaseObject) -> Bool { object.metadata.name == leaseName }

    private mutating func set(_ object: NamespaceObject) -> String? {
        guard let name = object.metadata.name else { return nil }
        var place = places[name] ?? Place(isElected: false, isTerminating: false)
        place.isElected = isElected(name, object.metadata.labels ?? [:])
        place.isTerminating = object.metadata.deletionTimestamp != nil
        if let stray = strays.removeValue(forKey: name) { place.lease = stray }
        places[name] = place
        untold.insert(name)
        return name
    }

    private mutating func remove(_ namespace: String) {
        places[namespace] = nil
        untold.insert(namespace)
    }

    // MARK: What the election is told

    /// The wishes that differ from those told before; in one order. Empty until ``isComplete``.
    mutating func newWishes() -> [Wish] {
        guard isComplete else { return [] }
        var wishes: [Wish] = []
        for namespace in untold {
            let aim = places[namespace].map(aim)
            guard told[namespace] != aim else { continue }
            told[namespace] = aim
            wishes.append(Wish(namespace, aim ?? .forget))
        }
        untold.removeAll()
        return wishes.sorted { $0.namespace < $1.namespace }
    }

    /// All wishes again, for a new candidate.
    mutating func allWishes() -> [Wish] {
        told = [:]
        untold = Set(places.keys)
        return newWishes()
    }

    private func aim(of place: Place) -> Wish.Aim {
        // A namespace that is being deleted is still led until it is gone: operators have finalizers to remove in it.
        place.isElected ? .lead(seconds: place.lease?.spec.leaseDurationSeconds ?? defaultSeconds) : .leaveOut
    }

    // MARK: What is to be written

    /// The namespaces that may need a write: a quick look at all of them.
    func needy(by report: LeaseStatusReport) -> [String] {
        places.compactMap { namespace, place in
            guard !place.isBusy else { return nil }
            guard let lease = place.lease else { return place.isElected && !place.isTerminating ? namespace : nil }
            let slot = report.table.index.slot(of: namespace)
            guard place.isElected || overstates(place, lease, slot, report) else { return nil }
            let mark = report.mark(slot: slot, generation: lease.generation)
            return place.mark == mark && place.wishes.at == nil ? nil : namespace
        }
    }

    /// The next write that a namespace needs; nil: none, or none now.
    ///
    /// - Parameter refreshing: whether a status that only grew stale counts.
    mutating func chore(
        for namespace: String, by report: LeaseStatusReport, at now: ContinuousClock.Instant, refreshing: Bool = false
    ) -> Chore? {
        guard isComplete, let place = places[namespace], !place.isBusy else { return nil }
        guard let lease = place.lease else {
            return place.isElected && !place.isTerminating && place.wishes.isDue(at: now) ? .create : nil
        }
        let slot = report.table.index.slot(of: namespace)
        // An object that says that this cluster leads when it does not goes before all else, and is set right even where
        // there is no election any more: operators rely on it.
        if overstates(place, lease, slot, report) {
            let status = status(of: namespace, place, lease, slot, report, at: now, refreshing: false)
            if let status { return .status(status) }
        }
        guard place.isElected else { return nil }
        if place.wishes.isDue(at: now) {
            if lease.spec.holderIdentity != cluster { return .repairHolder(found: lease.spec.holderIdentity) }
            if let target = lease.transferTo { return .transfer(to: target.isEmpty ? nil : target) }
            // There is nothing to write a wish into before the first claim.
            if let preference = lease.newPreference, let slot, report.table.entries[slot].term > 0 {
                return .prefer(preference.isEmpty ? nil : preference)
            }
        }
        return status(of: namespace, place, lease, slot, report, at: now, refreshing: refreshing).map { .status($0) }
    }

    /// Whether some object says that this cluster leads when it does not, and is ours to set right.
    func isOverstating(by report: LeaseStatusReport) -> Bool {
        places.contains { namespace, place in
            place.lease.map { overstates(place, $0, report.table.index.slot(of: namespace), report) } ?? false
        }
    }

    private func overstates(_ place: Place, _ lease: LeaseView, _ slot: Int?, _ report: LeaseStatusReport) -> Bool {
        // Without election here, another installation on this API server may keep the object.
        guard place.isElected || lease.spec.holderIdentity == cluster else { return false }
        guard let known = lease.status, known.isLeader == true, !(slot.map(report.leads) ?? false) else { return false }
        return !isOfLaterRun(known, slot, report)
    }

    /// Whether another run has claimed since this one ended.
    private func isOfLaterRun(_ known: LeaseObject.Status, _ slot: Int?, _ report: LeaseStatusReport) -> Bool {
        hasEnded && known.term ?? 0 > slot.map { Int64(clamping: report.table.tenure($0).term) } ?? 0
    }

    /// What is to be written as the status; nil: nothing, or nothing now.
    private mutating func status(
        of namespace: String, _ place: Place, _ lease: LeaseView, _ slot: Int?, _ report: LeaseStatusReport,
        at now: ContinuousClock.Instant, refreshing: Bool
    ) -> LeaseObject.Status? {
        guard place.status.isDue(at: now) else { return nil }
        let mark = report.mark(slot: slot, generation: lease.generation)
        guard refreshing || place.mark != mark else { return nil }
        places[namespace]?.mark = mark
        let status = report.status(namespace: namespace, slot: slot, of: lease)
        guard let known = lease.status else { return status }
        if known == status { return nil }
        if isOfLaterRun(known, slot, report) { return nil }
        return refreshing || !known.differsOnlyInFreshness(from: status) ? status : nil
    }

    mutating func begin(_ namespace: String) { places[namespace]?.isBusy = true }

    /// A write is done: its answer was taken, or it failed.
    mutating func end(_ chore: Chore, _ namespace: String, failed: Bool, at now: ContinuousClock.Instant) {
        places[namespace]?.isBusy = false
        places[namespace]?[keyPath: chore.retry].end(failed: failed, at: now)
        if failed { places[namespace]?.mark = nil }
    }

    /// How often this kind of write has failed in a row.
    func failures(of chore: Chore, _ namespace: String) -> Int {
        places[namespace]?[keyPath: chore.retry].failures ?? 0
    }

    /// The Lease object with this uid is not there, whatever the watch says. It may have been made anew since.
    mutating func forgetLease(of namespace: String, uid: String?) {
        guard let known = places[namespace]?.lease, known.uid == uid else { return }
        places[namespace]?.lease = nil
        untold.insert(namespace)
    }
}

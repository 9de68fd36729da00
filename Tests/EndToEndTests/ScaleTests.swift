import FoundationEssentials
import Platform
import Support
import Testing

/// What many namespaces cost.
@Suite(.serialized, .disabled(if: Sanitizer.isThread, "its bounds are those of a program ten times as fast"))
struct ScaleTests {
    private static let count = 500
    /// The product's defaults, which this is about.
    private static let timing = [
        "--lease-duration", "15s", "--renew-interval", "3s", "--poll-interval", "3s", "--store-timeout", "3s",
        "--grant-duration", "3s", "--commit-margin", "2s",
    ]
    private static let renewInterval = Duration.seconds(3)
    private static let relistInterval = Duration.seconds(60)

    private static let namespaces: String = {
        let items = (0..<count).map {
            #"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "scale-\#($0)"}}"#
        }
        return #"{"apiVersion": "v1", "kind": "List", "items": [\#(items.joined(separator: ","))]}"#
    }()

    @Test func `500 namespaces are led soon, and from then on cost no more than one`() async throws {
        let fleet = try await Fleet.install()
        for cluster in fleet.clusters {
            try await cluster.plane.run("create", "--filename", "-", input: Self.namespaces)
        }
        try await lead(fleet)
        try await rest(fleet)
        await fleet.end()
    }

    /// Starts Leasehold on both clusters and waits until every Lease object of both names a holder.
    private func lead(_ fleet: Fleet) async throws {
        let watches = try fleet.clusters.map { try LeaseWatch($0) }
        let start = ContinuousClock.now
        for cluster in fleet.clusters { try await cluster.start(Self.timing) }
        for (cluster, watch) in zip(fleet.clusters, watches) {
            try await cluster.until("all namespaces are led, as \(cluster.name) says") {
                try watch.holders().count > Self.count
            }
        }
        let time = ContinuousClock.now - start
        // Promised are 20 s; what a busy machine makes of them says nothing.
        #expect(time <= .seconds(90), "\(Self.count) namespaces were led after \(time)")
        let holders = try watches.map { try $0.holders() }
        #expect(holders[0] == holders[1], "both clusters tell the same")
        print("\(Self.count) namespaces on 2 clusters were led after \(time): \(fleet.clusters.map(\.footprint))")
        for cluster in fleet.clusters {
            let writes = try await cluster.plane.requestCounts()
                .filter { $0.isWrite && $0.group == "leaderelection.600lyy.io" }.reduce(0) { $0 + $1.count }
            // Each is created and gets its status, some of them a first one before they are led; the trickle is on top.
            let trickle = 5 * (Int(time / .seconds(1)) + 1)
            #expect(writes <= 3 * Self.count + trickle, "\(cluster.name) wrote its Lease objects \(writes) times")
            print("\(cluster.name) wrote its Lease objects \(writes) times")
        }
    }

    /// Counts what is asked of the store and of the API servers from now on: the store is asked as if there was one namespace, and
    /// Events and refreshed statuses are a trickle, even while 500 Events wait.
    private func rest(_ fleet: Fleet) async throws {
        // What the claims set off, such as a list because of a changed record, is over with the next heartbeats.
        for cluster in fleet.clusters { try await nextHeartbeats(2, of: cluster, fleet) }
        let start = ContinuousClock.now
        let mark = fleet.emulator.mark
        var before: [String: [ControlPlane.RequestCount]] = [:]
        for cluster in fleet.clusters { before[cluster.name] = try await cluster.plane.requestCounts() }
        try await nextHeartbeats(15, of: fleet.clusters[0], fleet)

        for cluster in fleet.clusters {
            let writes = try await writes(on: cluster, since: before[cluster.name] ?? [])
            let time = ContinuousClock.now - start
            let (heartbeats, trickle) = (writes["coordination.k8s.io", default: 0], Int(time / .seconds(1)) + 1)
            print("\(cluster.name) wrote \(writes) in \(time): \(cluster.footprint)")
            #expect((1...intervals(time, Self.renewInterval)).contains(heartbeats), "\(writes) in \(time)")
            #expect((1...5 * trickle).contains(writes.values.reduce(0, +) - heartbeats), "\(writes) in \(time)")
            #expect(
                Set(writes.keys).isSubset(of: ["coordination.k8s.io", "leaderelection.600lyy.io", "events"]),
                "\(writes)")
        }
        let time = ContinuousClock.now - start
        for cluster in fleet.clusters {
            let requests = fleet.emulator.requests(since: mark).filter { $0.client == cluster.name }
            func number(_ kind: GCSRequest.Kind, _ object: String) -> Int {
                requests.count { $0.kind == kind && $0.object == object }
            }
            let (heartbeats, members) = (number(.write, "members/\(cluster.name)"), number(.list, "members/"))
            let leases = number(.list, "leases/")
            let text = "\(cluster.name) in \(time): \(heartbeats) heartbeats, \(members) and \(leases) lists"
            print(text)
            #expect((1...intervals(time, Self.renewInterval)).contains(heartbeats), "\(text)")
            #expect((1...intervals(time, Self.renewInterval)).contains(members), "\(text)")
            #expect(leases <= intervals(time, Self.relistInterval), "\(text)")
            let kinds = Dictionary(grouping: requests) { "\($0.kind) \($0.object)" }.mapValues(\.count)
            // A heartbeat that was given up on a machine that was held up is read back.
            let own = "members/\(cluster.name)"
            let isGivenUp = requests.contains { $0.kind == .write && $0.status != 200 }
            let readBack = isGivenUp ? number(.get, own) + number(.read, own) : 0
            #expect(requests.count == heartbeats + members + leases + readBack, "\(text) among \(kinds)")
        }
    }

    /// How often something that happens once an interval may happen in this time; the first of all may have come late.
    private func intervals(_ time: Duration, _ interval: Duration) -> Int { Int((time + .seconds(1)) / interval) + 1 }

    private func nextHeartbeats(_ count: Int, of cluster: TestCluster, _ fleet: Fleet) async throws {
        let mark = fleet.emulator.mark
        try await cluster.until("\(cluster.name) has written \(count) heartbeats") {
            fleet.emulator.requests(since: mark)
                .count { $0.kind == .write && $0.object == "members/\(cluster.name)" } >= count
        }
    }

    /// Writes that the API server has answered since `before`: by group, or resource where the group has no name.
    private func writes(
        on cluster: TestCluster, since before: [ControlPlane.RequestCount]
    ) async throws -> [String: Int] {
        func sums(_ counts: [ControlPlane.RequestCount]) -> [String: Int] {
            counts.filter(\.isWrite).reduce(into: [:]) {
                $0[$1.group.isEmpty ? $1.resource : $1.group, default: 0] += $1.count
            }
        }
        let earlier = sums(before)
        return sums(try await cluster.plane.requestCounts())
            .mapValues { $0 }.merging(earlier) { $0 - $1 }.filter { $0.value != 0 }
    }
}

/// What a cluster's Lease objects have said so far, by a watch of kubectl's: no asking again and again, which would take the
/// time of the programs under test.
private final class LeaseWatch: Sendable {
    private let cluster: TestCluster
    private let kubectls: Locked<[ChildProcess]>

    init(_ cluster: TestCluster) throws {
        self.cluster = cluster
        kubectls = Locked([try Self.start(cluster)])
    }

    private static func start(_ cluster: TestCluster) throws -> ChildProcess {
        try cluster.plane.startKubectl(
            "get", "leases.leaderelection.600lyy.io", "--all-namespaces", "--watch", "--output",
            #"jsonpath={.metadata.namespace} {.status.observedHolderIdentity}{"\n"}"#)
    }

    /// By namespace, as last told; those with a holder.
    func holders() throws -> [Substring: Substring] {
        // The API server ends the watches of a kind whose definition has just changed, and kubectl then ends without a word.
        // The next one begins with a list.
        let all = try kubectls.withLock { kubectls in
            if kubectls.last?.hasExited ?? true { kubectls.append(try Self.start(cluster)) }
            return kubectls
        }
        return all.map(\.out).joined(separator: "\n").split(separator: "\n").reduce(into: [:]) { holders, line in
            let words = line.split(separator: " ")
            // An error that ends the watch is of no namespace.
            guard let namespace = words.first else { return }
            holders[namespace] = words.count == 2 ? words[1] : nil
        }
    }
}

extension TestCluster {
    /// For people: memory and processor time of Leasehold (a debug build).
    fileprivate var footprint: String {
        guard let status = try? process?.status, let resident = try? status.residentBytes else {
            return "\(name): not running"
        }
        return "\(name): \(resident >> 10) kB, \(status.cpuSeconds) s"
    }
}

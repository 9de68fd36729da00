import Kubernetes
import Platform
import Storage
import Testing

@testable import Controller
@testable import Election

/// One run of the controller of cluster east, against an API server in memory.
private final class Run: Sendable {
    /// Slow to take another run for dead, fast in all else.
    static var timing: Timing {
        var timing = Timing()
        timing.renewInterval = .seconds(5)
        timing.pollInterval = .milliseconds(200)
        timing.requestTimeout = .seconds(5)
        timing.grantDuration = .milliseconds(300)
        timing.commitMargin = .milliseconds(100)
        timing.leaseDurationLimit = 60
        return timing
    }

    let board = LeadershipBoard(LeadershipTable(cluster: "east"))
    let status: ElectionStatus
    let kubernetesStatus: KubernetesStatus
    let controller: KubernetesController
    let lines = Lines()
    /// How the run ended; nil: in good order.
    let end: Task<ControllerError?, Never>

    /// - Parameter before: done before the run begins.
    init(
        _ server: FakeAPIServer, apiLossTimeout: Duration? = nil, releaseLimit: Duration = .seconds(20),
        openStore: @escaping @Sendable () async throws -> any LeaseStore,
        before: (KubernetesController) -> Void = { _ in }
    ) throws {
        let client = try server.client(log: lines.log)
        status = ElectionStatus(board: board, timing: Self.timing)
        kubernetesStatus = KubernetesStatus(client, timing: Self.timing)
        var options = KubernetesController.Options(
            cluster: "east", leaseSeconds: 60, isElected: { namespace, _ in namespace != "kube-system" })
        options.apiLossTimeout = apiLossTimeout
        options.releaseLimit = releaseLimit
        let controller = KubernetesController(
            options, client: client, timing: Self.timing, board: board, status: status,
            kubernetesStatus: kubernetesStatus, log: lines.log, openStore: openStore)
        self.controller = controller
        before(controller)
        end = Task {
            do throws(ControllerError) {
                try await controller.run()
                return nil
            } catch { return error }
        }
    }

    convenience init(_ server: FakeAPIServer, in store: MemoryStore, apiLossTimeout: Duration? = nil) throws {
        try self.init(server, apiLossTimeout: apiLossTimeout, openStore: { store })
    }

    deinit { end.cancel() }

    /// The namespaces that the board shows as this cluster's.
    var claimed: Int { board.table().entries.count { $0.state == .own } }

    func problem(of check: String) throws -> String? {
        try #require(kubernetesStatus.checks().first { $0.name == check }).problem
    }
}

extension FakeAPIServer {
    fileprivate func leads(_ namespace: String) throws -> Bool { try lease(namespace)?.status?.isLeader == true }

    fileprivate func reasons() throws -> [String] { try all(EventObject.self).map(\.reason) }
}

@Suite(.timeLimit(.minutes(3))) struct KubernetesControllerTests {
    private let store = MemoryStore()

    private func record(_ namespace: String) async throws -> LeaseRecord? {
        let name = try #require(ObjectName(.leases, namespace))
        return try await store.read(name).map { try LeaseRecord(parsing: $0.body) }
    }

    private func member() async throws -> MemberRecord? {
        let name = try #require(ObjectName(.members, "east"))
        return try await store.read(name).map { try MemberRecord(parsing: $0.body, ofCluster: "east") }
    }

    @Test func `a namespace gets a Lease object, is led, and its status says so`() async throws {
        let server = try FakeAPIServer(namespaces: ["team-a"])
        let run = try Run(server, in: store)
        try await eventually("the status says so") { try server.leads("team-a") }
        let lease = try #require(try server.lease("team-a"))
        #expect(lease.metadata.annotations == ["managed-by": "leaderelection.600lyy.io/lease-operator"])
        #expect(lease.spec == LeaseObject.Spec(holderIdentity: "east", leaseDurationSeconds: 60))
        let record = try #require(try await record("team-a"))
        #expect(record.holderIdentity == "east")
        #expect(lease.status?.observedHolderIdentity == "east")
        #expect(lease.status?.term == Int64(record.term))
        #expect(try server.lease("kube-system") == nil)

        try await eventually("an Event tells of it") { try server.reasons() == ["LeaderElected"] }
        try await eventually("the controller's own Lease is there") {
            try server.get(
                CoordinationLease.self, "leader-election-controller", in: "multi-cluster-leader-election-system")?
                .spec.holderIdentity == "east"
        }
        #expect(run.kubernetesStatus.checks().allSatisfy { $0.problem == nil })
    }

    @Test func `namespaces come and go, and the lease of one that is gone is free`() async throws {
        let server = try FakeAPIServer()
        let run = try Run(server, in: store)
        try await eventually("both are watched") { server.requests.count { $0.isWatch } == 2 }
        server.put(NamespaceObject(metadata: ObjectMetadata(name: "team-a")))
        try await eventually("it is led") { try server.leads("team-a") }
        server.delete(LeaseObject.self, "lease-gsc", in: "team-a")
        try await eventually("the Lease object is made anew") { try server.leads("team-a") }
        server.delete(NamespaceObject.self, "team-a")
        try await eventually("its lease is free") { try await record("team-a")?.holderIdentity == "" }
        #expect(run.claimed == 0)
    }

    @Test func `a transfer that an annotation asks for is in the record before the annotation is gone`() async throws {
        let server = try FakeAPIServer(namespaces: ["team-a"])
        let run = try Run(server, in: store)
        try await eventually("it is led") { try server.leads("team-a") }
        var lease = try #require(try server.lease("team-a"))
        lease.metadata.annotations?["leaderelection.600lyy.io/transfer-to"] = "west"
        server.put(lease)
        try await eventually("the annotation is gone") {
            try server.lease("team-a")?.metadata.annotations?.keys.contains("managed-by") == true
                && server.lease("team-a")?.metadata.annotations?.count == 1
        }
        #expect(try await record("team-a")?.preferredHolder == "west")
        try await eventually("an Event tells of it") { try server.reasons().contains("HandoverRequested") }
        #expect(run.claimed == 1, "west is not there to take it")
    }

    /// Two replicas of one cluster. The second one's API server is the same cluster's, as that replica sees it, so that each
    /// one's writes can be told apart.
    private func leaderAndStandby() async throws -> (
        server: FakeAPIServer, first: Run, mirror: FakeAPIServer, second: Run
    ) {
        let server = try FakeAPIServer(namespaces: ["team-a"])
        let first = try Run(server, in: store)
        try await eventually("it is led") { try server.leads("team-a") }
        let mirror = try FakeAPIServer(namespaces: ["team-a"])
        let second = try Run(mirror, in: store)
        try await eventually("it stands by") { second.status.phase == .standingBy }
        return (server, first, mirror, second)
    }

    @Test func `a standby replica writes nothing, until it takes over`() async throws {
        let (server, first, mirror, second) = try await leaderAndStandby()
        // It looks at what there is to do once a second, and asks the API server in every interval.
        try await eventually("it had time to write") { second.lines.contains("Stands by") && mirror.probes >= 2 }
        #expect(mirror.writes.isEmpty, "\(mirror.writes)")
        #expect(second.claimed == 0)

        first.controller.leave(.handover)
        #expect(await first.end.value == nil)
        #expect(try server.leads("team-a"), "the next one comes soon, so that the status stays")
        try await eventually("the other takes over") { try mirror.leads("team-a") }
        #expect(second.claimed == 1)
    }

    @Test func `a standby replica that is asked to give everything back writes nothing either`() async throws {
        let (_, first, mirror, second) = try await leaderAndStandby()
        second.controller.leave(.release)
        #expect(await second.end.value == nil)
        #expect(mirror.writes.isEmpty, "\(mirror.writes)")
        #expect(first.claimed == 1)
    }

    // MARK: - The end

    /// As an earlier run left it, of which nothing is to be waited out.
    private func putStoppedMember() async throws {
        let record = MemberRecord(
            cluster: "east", uid: "uid-1", incarnation: "earlier", sequence: 7, state: .stopped, quietSeconds: 0,
            leaseSequence: 7, renewTime: "2026-11-24T10:00:00Z", renewIntervalSeconds: 5)
        _ = try await store.write(#require(ObjectName(.members, "east")), record.encoded(), replacing: nil)
    }

    @Test func `a release frees the lease and then says that this cluster does not lead`() async throws {
        try await putStoppedMember()
        let server = try FakeAPIServer(namespaces: ["team-a", "team-b"])
        let run = try Run(server, in: store)
        for namespace in ["team-a", "team-b"] {
            try await eventually("it is led") { try server.leads(namespace) }
        }
        run.controller.leave(.release)
        #expect(await run.end.value == nil)
        for namespace in ["team-a", "team-b"] {
            let status = try #require(try server.lease(namespace)?.status)
            #expect(status.isLeader == false)
            #expect(status.conditions?.first { $0.type == "Held" }?.status == "False")
        }
        #expect(run.claimed == 0)
        #expect(try await member()?.state == .stopped)
    }

    @Test func `a status that is refused is written again before a release ends`() async throws {
        try await putStoppedMember()
        let server = try FakeAPIServer(namespaces: ["team-a"])
        let run = try Run(server, in: store)
        try await eventually("it is led") { try server.leads("team-a") }
        let refusals = Locked(0)
        server.setFault { request in
            guard request.method == "PATCH", request.path.hasSuffix("/leases/lease-gsc/status") else { return nil }
            let number = refusals.withLock {
                $0 += 1
                return $0
            }
            return number == 1 ? .status(500, "InternalError") : nil
        }
        run.controller.leave(.release)
        #expect(await run.end.value == nil)
        #expect(refusals.withLock { $0 } > 1)
        #expect(try server.lease("team-a")?.status?.isLeader == false)
    }

    @Test func `a status that the API server does not keep whole is not written again at the pace of its answers`()
        async throws
    {
        let server = try FakeAPIServer(namespaces: ["team-a"])
        server.leaveOut("term", "conditions")
        let run = try Run(server, in: store)
        try await eventually("it says so") { run.lines.contains("does not keep all of the status") }
        let before = server.writes.count
        try await Task.sleep(for: .seconds(2))
        // Heartbeats, and tries after 1 s, 2 s, 4 s.
        #expect(server.writes.count < before + 20)
        run.controller.leave(.handover)
        #expect(await run.end.value == nil)
    }

    @Test(arguments: [Farewell.release, .handover])
    func `one that is asked to leave before it could begin ends at once`(farewell: Farewell) async throws {
        let server = try FakeAPIServer(namespaces: ["team-a"])
        server.goDown()
        let asked = try Run(server, openStore: { [store] in store }, before: { $0.leave(farewell) })
        #expect(await asked.end.value == nil)
        let waiting = try Run(server, in: store)
        try await eventually("it tries") { waiting.lines.contains("Cannot read the namespace kube-system") }
        waiting.controller.leave(farewell)
        #expect(await waiting.end.value == nil)
        #expect(try await store.list(.members).isEmpty)
    }

    @Test func `a run that is cancelled leaves no lease on the board`() async throws {
        let server = try FakeAPIServer(namespaces: ["team-a"])
        let run = try Run(server, in: store)
        try await eventually("it is led") { run.claimed == 1 }
        run.end.cancel()
        #expect(await run.end.value == .cancelled)
        #expect(run.claimed == 0)
    }

    // MARK: - Trouble

    @Test func `the loss of the API server gives everything back, and its return takes part again`() async throws {
        try await putStoppedMember()
        let server = try FakeAPIServer(namespaces: ["team-a"])
        let run = try Run(server, in: store, apiLossTimeout: .seconds(10))
        try await eventually("it is led") { try server.leads("team-a") }
        let term = try #require(try await record("team-a")).term
        server.goDown()
        try await eventually("its leases are free") { try await member()?.state == .stopped }
        #expect(run.claimed == 0)
        #expect(run.lines.contains("has not answered for 10 s: gives everything back"))
        let problem = try run.problem(of: "Kubernetes API answers")
        #expect(problem?.contains("everything was given back") == true, "\(problem ?? "")")
        #expect(try server.leads("team-a"), "nobody could write that it changed")

        server.comeBack()
        try await eventually("it is led again") { run.claimed == 1 }
        let again = try #require(try await record("team-a"))
        #expect(again.holderIdentity == "east" && again.term > term)
        try await eventually("the status says so") { try server.lease("team-a")?.status?.term == Int64(again.term) }
        #expect(run.lines.contains("answers again: takes part in the election again"))
        try await eventually("it is ready") { run.kubernetesStatus.checks().allSatisfy { $0.problem == nil } }
    }

    /// A run whose API server has gone, and which has freed its lease but not ended: the first run ever inherits a wait from
    /// an unknown one, which outlasts a test, and may not write that it has stopped.
    private func givingBackForWantOfAPI() async throws -> (server: FakeAPIServer, run: Run) {
        let server = try FakeAPIServer(namespaces: ["team-a"])
        let run = try Run(
            server, apiLossTimeout: .seconds(10), releaseLimit: .seconds(3600), openStore: { [store] in store })
        try await eventually("it is led") { try server.leads("team-a") }
        server.goDown()
        try await eventually("its leases are free") { try await record("team-a")?.isFree == true }
        return (server, run)
    }

    @Test func `an API server that returns while everything is given back is not kept waiting`() async throws {
        let (server, run) = try await givingBackForWantOfAPI()
        #expect(try await member()?.state == .live)
        server.comeBack()
        try await eventually("it is led again") { run.claimed == 1 }
        #expect(run.lines.contains("answers again: takes part in the election again"))
    }

    @Test func `a release that was asked for stays one when the API server returns`() async throws {
        let (server, run) = try await givingBackForWantOfAPI()
        run.controller.leave(.release)
        server.comeBack()
        try await eventually("its return is noticed") {
            if try run.problem(of: "Kubernetes API answers") == nil { return true }
            return try await member()?.state != .live
        }
        #expect(try await member()?.state == .live)
        #expect(!run.lines.contains("takes part in the election again"))
    }

    @Test func `a wall clock that is set forward is no silence of the API server`() async throws {
        let server = try FakeAPIServer(namespaces: ["team-a"])
        let run = try Run(server, in: store, apiLossTimeout: .seconds(60))
        try await eventually("it is led") { try server.leads("team-a") }
        var now = Reading.now()
        now.realtime += 3600_000_000_000
        await run.controller.watchAPI(at: now)
        #expect(!run.lines.contains("gives everything back"))
        now.boottime += 3600_000_000_000
        now.monotonicRaw += 3600_000_000_000
        await run.controller.watchAPI(at: now)
        #expect(run.lines.contains("gives everything back"))
    }

    @Test func `a store that cannot be opened is tried again, and said`() async throws {
        struct Broken: Error, CustomStringConvertible { let description = "the bucket is on fire" }
        let attempts = Locked(0)
        let server = try FakeAPIServer(namespaces: ["team-a"])
        let run = try Run(
            server,
            openStore: { [store] in
                let attempt = attempts.withLock {
                    $0 += 1
                    return $0
                }
                if attempt <= 2 { throw Broken() }
                return store
            })
        try await eventually("the check says so") { try run.problem(of: "store opened") == "the bucket is on fire" }
        try await eventually("it is led") { try server.leads("team-a") }
        #expect(try run.problem(of: "store opened") == nil)
        #expect(run.lines.count(of: "the bucket is on fire") == 1, "the rest is told once a minute")
    }

    @Test func `a right that is missing is said, and all is made good when it is granted`() async throws {
        let server = try FakeAPIServer(namespaces: ["team-a"])
        server.setFault { request in
            request.method == "POST" && request.path.contains("/team-a/leases")
                ? .status(403, "Forbidden", "you may not create leases") : nil
        }
        let run = try Run(server, in: store)
        try await eventually("the check says so") {
            try run.problem(of: "Lease objects are written")?.contains("you may not create leases") == true
        }
        #expect(run.lines.contains("Cannot create the Lease object of team-a, and tries again by itself"))
        try await eventually("it is led all the same") { run.claimed == 1 }
        server.comeBack()
        try await eventually("the status says so") { try server.leads("team-a") }
        #expect(try run.problem(of: "Lease objects are written") == nil)
    }
}

extension FakeAPIServer {
    /// How often somebody asked for the controller's own Lease, to see whether this answers.
    fileprivate var probes: Int {
        requests.count { $0.method == "GET" && $0.path.hasSuffix("/leases/leader-election-controller") }
    }
}

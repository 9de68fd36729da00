import Election
import Kubernetes
import Platform
import Support
import Testing

@testable import Controller

/// A desk for cluster east with namespaces and Lease objects as an API server would show them.
private struct Scene {
    var desk = LeaseDesk(
        cluster: "east", leaseName: "lease-gsc", defaultSeconds: 15,
        isElected: { namespace, labels in namespace != "kube-system" && labels["skip"] == nil })
    var table = LeadershipTable(cluster: "east")
    var storeProblem: String?
    var now = Reading(boottime: 1_000_000_000, realtime: 1_800_000_000_000_000_000, monotonicRaw: 1_000_000_000)
    var instant = ContinuousClock.now

    static func namespace(_ name: String, labels: [String: String]? = nil, isTerminating: Bool = false)
        -> NamespaceObject
    {
        var metadata = ObjectMetadata(name: name)
        metadata.labels = labels
        metadata.deletionTimestamp = isTerminating ? "2026-11-24T00:00:00Z" : nil
        return NamespaceObject(metadata: metadata)
    }

    static func lease(
        _ namespace: String, holder: String = "east", seconds: Int? = 15, preferred: String? = nil,
        version: Int = 1, uid: String = "u1", name: String = "lease-gsc", annotations: [String: String]? = nil,
        status: LeaseObject.Status? = nil
    ) -> LeaseObject {
        var metadata = ObjectMetadata(name: name, namespace: namespace)
        metadata.uid = uid
        metadata.resourceVersion = String(version)
        metadata.generation = 1
        metadata.annotations = annotations
        return LeaseObject(
            metadata: metadata,
            spec: .init(holderIdentity: holder, leaseDurationSeconds: seconds, preferredHolder: preferred),
            status: status)
    }

    /// Both lists, once.
    mutating func list(_ namespaces: [NamespaceObject], _ leases: [LeaseObject]) {
        _ = desk.take(.listed(namespaces))
        _ = desk.take(.listed(leases))
    }

    /// What `leases/<namespace>` and our claim look like to the webhook.
    mutating func set(
        _ namespace: String, _ state: LeadershipTable.Entry.State, holder: String? = nil, term: UInt64 = 7
    ) {
        table.index = NamespaceIndex([namespace])
        table.holders = holder.map { [$0] } ?? []
        table.anchor = now
        table.entries = [
            LeadershipTable.Entry(
                state: state, holder: holder == nil ? -1 : 0, term: term, limit: state == .own ? 10_000_000_000 : 0,
                acquired: 1_700_000_000_000_000, transitions: 3)
        ]
    }

    func report(renewTimes: [String: String] = [:]) -> LeaseStatusReport {
        LeaseStatusReport(
            cluster: "east", timing: Timing(), table: table, renewTimes: renewTimes, storeProblem: storeProblem,
            now: now)
    }

    mutating func chore(_ namespace: String, refreshing: Bool = false) -> LeaseDesk.Chore? {
        desk.chore(for: namespace, by: report(), at: instant, refreshing: refreshing)
    }
}

struct LeaseDeskTests {
    @Test func `nothing is wished before both lists were read, so that no lease is given back by mistake`() {
        var scene = Scene()
        _ = scene.desk.take(.listed([Scene.namespace("team-a")]))
        #expect(scene.desk.newWishes().isEmpty)
        #expect(scene.chore("team-a") == nil)
        _ = scene.desk.take(.listed([Scene.lease("team-a", seconds: 20)]))
        #expect(scene.desk.newWishes() == [Wish("team-a", .lead(seconds: 20))])
        #expect(scene.desk.newWishes().isEmpty)
    }

    @Test func `namespaces that are left out are told as such, and their Leases are left alone`() {
        var scene = Scene()
        scene.list([Scene.namespace("kube-system"), Scene.namespace("team-a", labels: ["skip": ""])], [])
        #expect(scene.desk.newWishes() == [Wish("kube-system", .leaveOut), Wish("team-a", .leaveOut)])
        #expect(scene.chore("team-a") == nil)
    }

    @Test func `a namespace is led until it is gone, also while it is being deleted`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a")])
        _ = scene.desk.newWishes()
        _ = scene.desk.take(.changed(Scene.namespace("team-a", isTerminating: true)))
        #expect(scene.desk.newWishes().isEmpty)
        _ = scene.desk.take(.removed(Scene.lease("team-a")))
        #expect(scene.chore("team-a") == nil, "a Lease cannot be created any more")
        _ = scene.desk.take(WatchEvent<NamespaceObject>.removed(Scene.namespace("team-a")))
        #expect(scene.desk.newWishes() == [Wish("team-a", .forget)])
    }

    @Test func `a namespace that a new list lacks is gone`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a"), Scene.namespace("team-b")], [])
        _ = scene.desk.newWishes()
        _ = scene.desk.take(.listed([Scene.namespace("team-b")]))
        #expect(scene.desk.newWishes() == [Wish("team-a", .forget)])
    }

    @Test(arguments: 0..<8) func `what is told bit by bit is what would be told at once`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var desk = Scene().desk
        var told: [String: Wish.Aim] = [:]
        let names = (0..<5).map { "team-\($0)" } + ["kube-system"]
        for version in 1...600 {
            let name = random.pick(names)
            let some = names.filter { _ in random.chance(60) }
            let labels = random.chance(20) ? ["skip": ""] : nil
            let lease = Scene.lease(name, seconds: 10 + random.below(3), version: version, uid: "u\(random.below(2))")
            switch random.below(12) {
            case 0: _ = desk.take(.listed(some.map { Scene.namespace($0) }))
            case 1: _ = desk.take(.listed(some.map { Scene.lease($0, seconds: 20, version: version) }))
            case 2...4: _ = desk.take(.changed(Scene.namespace(name, labels: labels)))
            case 5: _ = desk.take(.removed(Scene.namespace(name)))
            case 6...8: _ = desk.take(.changed(lease))
            case 9: _ = desk.take(.removed(lease))
            case 10: desk.forgetLease(of: name, uid: "u1")
            default: _ = desk.takeAnswer(lease)
            }
            for wish in desk.newWishes() { told[wish.namespace] = wish.aim == .forget ? nil : wish.aim }
            var copy = desk
            let all = copy.allWishes().map { ($0.namespace, $0.aim) }
            #expect(told == Dictionary(uniqueKeysWithValues: all))
        }
    }

    @Test func `a Lease that is missing, or was deleted, is made`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", name: "other")])
        #expect(scene.chore("team-a") == .create)
        #expect(scene.desk.takeAnswer(Scene.lease("team-a")) == "team-a")
        #expect(scene.chore("team-a") != .create)
        #expect(scene.desk.take(.removed(Scene.lease("team-a"))) == ["team-a"])
        #expect(scene.chore("team-a") == .create)
    }

    @Test func `the removal of an earlier object does not hide the one that was made since`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", uid: "old")])
        _ = scene.desk.takeAnswer(Scene.lease("team-a", uid: "new"))
        #expect(scene.desk.take(.removed(Scene.lease("team-a", uid: "old"))).isEmpty)
        #expect(scene.chore("team-a") != .create)
    }

    @Test(arguments: [true, false])
    func `the late answer of a write does not bring back an object that is gone`(isListed: Bool) {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", uid: "old")])
        let end: WatchEvent<LeaseObject> =
            isListed ? .listed([]) : .removed(Scene.lease("team-a", version: 3, uid: "old"))
        _ = scene.desk.take(end)
        #expect(scene.desk.takeAnswer(Scene.lease("team-a", version: 2, uid: "old")) == nil)
        #expect(scene.chore("team-a") == .create)
        #expect(scene.desk.takeAnswer(Scene.lease("team-a", version: 4, uid: "new")) == "team-a")
        #expect(scene.desk.takeAnswer(Scene.lease("team-a", version: 2, uid: "old")) == nil)
        #expect(scene.desk.places["team-a"]?.lease?.uid == "new")
    }

    @Test func `an object that a list was too old to show is back when the watch tells of it`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [])
        _ = scene.desk.takeAnswer(Scene.lease("team-a", version: 4))
        _ = scene.desk.take(WatchEvent<LeaseObject>.listed([]))
        _ = scene.desk.take(.changed(Scene.lease("team-a", version: 4)))
        #expect(scene.desk.takeAnswer(Scene.lease("team-a", seconds: 30, version: 5)) == "team-a")
        #expect(scene.desk.newWishes() == [Wish("team-a", .lead(seconds: 30))])
    }

    @Test func `the late answer of a write says nothing about a namespace that is gone`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a")])
        _ = scene.desk.take(.removed(Scene.namespace("team-a")))
        #expect(scene.desk.takeAnswer(Scene.lease("team-a", version: 2)) == nil)
        _ = scene.desk.take(.changed(Scene.namespace("team-a")))
        #expect(scene.chore("team-a") == .create)
    }

    @Test func `a Lease that comes before its namespace is kept for it`() {
        var scene = Scene()
        scene.list([], [])
        _ = scene.desk.take(.changed(Scene.lease("team-a", seconds: 30)))
        _ = scene.desk.take(.changed(Scene.namespace("team-a")))
        #expect(scene.desk.newWishes() == [Wish("team-a", .lead(seconds: 30))])
    }

    @Test func `an older state than the one known is ignored`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", seconds: 30, version: 10)])
        #expect(scene.desk.takeAnswer(Scene.lease("team-a", seconds: 15, version: 9)) == nil)
        #expect(scene.desk.newWishes() == [Wish("team-a", .lead(seconds: 30))])
    }

    @Test func `another holder in the spec is set right`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", holder: "nonsense")])
        #expect(scene.chore("team-a") == .repairHolder(found: "nonsense"))
    }

    @Test func `an annotation asks for a transfer, an empty one takes the wish back`() {
        var scene = Scene()
        scene.list(
            [Scene.namespace("team-a")],
            [Scene.lease("team-a", annotations: [LeaseObject.transferAnnotation: "west"])])
        #expect(scene.chore("team-a") == .transfer(to: "west"))
        _ = scene.desk.takeAnswer(Scene.lease("team-a", version: 2, annotations: [LeaseObject.transferAnnotation: ""]))
        #expect(scene.chore("team-a") == .transfer(to: nil))
    }

    @Test func `a preferred holder is asked for when it changed, once there is a record, and once`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", preferred: "west")])
        scene.set("team-a", .unknown, term: 0)
        if case .prefer = scene.chore("team-a") { Issue.record("there is no record to write into") }
        scene.set("team-a", .own, holder: "east")
        #expect(scene.chore("team-a") == .prefer("west"))
        var status = LeaseObject.Status()
        status.observedPreferredHolder = "west"
        _ = scene.desk.takeAnswer(Scene.lease("team-a", preferred: "west", version: 2, status: status))
        if case .prefer = scene.chore("team-a") { Issue.record("asked for twice") }
        _ = scene.desk.takeAnswer(Scene.lease("team-a", version: 3, status: status))
        #expect(scene.chore("team-a") == .prefer(nil))
    }

    @Test func `the status follows the table, and is written once`() throws {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a")])
        scene.set("team-a", .own, holder: "east")
        #expect(scene.desk.needy(by: scene.report()) == ["team-a"])
        guard case .status(let status)? = scene.chore("team-a") else {
            Issue.record("no status is written")
            return
        }
        #expect(status.isLeader == true)
        #expect(status.observedHolderIdentity == "east")
        #expect(status.term == 7)
        #expect(status.leaseTransitions == 3)
        #expect(status.observedAcquireTime == "2023-11-14T22:13:20.000000Z")
        #expect(status.observedRenewTime == "2027-01-15T08:00:00.000000Z")
        #expect(status.conditions?.map(\.type) == ["Held", "StoreReachable"])
        #expect(status.conditions?.map(\.status) == ["True", "True"])
        _ = scene.desk.takeAnswer(Scene.lease("team-a", version: 2, status: status))
        #expect(scene.chore("team-a") == nil)
        #expect(scene.desk.needy(by: scene.report()).isEmpty)
    }

    @Test func `a renewal is for the trickle, a change of leader is not`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a")])
        scene.set("team-a", .own, holder: "east")
        let first = scene.report().status(namespace: "team-a", slot: 0, of: LeaseView(Scene.lease("team-a")))
        _ = scene.desk.takeAnswer(Scene.lease("team-a", version: 2, status: first))
        #expect(scene.chore("team-a") == nil)
        scene.now.realtime += 3_000_000_000
        scene.set("team-a", .own, holder: "east")
        #expect(scene.desk.needy(by: scene.report()).isEmpty)
        #expect(scene.chore("team-a") == nil)
        guard case .status(let refreshed)? = scene.chore("team-a", refreshing: true) else {
            Issue.record("nothing is refreshed")
            return
        }
        #expect(refreshed.observedRenewTime == "2027-01-15T08:00:03.000000Z")
        #expect(refreshed.conditions == first.conditions)
        scene.set("team-a", .other, holder: "west", term: 8)
        guard case .status(let changed)? = scene.chore("team-a") else {
            Issue.record("the change is not written")
            return
        }
        #expect(changed.isLeader == false)
        #expect(changed.observedHolderIdentity == "west")
        #expect(changed.conditions?.first?.message == "west leads team-a")
    }

    @Test func `a window that ends is told without a new table`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a")])
        scene.set("team-a", .own, holder: "east")
        _ = scene.chore("team-a")
        scene.now.boottime += 11_000_000_000
        #expect(scene.desk.needy(by: scene.report()) == ["team-a"])
        guard case .status(let status)? = scene.chore("team-a") else {
            Issue.record("the end is not written")
            return
        }
        #expect(status.isLeader == false)
        #expect(status.conditions?.first?.reason == "Lapsed")
    }

    @Test func `once this run has ended, a status of a later term is somebody else's`() {
        var scene = Scene()
        var status = LeaseObject.Status()
        (status.isLeader, status.term) = (true, 8)
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", status: status)])
        scene.set("team-a", .free, term: 7)
        #expect(scene.chore("team-a") != nil, "the record may have been made anew")
        scene.desk.hasEnded = true
        _ = scene.desk.takeAnswer(Scene.lease("team-a", version: 2, status: status))
        #expect(scene.chore("team-a") == nil)
        status.term = 7
        _ = scene.desk.takeAnswer(Scene.lease("team-a", version: 3, status: status))
        #expect(scene.chore("team-a") != nil)
    }

    @Test func `a store that is silent is for the trickle`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a")])
        scene.set("team-a", .own, holder: "east")
        let first = scene.report().status(namespace: "team-a", slot: 0, of: LeaseView(Scene.lease("team-a")))
        _ = scene.desk.takeAnswer(Scene.lease("team-a", version: 2, status: first))
        scene.storeProblem = "the store has not answered for 13 s"
        #expect(scene.chore("team-a") == nil)
        guard case .status(let status)? = scene.chore("team-a", refreshing: true) else {
            Issue.record("the trouble is not written")
            return
        }
        #expect(status.conditions?.last?.status == "False")
        #expect(status.conditions?.last?.message == "the store has not answered for 13 s")
    }

    @Test func `a duration that the rules refuse is said in the condition`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", seconds: 4)])
        #expect(scene.desk.newWishes() == [Wish("team-a", .lead(seconds: 4))])
        scene.set("team-a", .notElected, term: 0)
        guard case .status(let status)? = scene.chore("team-a") else {
            Issue.record("nothing is written")
            return
        }
        #expect(status.conditions?.first?.reason == "DurationRefused")
    }

    @Test func `conditions of others stay, and a transition time changes with the status only`() throws {
        var status = LeaseObject.Status()
        status.conditions = [
            .init(type: "Theirs", status: "True", reason: "R", message: "m", lastTransitionTime: "t0"),
            .init(type: "Held", status: "False", reason: "Free", message: "m", lastTransitionTime: "t1"),
        ]
        var scene = Scene()
        scene.set("team-a", .other, holder: "west")
        let view = LeaseView(Scene.lease("team-a", status: status))
        let conditions = try #require(scene.report().status(namespace: "team-a", slot: 0, of: view).conditions)
        #expect(conditions.map(\.type) == ["Theirs", "Held", "StoreReachable"])
        #expect(conditions[1].reason == "OtherClusterLeads")
        #expect(conditions[1].lastTransitionTime == "t1")
    }

    @Test(arguments: ["2026-11-24T10:00:00.123456Z", "2026-11-24T10:00:00Z"])
    func `another cluster's renew time is shown in our form`(time: String) {
        var scene = Scene()
        scene.set("team-a", .other, holder: "west")
        let view = LeaseView(Scene.lease("team-a"))
        let status = scene.report(renewTimes: ["west": time]).status(namespace: "team-a", slot: 0, of: view)
        #expect(status.observedRenewTime?.hasPrefix("2026-11-24T10:00:00.") == true)
        #expect(status.observedRenewTime?.count == 27)
        let nonsense = scene.report(renewTimes: ["west": "soon"]).status(namespace: "team-a", slot: 0, of: view)
        #expect(nonsense.observedRenewTime == nil)
    }

    @Test func `a write that failed is tried again after ever longer waits`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [])
        for seconds in [1, 2, 4, 8, 16, 32, 32] {
            #expect(scene.chore("team-a") == .create)
            scene.desk.begin("team-a")
            #expect(scene.chore("team-a") == nil, "one write at a time")
            scene.desk.end(.create, "team-a", failed: true, at: scene.instant)
            #expect(scene.chore("team-a") == nil)
            scene.instant += .seconds(seconds)
        }
        scene.desk.begin("team-a")
        scene.desk.end(.create, "team-a", failed: false, at: scene.instant)
        #expect(scene.chore("team-a") == .create)
    }

    // MARK: What operators rely on

    private static func leading() -> LeaseObject.Status {
        var status = LeaseObject.Status()
        status.isLeader = true
        status.observedHolderIdentity = "east"
        status.term = 7
        return status
    }

    private func takesBack(_ chore: LeaseDesk.Chore?) -> Bool {
        if case .status(let status)? = chore { status.isLeader == false } else { false }
    }

    @Test func `a namespace that leaves the election no longer says that this cluster leads`() throws {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", status: Self.leading())])
        _ = scene.desk.take(.changed(Scene.namespace("team-a", labels: ["skip": ""])))
        scene.set("team-a", .unmanaged)
        #expect(scene.desk.needy(by: scene.report()) == ["team-a"])
        guard case .status(let status)? = scene.chore("team-a") else {
            Issue.record("the status is not written")
            return
        }
        #expect(status.isLeader == false)
        #expect(status.conditions?.first?.reason == "Unmanaged")
        _ = scene.desk.takeAnswer(Scene.lease("team-a", holder: "x", version: 2, status: status))
        #expect(scene.chore("team-a", refreshing: true) == nil, "from then on it is left alone")
        #expect(scene.desk.needy(by: scene.report()).isEmpty)
    }

    @Test func `a wish does not hold up what takes back that this cluster leads`() {
        var scene = Scene()
        let annotations = [LeaseObject.transferAnnotation: "west"]
        scene.list(
            [Scene.namespace("team-a")],
            [Scene.lease("team-a", holder: "x", annotations: annotations, status: Self.leading())])
        scene.set("team-a", .own, holder: "east")
        #expect(scene.chore("team-a") == .repairHolder(found: "x"))
        scene.set("team-a", .other, holder: "west", term: 8)
        #expect(takesBack(scene.chore("team-a")))
    }

    @Test func `a wish that cannot be carried out holds up no status, and is tried again`() {
        var scene = Scene()
        let annotations = [LeaseObject.transferAnnotation: "west"]
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", annotations: annotations)])
        scene.set("team-a", .own, holder: "east")
        for _ in 0..<2 {
            #expect(scene.chore("team-a") == .transfer(to: "west"))
            scene.desk.end(.transfer(to: "west"), "team-a", failed: true, at: scene.instant)
            guard case .status(let status)? = scene.chore("team-a") else {
                Issue.record("the status waits for the wish")
                return
            }
            #expect(status.isLeader == true)
            scene.desk.end(.status(status), "team-a", failed: false, at: scene.instant)
            #expect(scene.desk.needy(by: scene.report()) == ["team-a"])
            scene.instant += .seconds(60)
        }
    }

    @Test func `a status that is refused holds up no wish`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", status: Self.leading())])
        scene.set("team-a", .other, holder: "west", term: 8)
        #expect(takesBack(scene.chore("team-a")))
        scene.desk.end(.status(LeaseObject.Status()), "team-a", failed: true, at: scene.instant)
        _ = scene.desk.takeAnswer(
            Scene.lease(
                "team-a", version: 2, annotations: [LeaseObject.transferAnnotation: "west"], status: Self.leading()))
        #expect(scene.chore("team-a") == .transfer(to: "west"))
    }

    @Test func `an object that was made anew is not forgotten for the one before it`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", uid: "u1")])
        _ = scene.desk.take(.removed(Scene.lease("team-a", uid: "u1")))
        _ = scene.desk.take(.changed(Scene.lease("team-a", version: 3, uid: "u2")))
        scene.desk.forgetLease(of: "team-a", uid: "u1")
        #expect(scene.desk.places["team-a"]?.lease?.uid == "u2")
        scene.desk.forgetLease(of: "team-a", uid: "u2")
        #expect(scene.chore("team-a") == .create)
    }

    @Test func `what was read after a refusal counts although its version is older, as after a restored backup`() {
        var scene = Scene()
        scene.list([Scene.namespace("team-a")], [Scene.lease("team-a", version: 10)])
        #expect(scene.desk.newWishes() == [Wish("team-a", .lead(seconds: 15))])
        _ = scene.desk.takeAnswer(Scene.lease("team-a", seconds: 30, version: 5), replacesNewer: true)
        #expect(scene.desk.newWishes() == [Wish("team-a", .lead(seconds: 30))])
    }

    @Test func `another installation's object is left alone`() {
        var scene = Scene()
        let lease = Scene.lease("team-a", holder: "other", status: Self.leading())
        scene.list([Scene.namespace("team-a", labels: ["skip": ""])], [lease])
        scene.set("team-a", .unmanaged)
        #expect(scene.chore("team-a", refreshing: true) == nil)
        #expect(scene.desk.needy(by: scene.report()).isEmpty)
        #expect(!scene.desk.isOverstating(by: scene.report()))
    }
}

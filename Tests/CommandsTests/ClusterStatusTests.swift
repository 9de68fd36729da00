import Election
import FoundationEssentials
import Kubernetes
import Testing

@testable import Commands

/// The election as one cluster's API server shows it.
struct ClusterStatusTests {
    private func lease(
        _ namespace: String, holder: String, isLeader: Bool = false, renewed: Int64 = noon - 2_000_000,
        reason: String = "Free"
    ) -> LeaseObject {
        var status = LeaseObject.Status()
        status.isLeader = isLeader
        status.observedHolderIdentity = holder
        status.observedAcquireTime = holder.isEmpty ? nil : Timestamp.format(microseconds: noon - 60_000_000)
        status.observedRenewTime = Timestamp.format(microseconds: renewed)
        status.term = 7
        status.leaseTransitions = 3
        status.conditions = [
            .init(type: "Held", status: "False", reason: reason, message: "so it is", lastTransitionTime: "-")
        ]
        return LeaseObject(
            metadata: ObjectMetadata(name: "lease-gsc", namespace: namespace),
            spec: .init(holderIdentity: "east", leaseDurationSeconds: 15), status: status)
    }

    private func document(
        _ leases: [LeaseObject], heartbeat renewed: Int64? = noon - 2_000_000, namespaces: [String] = []
    ) -> StatusDocument {
        var spec = CoordinationLease.Spec()
        spec.holderIdentity = "east"
        spec.leaseDurationSeconds = 15
        spec.renewTime = renewed.map(Timestamp.format)
        let heartbeat = CoordinationLease(metadata: ObjectMetadata(name: "leader-election-controller"), spec: spec)
        return StatusDocument(
            ClusterSnapshot(
                leases: leases, heartbeat: renewed == nil ? nil : heartbeat,
                problem: renewed == nil ? "The heartbeat may not be read." : nil, readAt: noon),
            cluster: nil, namespaces: namespaces)
    }

    @Test func `shows the same facts as the store, as far as a cluster knows them`() throws {
        let document = document(
            [
                lease("team-a", holder: "east", isLeader: true),
                lease("team-b", holder: "west", renewed: noon - 8_000_000),
                lease("team-c", holder: ""), lease("team-d", holder: "", reason: "RecordUnreadable"),
                lease("team-e", holder: "", reason: "RecordNotRead"),
            ], namespaces: ["team-a", "team-x"])
        #expect(
            StatusReport(document: document).text == """
                NAMESPACE  LEADER        TERM  SINCE                 WINDOW LEFT  OURS
                team-a     east          7     2026-01-31 11:59:00Z  ~12s         yes
                team-b     west          7     2026-01-31 11:59:00Z  -            no
                team-c     (free)        7     -                     -            no
                team-d     (unreadable)  7     -                     -            no
                team-e     (unknown)     7     -                     -            no
                team-x     (no record)   -     -                     -            no

                CLUSTER  STATE     RENEWED  INCARNATION
                east     live      ~2s ago  -
                west     observed  ~8s ago  -

                team-d: so it is

                """)
        #expect(document.areLed(["team-a", "team-b"]))
        #expect(!document.areLed(["team-c"]) && !document.areLed(["team-x"]))
    }

    @Test func `a controller that is silent leads nothing, whatever its Lease objects say`() {
        let late = noon - 20_000_000
        let document = document([lease("team-a", holder: "east", isLeader: true, renewed: late)], heartbeat: late)
        #expect(!document.areLed(["team-a"]))
        #expect(document.leases[0].window == "over")
        #expect(document.members[0].state == "silent")
    }

    @Test func `without the right to the heartbeat it goes by what the Lease objects say, and says so`() {
        let document = document([lease("team-a", holder: "east", isLeader: true)], heartbeat: nil)
        #expect(document.areLed(["team-a"]))
        #expect(document.leases[0].window == nil)
        #expect(document.members[0].state == "observed")
        #expect(StatusReport(document: document).text.hasSuffix("\nThe heartbeat may not be read.\n"))
    }

    @Test func `takes the freshest renewal of a holder for all of its leases`() {
        let document = document([
            lease("team-a", holder: "west", renewed: noon - 600_000_000), lease("team-b", holder: "west"),
        ])
        #expect(document.areLed(["team-a", "team-b"]))
        #expect(document.members.first { $0.cluster == "west" }?.renewedSecondsAgo == 2)
    }

    @Test func `believes an isLeader of its own cluster only`() {
        let document = document([lease("team-a", holder: "east", isLeader: false)])
        #expect(!document.areLed(["team-a"]))
        #expect(document.leases[0].window == "lapsed")
    }
}

import Election
import Kubernetes
import Testing

@testable import Controller

struct EventQueueTests {
    private let now = Reading(boottime: 1, realtime: 1_800_000_000_123_456_789, monotonicRaw: 1)

    @Test(
        arguments: [
            (.led(namespace: "team-a", term: 3), "LeaderElected", "east leads team-a (term 3)"),
            (
                .holderChanged(namespace: "team-a", holder: "west", term: 4), "LeaderElected",
                "west leads team-a (term 4)"
            ),
            (
                .lost(namespace: "team-a", term: 3, reason: "another run took over"), "LeaderLost",
                "east no longer leads team-a (term 3): another run took over"
            ),
            (
                .givingBack(namespace: "team-a", to: "west"), "LeaderLost",
                "east gives team-a back so that west can lead it"
            ),
            (
                .refused(namespace: "team-a", reason: "too short"), "LeaseRefused",
                "east does not compete for team-a: too short"
            ),
        ] as [(Note, String, String)])
    func `what the election notes of a namespace becomes an Event`(note: Note, reason: String, message: String) throws {
        var queue = EventQueue(cluster: "east")
        queue.add(note, at: now)
        let next = queue.next()
        let entry = try #require(next)
        #expect(entry.namespace == "team-a")
        #expect(entry.reason == reason)
        #expect(entry.message == message)
        #expect(entry.time == "2027-01-15T08:00:00Z")
        #expect(queue.isEmpty)
    }

    @Test(
        arguments: [
            .requestsSucceedAgain, .tookOver(previous: nil, uidChanged: false),
            .holderChanged(namespace: "team-a", holder: nil, term: 4), .gaveBack(namespace: "team-a"),
        ] as [Note])
    func `what is no news for a namespace's users becomes none`(note: Note) {
        var queue = EventQueue(cluster: "east")
        queue.add(note, at: now)
        #expect(queue.isEmpty)
    }

    @Test func `beyond the bound Events are dropped and counted`() {
        var queue = EventQueue(cluster: "east")
        for term in 0..<UInt64(EventQueue.waitingMax + 5) { queue.add(.led(namespace: "team-a", term: term), at: now) }
        #expect(queue.dropped == 5)
        var count = 0
        while queue.next() != nil { count += 1 }
        #expect(count == EventQueue.waitingMax)
    }

    @Test func `an Event is about the namespace's Lease`() throws {
        var queue = EventQueue(cluster: "east")
        queue.add(.led(namespace: "team-a", term: 3), at: now)
        var metadata = ObjectMetadata(name: "lease-gsc", namespace: "team-a")
        metadata.uid = "u1"
        let lease = LeaseView(LeaseObject(metadata: metadata, spec: .init()))
        let next = queue.next()
        let event = EventQueue.object(try #require(next), about: lease, leaseName: "lease-gsc")
        #expect(event.metadata.namespace == "team-a")
        #expect(event.metadata.generateName == "lease-gsc.")
        #expect(event.involvedObject.uid == "u1")
        #expect(event.involvedObject.kind == "Lease")
        #expect(event.involvedObject.apiVersion == "leaderelection.600lyy.io/v1")
        #expect(event.type == "Normal")
    }
}

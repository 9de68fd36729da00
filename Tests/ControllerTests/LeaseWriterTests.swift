import Kubernetes
import Storage
import Testing

@testable import Controller
@testable import Election

/// What each chore does to an object that is there, and to the lease record.
struct LeaseWriterTests {
    private let server: FakeAPIServer
    private let store = TrialStore()
    private let writer: LeaseWriter

    init() throws {
        server = try FakeAPIServer(namespaces: ["team-a"])
        writer = LeaseWriter(
            client: try server.client(), store: store, cluster: "east", leaseName: "lease-gsc", defaultSeconds: 15)
    }

    @discardableResult
    private func put(
        holder: String = "east", preferred: String? = nil, annotations: [String: String]? = nil,
        status: LeaseObject.Status? = nil
    ) throws -> LeaseView {
        var metadata = ObjectMetadata(name: "lease-gsc", namespace: "team-a")
        metadata.annotations = annotations
        server.put(
            LeaseObject(
                metadata: metadata, spec: .init(holderIdentity: holder, preferredHolder: preferred), status: status))
        return try view()
    }

    private func view() throws -> LeaseView { LeaseView(try #require(try server.lease("team-a"))) }

    private func putRecord() async throws {
        let record = LeaseRecord(
            holderIdentity: "east", uid: "u1", incarnation: "i1", claim: "c1", leaseDurationSeconds: 15, term: 7,
            acquireTime: "2026-11-24T10:00:00Z", leaderTransitions: 3, write: "w1")
        _ = try await store.memory.write(Self.name, record.encoded(), replacing: nil)
    }

    private static let name = ObjectName(.leases, "team-a")!

    private func record() async throws -> LeaseRecord {
        try LeaseRecord(parsing: try #require(try await store.memory.read(Self.name)).body)
    }

    private func perform(_ chore: LeaseDesk.Chore, _ view: LeaseView?) async throws -> String? {
        switch await writer.perform(chore, "team-a", view) {
        case .done(_, let telling): return telling.map { "\($0.level) \($0.reason): \($0.message)" }
        case .overtaken: return "overtaken"
        case .failed(let error): throw error
        case .notAsked(let reason): return "not asked: \(reason)"
        }
    }

    @Test func `a Lease object is made as the CRD wants it`() async throws {
        #expect(try await perform(.create, nil) == nil)
        let lease = try #require(try server.lease("team-a"))
        #expect(lease.spec == LeaseObject.Spec(holderIdentity: "east", leaseDurationSeconds: 15))
        #expect(lease.metadata.annotations == ["managed-by": "leaderelection.600lyy.io/lease-operator"])
    }

    @Test func `a Lease object that is there already is taken as it is`() async throws {
        let view = try put(holder: "nonsense")
        guard case .overtaken(let object) = await writer.perform(.create, "team-a", nil) else {
            Issue.record("it is not known now")
            return
        }
        #expect(LeaseView(object) == view)
        #expect(try self.view() == view, "it is not written")
    }

    @Test func `a condition that somebody adds meanwhile outlives the next status`() async throws {
        let before = try put()
        var foreign = LeaseObject.Status()
        foreign.conditions = [
            LeaseObject.Condition(
                type: "Synced", status: "True", reason: "Done", message: "", lastTransitionTime: "2026-11-24T10:00:00Z")
        ]
        let since = try put(status: foreign)
        var status = LeaseObject.Status()
        status.isLeader = true
        guard case .overtaken(let object) = await writer.perform(.status(status), "team-a", before) else {
            Issue.record("what the object says now is not known")
            return
        }
        #expect(LeaseView(object) == since)
        #expect(try view() == since)
    }

    @Test func `the holder is set right, and nothing else`() async throws {
        let view = try put(holder: "nonsense", preferred: "west", annotations: ["mine": "yes"])
        let telling = try await perform(.repairHolder(found: "nonsense"), view)
        #expect(telling?.hasPrefix("warning HolderIdentityRepaired: spec.holderIdentity said nonsense") == true)
        let lease = try #require(try server.lease("team-a"))
        #expect(lease.spec == LeaseObject.Spec(holderIdentity: "east", preferredHolder: "west"))
        #expect(lease.metadata.annotations == ["mine": "yes"])
    }

    @Test func `a status replaces what has ended, and keeps what was carried out of the spec`() async throws {
        var old = LeaseObject.Status()
        old.isLeader = true
        old.observedAcquireTime = "2026-11-24T10:00:00.000000Z"
        old.observedPreferredHolder = "west"
        let view = try put(status: old)
        var new = LeaseObject.Status()
        new.isLeader = false
        new.observedHolderIdentity = ""
        #expect(try await perform(.status(new), view) == nil)
        let status = try #require(try server.lease("team-a")?.status)
        #expect(status.isLeader == false)
        #expect(status.observedAcquireTime == nil)
        #expect(status.observedPreferredHolder == "west")
    }

    @Test func `a transfer is written into the record, and the annotation that asked is removed`() async throws {
        try await putRecord()
        let view = try put(annotations: [LeaseObject.transferAnnotation: "west", "mine": "yes"])
        let telling = try await perform(.transfer(to: "west"), view)
        #expect(telling?.hasPrefix("normal HandoverRequested: west is to lead team-a") == true)
        #expect(try await record().preferredHolder == "west")
        #expect(try server.lease("team-a")?.metadata.annotations == ["mine": "yes"])

        let back = try put(annotations: [LeaseObject.transferAnnotation: ""])
        #expect(try await perform(.transfer(to: nil), back)?.contains("prefers no cluster any more") == true)
        #expect(try await record().preferredHolder == nil)
    }

    @Test func `an annotation that changed meanwhile is left for its own turn`() async throws {
        try await putRecord()
        let view = try put(annotations: [LeaseObject.transferAnnotation: "west"])
        try put(annotations: [LeaseObject.transferAnnotation: "north"])
        let error = await #expect(throws: KubernetesError.self) { try await perform(.transfer(to: "west"), view) }
        #expect(error?.code == .conflict)
        #expect(try view.resourceVersion != self.view().resourceVersion && self.view().transferTo == "north")
    }

    @Test func `a wish that the store does not take is kept for later`() async throws {
        let view = try put(annotations: [LeaseObject.transferAnnotation: "west"])
        let early = try await perform(.transfer(to: "west"), view)
        #expect(early?.hasPrefix("not asked: there is no lease record of team-a") == true)
        try await putRecord()
        store.setFault { _ in .fails }
        #expect(try await perform(.prefer("west"), view) == "not asked: the disk is on fire")
        #expect(server.writes.isEmpty, "\(server.writes)")
    }

    @Test func `what names no cluster is refused, said, and not asked again`() async throws {
        try await putRecord()
        let view = try put(annotations: [LeaseObject.transferAnnotation: "No/Cluster"])
        let telling = try await perform(.transfer(to: "No/Cluster"), view)
        #expect(telling == #"warning HandoverRefused: No handover was asked for: "No/Cluster" is no cluster's name"#)
        #expect(try self.view().transferTo == nil)
        #expect(try await perform(.prefer("No/Cluster"), self.view())?.hasPrefix("warning HandoverRefused") == true)
        #expect(try self.view().status?.observedPreferredHolder == "No/Cluster")
        #expect(store.calls == 0)
    }

    @Test func `a preference is written into the record, and noted in the status alone`() async throws {
        try await putRecord()
        var old = LeaseObject.Status()
        old.isLeader = true
        let view = try put(preferred: "west", status: old)
        _ = try await perform(.prefer("west"), view)
        #expect(try await record().preferredHolder == "west")
        let noted = try self.view()
        #expect(noted.status?.observedPreferredHolder == "west" && noted.status?.isLeader == true)
        #expect(noted.newPreference == nil)
        _ = try await perform(.prefer(nil), noted)
        #expect(try self.view().status?.observedPreferredHolder == "")
        #expect(try await record().preferredHolder == nil)
    }
}

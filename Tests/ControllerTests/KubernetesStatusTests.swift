import Election
import Kubernetes
import Platform
import Testing

@testable import Controller

struct KubernetesStatusTests {
    private let server: FakeAPIServer
    private let client: KubernetesClient
    private let status: KubernetesStatus

    init() throws {
        server = try FakeAPIServer()
        client = try server.client()
        status = KubernetesStatus(client, timing: Timing())
    }

    private func problems(at now: Reading = .now()) -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: status.checks(at: now).compactMap { check in check.problem.map { (check.name, $0) } })
    }

    private func answer() async throws { _ = try await client.read(NamespaceObject.self, "kube-system") }

    private func metric(_ line: String) -> Bool {
        MetricFamily.text(status.families()).split(separator: "\n").contains { $0 == line }
    }

    @Test func `at the start everything that was not seen to work is a problem`() async throws {
        #expect(
            problems() == [
                "Kubernetes API answers": "\(client.server) has not answered yet",
                "namespaces are watched": "not listed yet", "Lease objects are watched": "not listed yet",
                "store opened": "it has not been opened yet",
            ])
        try await answer()
        status.noteSynced(.namespaces)
        status.noteSynced(.leases)
        status.noteStore(problem: nil)
        #expect(problems().isEmpty)
    }

    @Test func `an API server that falls silent is a problem after three heartbeats, and for as long as it lasts`()
        async throws
    {
        try await answer()
        let answered = try #require(client.lastAnswered)
        func problem(after seconds: Int64) -> String? {
            var now = answered
            now.boottime += seconds * 1_000_000_000
            now.monotonicRaw += seconds * 1_000_000_000
            return problems(at: now)["Kubernetes API answers"]
        }
        #expect(problem(after: 14) == nil)
        #expect(problem(after: 15) == "\(client.server) has not answered for 15 s")
        status.note(isGivenUp: true)
        #expect(problem(after: 61)?.contains("; everything was given back, and is taken part in again") == true)
        #expect(problem(after: 0) != nil, "until it is taken part in again")
        status.note(isGivenUp: false)
        #expect(problem(after: 0) == nil)
    }

    @Test func `a watch in trouble is a problem until it works again, and counted`() {
        status.noteSynced(.leases)
        #expect(problems()["Lease objects are watched"] == nil)
        status.note(.leases, trouble: "the CRD is gone")
        #expect(problems()["Lease objects are watched"] == "the CRD is gone")
        status.note(.leases, trouble: nil)
        #expect(problems()["Lease objects are watched"] == nil)
        status.note(.leases, trouble: "again")
        status.noteSynced(.leases)
        #expect(problems()["Lease objects are watched"] == "again", "a list without a watch sees changes late")
        status.note(.leases, trouble: nil)
        #expect(problems()["Lease objects are watched"] == nil)
        #expect(metric(#"leasehold_watch_troubles_total{watched="leases"} 2"#))
        #expect(metric(#"leasehold_watch_restarts_total{watched="leases"} 1"#), "the first list is no restart")
        #expect(metric(#"leasehold_watch_restarts_total{watched="namespaces"} 0"#))
        #expect(metric(#"leasehold_watch_up{watched="leases"} 1"#))
        #expect(metric(#"leasehold_watch_up{watched="namespaces"} 0"#), "not listed yet")
        status.note(.leases, trouble: "and again")
        #expect(metric(#"leasehold_watch_up{watched="leases"} 0"#))
        #expect(metric(#"leasehold_watch_troubles_total{watched="namespaces"} 0"#))
    }

    @Test(
        arguments: [
            (.forbidden, true), (.notFound, true), (.invalid, true), (.unauthorized, true), (.credentials, true),
            (.unreachable, false), (.unclear, false), (.alreadyExists, false), (.conflict, false), (.expired, false),
            (.tooManyRequests, false), (.status(500), false),
        ] as [(KubernetesError.Code, Bool)])
    func `a write is a problem when only somebody's hand can mend it`(code: KubernetesError.Code, isProblem: Bool) {
        status.noteWrite("create", problem: KubernetesError(code, "no"))
        #expect(problems()["Lease objects are written"] == (isProblem ? "no" : nil))
        status.noteWrite("status", problem: nil)
        #expect(problems()["Lease objects are written"] == (isProblem ? "no" : nil), "another kind of write")
        #expect(status.noteWrite("create", problem: nil) == isProblem, "whether it has ended one")
        #expect(problems()["Lease objects are written"] == nil)
        #expect(metric(#"leasehold_kubernetes_writes_total{kind="create",outcome="failed"} 1"#))
        #expect(metric(#"leasehold_kubernetes_writes_total{kind="create",outcome="ok"} 1"#))
    }

    @Test func `a refusal that does not come again is over: its namespace may be gone, and never be written again`() {
        let start = Reading.now()
        func problem(after seconds: Int64) -> String? {
            var now = start
            now.boottime += seconds * 1_000_000_000
            now.monotonicRaw += seconds * 1_000_000_000
            return problems(at: now)["Lease objects are written"]
        }
        status.noteWrite("create", problem: KubernetesError(.forbidden, "no"), at: start)
        #expect(problem(after: 70) == "no")
        #expect(problem(after: 71) == nil)
    }

    @Test func `a lost Event is counted, and no problem`() {
        status.noteWrite("event", problem: KubernetesError(.forbidden, "no"), isEssential: false)
        status.noteEventsDropped(3)
        #expect(problems()["Lease objects are written"] == nil)
        #expect(metric(#"leasehold_kubernetes_writes_total{kind="event",outcome="failed"} 1"#))
        #expect(metric("leasehold_events_dropped_total 3"))
    }
}

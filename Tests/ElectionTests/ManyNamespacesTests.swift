import Election
import Testing

/// Bounds that hold whatever the number of namespaces.
struct ManyNamespacesTests {
    private let names = (0..<10_000).map { "n\($0)" }

    @Test func `10,000 leases are claimed with at most 64 requests in flight and one step an answer`() {
        let store = Records()
        store.beat("east", incarnation: "0", state: .stopped, quiet: 0)
        let bench = Bench(on: store)
        bench.want(names)
        #expect(bench.elector.table.entries.count { $0.state == .own } == 10_000)
        #expect(bench.leaseRequestsInFlightMost == 64)
        // An answer and a publication for each claim, and a handful to start.
        #expect(bench.steps < 20_100)
        #expect(bench.sent.count < 10_100)
    }

    @Test func `leases whose requests fail do not keep the others waiting`() throws {
        let store = Records()
        store.beat("east", incarnation: "0", state: .stopped, quiet: 0)
        let bench = Bench(on: store)
        // The first hundred never get an answer that helps.
        let stuck = Set(names.prefix(100))
        bench.holds = { request in request.leaseWrite.map { stuck.contains($0.namespace) } ?? false }
        bench.want(Array(names.prefix(300)))
        for _ in 0..<10 {
            for request in bench.held { bench.answer(request, .failed) }
            bench.run(for: .milliseconds(100))
        }
        #expect(bench.elector.table.entries.count { $0.state == .own } == 200)
    }

    @Test(arguments: [1, 500]) func `the steady state costs two store requests a renew interval`(count: Int) {
        let store = Records()
        store.beat("west", state: .stopped, quiet: 0)
        let bench = Bench(on: store)
        bench.want(Array(names.prefix(count)))
        bench.run(for: .seconds(6))
        for _ in 0..<3 {
            bench.forget()
            bench.run(for: .seconds(60))
            #expect(bench.sent.count { $0.isMemberWrite } == 20)
            #expect(bench.sent.count { $0.isList(.members) } == 20)
            #expect(bench.sent.count { $0.isList(.leases) } == 1)
            #expect(bench.sent.count == 41)
        }
    }

    @Test func `a follower costs two store requests a renew interval as well`() {
        let store = Records()
        for name in names.prefix(500) { store.hold(name, by: "west") }
        let bench = Bench(on: store)
        store.beat("west")
        bench.want(Array(names.prefix(500)))
        bench.run(for: .seconds(6))
        bench.forget()
        for _ in 0..<20 {
            store.beat("west")
            bench.run(for: .seconds(3))
        }
        #expect(bench.sent.count == 41)
    }

    @Test func `all leases of a silent cluster are taken over by one decisive read`() {
        let store = Records()
        for name in names.prefix(500) { store.hold(name, by: "west") }
        store.beat("west")
        let bench = Bench(on: store)
        bench.want(Array(names.prefix(500)))
        bench.run(for: .seconds(16))
        #expect(bench.elector.table.entries.count { $0.state == .own } == 500)
        #expect(bench.sent.count { $0.isRead(ofMember: "west") } == 1)
    }

    @Test func `all leases of the incarnation before are regained after one check of the own record`() {
        let store = Records()
        store.beat("east", incarnation: "0", state: .handover, quiet: 3)
        for name in names.prefix(500) { store.hold(name, by: "east", incarnation: "0") }
        let bench = Bench(on: store)
        bench.want(Array(names.prefix(500)))
        #expect(bench.elector.table.entries.count { $0.state == .own } == 500)
        #expect(bench.sent.count { $0.isRead(ofMember: "east") } == 2)
    }

    @Test func `the idle elector asks for few ticks`() {
        let bench = Bench.leading("n")
        bench.store.hold("o", by: "west")
        bench.store.beat("west")
        bench.want("o")
        let before = bench.steps
        for _ in 0..<20 {
            bench.store.beat("west")
            bench.run(for: .seconds(3))
        }
        #expect(bench.steps - before < 20 * 8)
    }
}

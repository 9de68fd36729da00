import Election
import Glibc
import Platform
import Testing

@testable import Webhook

#if DEBUG
    private let isDebugBuild = true
#else
    private let isDebugBuild = false
#endif

/// In release builds only: without optimization, even going through an array allocates.
@Suite(.enabled(if: Famine.isPossible && !isDebugBuild)) struct ConnectionAllocationTests {
    @Test func `a kept-alive request allocates nothing once warm, from the socket to the socket`() async {
        await #expect(processExitsWith: .success) {
            var ends: [Int32] = [-1, -1]
            let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            try #require(unsafe socketpair(AF_UNIX, type, 0, &ends) == 0)
            let counters = ServerCounters()
            let table = LeadershipTable(
                cluster: "east", index: NamespaceIndex(["team-a"]), anchor: .now(),
                entries: [.init(state: .own, holder: 0, term: 7, limit: 600_000_000_000)], holders: ["east"])
            let bench = Workbench(
                "test",
                routes: [
                    .validate(policy: Policy(), board: LeadershipBoard(table), counters: AdmissionCounters()), .page,
                ], limits: Limits(), counters: counters, notices: ServerNotices(Log()))
            let connection = Connection(try Transport(Descriptor(owning: ends[0]), nil), index: 0, at: bench)

            // Whole, pipelined, in two pieces, in chunks, larger than the shared buffer, and to paths without a body.
            var pieces = try Fixture.names.map {
                Array(post(String(decoding: try Fixture.bytes($0), as: UTF8.self)).utf8)
            }
            let first = pieces[0]
            pieces += [first + first, Array(first.prefix(100)), Array(first.dropFirst(100))]
            let body = try Fixture.bytes(Fixture.names[0])
            let size = String(body.count, radix: 16)
            let chunked = "POST /validate HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\(size)\r\n"
            pieces.append(Array(chunked.utf8) + body + Array("\r\n0\r\n\r\n".utf8))
            let large = Array(post(String(decoding: body, as: UTF8.self) + String(repeating: " ", count: 100_000)).utf8)
            pieces += [Array(large.prefix(50_000)), Array(large.dropFirst(50_000))]
            pieces += ["/page", "/validate", "/nowhere"].map { Array("GET \($0) HTTP/1.1\r\nHost: h\r\n\r\n".utf8) }
            let answers = pieces.count - 2 + 1

            var received = [UInt8](repeating: 0, count: 64 * 1024)
            func exchange() {
                for piece in pieces {
                    let sent = unsafe send(ends[1], piece, piece.count, 0)
                    precondition(sent == piece.count)
                    precondition(connection.proceed(at: bench) == .input)
                    _ = unsafe recv(ends[1], &received, received.count, 0)
                }
            }
            func answered() -> Int { Status.allCases.reduce(0) { $0 + counters.answers($1) } }
            // Twice, as the second time is the first that takes buffers from the pool.
            exchange()
            exchange()
            #expect(answered() == 2 * answers && counters.answers(.ok) == 2 * (answers - 2))
            Famine.during(exchange)
            #expect(answered() == 3 * answers)
        }
    }
}

import Dispatch
import Glibc
import Platform
import Synchronization
import TLS
import Testing

@testable import Webhook

/// Who has a turn before whom.
struct FairnessTests {
    /// The beginning of a handshake: a connection that has not greeted yet, and then has.
    private final class Greeting {
        let client: TestClient
        private var tls: TLSConnection

        init(_ address: SocketAddress) throws {
            client = try TestClient(address)
            tls = try TLSConnection(TestIdentity.shared.client, serverName: "127.0.0.1", descriptor: client.descriptor)
        }

        func greet() { #expect(tls.handshake() == .wantsRead) }
    }

    @Test func `a client that sends a little in each record does not hold the others up`() throws {
        let held = DispatchSemaphore(value: 0)
        let release = DispatchSemaphore(value: 0)
        let order = Locked<[UInt8]>([])
        // Keeps its loop at the first request until the test lets it.
        let route = Route(.post, "/validate") {
            { body, _, answer in
                order.withLock { $0.append(body[0]) }
                if body[0] == UInt8(ascii: "a") {
                    held.signal()
                    release.wait()
                }
                answer.append("held")
                return Route.Answer(.ok, Route.Answer.text)
            }
        }
        let server = try Server.forTests(.tls, routes: [route])
        let clients = try (0..<3).map { _ in try TestClient(server.address, .tls) }
        try clients[0].send(post("a"))
        held.wait()
        for _ in 0..<600 { try clients[1].send(post("b")) }
        try clients[2].send(post("c"))
        release.signal()
        #expect(try clients[2].answer().text == "held")
        let before = order.withLock { $0.firstIndex(of: UInt8(ascii: "c"))! - 1 }
        #expect(before <= 256, "\(before) requests came first")
        try waitUntil { order.withLock { $0.count } == 602 }
    }

    @Test func `a request does not wait for the handshakes that came before it`() throws {
        let held = DispatchSemaphore(value: 0)
        let release = DispatchSemaphore(value: 0)
        // Answers once the test lets it, and keeps its loop meanwhile.
        let route = Route(.post, "/validate") {
            { _, _, answer in
                held.signal()
                release.wait()
                answer.append("held")
                return Route.Answer(.ok, Route.Answer.text)
            }
        }
        let server = try Server.forTests(.tls, routes: [route])
        let clients = [try TestClient(server.address, .tls), try TestClient(server.address, .tls)]
        let greetings = try (0..<500).map { _ in try Greeting(server.address) }
        try waitUntil { server.counters.connectionsOpen.load(ordering: .relaxed) == 502 }

        try clients[0].send(post("x"))
        held.wait()
        for greeting in greetings { greeting.greet() }
        try clients[1].send(post("x"))
        release.signal()
        held.wait()
        // The second request is being answered: those that have an answer to their greeting were before it.
        let before = greetings.count { $0.client.hasInput }
        release.signal()
        #expect(before <= Limits.handshakesPerTurn, "\(before) handshakes came first")
        for client in clients { #expect(try client.answer().text == "held") }
        // And all have their turn.
        try waitUntil { greetings.allSatisfy { $0.client.hasInput } }
    }
}

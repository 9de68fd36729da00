import FoundationEssentials
import Kubernetes
import Platform
import Support
import Testing

@testable import Controller

/// A server with one ValidatingWebhookConfiguration of two webhooks, and the keeper of it.
private final class Scene: Sendable {
    static let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/guard"
    private static let own = Array("our authority".utf8)

    private let bundles = Locked<[String]>(["", ""])
    let lines = Lines()
    let server: ScriptedAPIServer
    /// The keeper, at work.
    let work: Task<Void, Never>

    /// - Parameters:
    ///   - answers: one for each request, before those that are as they should be.
    ///   - failures: how often the authorities cannot be read.
    init(_ answers: [ScriptedAPIServer.Answer] = [], failures: Int = 0) throws {
        let (bundles, answers, failures) = (bundles, Locked(answers[...]), Locked(failures))
        server = try ScriptedAPIServer { request in
            if let answer = answers.withLock({ $0.popFirst() }) { return answer }
            return bundles.withLock { bundles in
                // Only the keeper's own patch comes here.
                if request.method == "PATCH" { bundles = bundles.map { _ in Self.encoded } }
                let webhooks = bundles.enumerated().map { at, bundle in
                    #"{"name":"guard-\#(at)","clientConfig":{"url":"https://x","caBundle":"\#(bundle)"}}"#
                }
                return .json(
                    200, #"{"metadata":{"name":"guard"},"webhooks":[\#(webhooks.joined(separator: ","))]}"#)
            }
        }
        let keeper = WebhookConfigurationKeeper(
            "guard", client: try FakeAPIServer.client(of: server.url), log: lines.log, interval: .milliseconds(1)
        ) {
            struct Unreadable: Error, CustomStringConvertible { let description = "ca.crt cannot be read" }
            let fails = failures.withLock { failures in
                defer { failures = max(0, failures - 1) }
                return failures > 0
            }
            if fails { throw Unreadable() }
            return Self.own
        }
        work = Task { await keeper.run() }
    }

    deinit { work.cancel() }

    static let encoded = Data(own).base64EncodedString()

    func spoil(_ bundle: String) { bundles.withLock { $0[1] = bundle } }

    func nextPatch() async throws -> String { try await server.next { $0.method == "PATCH" }.body }
}

@Suite(.timeLimit(.minutes(1))) struct WebhookConfigurationKeeperTests {
    private func steps(_ numbers: Int...) -> String {
        "["
            + numbers.map {
                #"{"op":"test","path":"/webhooks/\#($0)/name","value":"guard-\#($0)"},"#
                    + #"{"op":"add","path":"/webhooks/\#($0)/clientConfig/caBundle","value":"\#(Scene.encoded)"}"#
            }.joined(separator: ",") + "]"
    }

    private func expect(_ patch: String, _ steps: String) throws {
        let decoder = JSONDecoder()
        let (one, other) = try (
            decoder.decode([JSONPatch].self, from: Data(patch.utf8)),
            decoder.decode([JSONPatch].self, from: Data(steps.utf8))
        )
        #expect(one == other)
    }

    @Test func `every webhook gets the authority, and again when somebody changes it`() async throws {
        let scene = try Scene()
        let first = try await scene.server.next()
        #expect(first.method == "GET" && first.path == Scene.path)
        try expect(try await scene.nextPatch(), steps(0, 1))
        scene.spoil("bm9uc2Vuc2U=")
        try expect(try await scene.nextPatch(), steps(1))
        #expect(scene.lines.contains("Wrote the authority of this webhook's certificate"))
    }

    @Test func `what is right is only looked at`() async throws {
        let scene = try Scene()
        _ = try await scene.nextPatch()
        for _ in 0..<5 { #expect(try await scene.server.next().method == "GET") }
    }

    @Test func `a configuration that is not there yet is told once, and kept when it comes`() async throws {
        let missing = ScriptedAPIServer.Answer.status(404, "NotFound", "no", #","details":{"name":"guard"}"#)
        let scene = try Scene([missing, missing, missing])
        try expect(try await scene.nextPatch(), steps(0, 1))
        #expect(scene.lines.count(of: "There is no ValidatingWebhookConfiguration guard yet") == 1)
        #expect(!scene.lines.contains("Cannot keep"))
    }

    @Test func `a refusal is told once and tried again`() async throws {
        let scene = try Scene([.status(403, "Forbidden", "no right"), .status(403, "Forbidden", "no right"), .none])
        try expect(try await scene.nextPatch(), steps(0, 1))
        #expect(scene.lines.count(of: "Cannot keep the caBundle of guard, and tries again: ") == 1)
        #expect(scene.lines.contains("no right"))
    }

    @Test func `an authority that cannot be read never empties a bundle`() async throws {
        let scene = try Scene(failures: 2)
        for _ in 0..<2 { #expect(try await scene.server.next().method == "GET") }
        try expect(try await scene.nextPatch(), steps(0, 1))
        #expect(scene.lines.count(of: "ca.crt cannot be read") == 1)
    }
}

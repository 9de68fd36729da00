import Platform
import Support
import Testing

@testable import Commands
@testable import Kubernetes

/// A handover that is asked for at the API server.
struct ClusterTransferTests {
    /// What the Lease object says to each read after the request.
    private static func lease(holder: String, annotation: String? = nil) -> String {
        let annotations = annotation.map { #","annotations":{"leaderelection.600lyy.io/transfer-to":"\#($0)"}"# } ?? ""
        return #"{"metadata":{"name":"lease-gsc","namespace":"team-a"\#(annotations)},"spec":{},"#
            + #""status":{"observedHolderIdentity":"\#(holder)","term":8}}"#
    }

    private func transfer(
        _ namespaces: [String], to target: String?, timeout: Duration = .seconds(60), isSelection: Bool = false,
        answer: @escaping @Sendable (ScriptedAPIServer.Request) -> ScriptedAPIServer.Answer
    ) async throws -> (code: Int32?, console: TestConsole, failure: String, asked: [String]) {
        let server = try ScriptedAPIServer(answer: answer)
        let credentials = try KubernetesCredentials(server: server.url, trust: .fixed(.system), user: .token("t"))
        let console = TestConsole()
        let transfer = ClusterTransfer(
            client: KubernetesClient(credentials, log: Log { _ in }), leaseName: "lease-gsc", target: target,
            timeout: timeout, isSelection: isSelection, console: console.console())
        var (code, failure): (Int32?, String) = (nil, "")
        do { code = try await transfer.run(namespaces) } catch { failure = "\(error)" }
        var asked: [String] = []
        for _ in namespaces { asked.append(try await server.next { $0.method == "PATCH" }.body) }
        return (code, console, failure, asked)
    }

    @Test func `asks by the annotation, and ends when the cluster sees the other lead`() async throws {
        let reads = Locked(0)
        let result = try await transfer(["team-a"], to: "west") { request in
            guard request.method == "GET" else { return .json(200, Self.lease(holder: "east", annotation: "west")) }
            let number = reads.withLock {
                $0 += 1
                return $0
            }
            return .json(
                200,
                number == 1
                    ? Self.lease(holder: "east", annotation: "west") : Self.lease(holder: number == 2 ? "east" : "west")
            )
        }
        #expect(result.code == 0)
        #expect(
            result.console.out.wholeMatch(of: /west leads team-a \(term 8\) after \d+\.\d s\n/) != nil,
            "\(result.console.out)")
        #expect(result.asked == [#"{"metadata":{"annotations":{"leaderelection.600lyy.io/transfer-to":"west"}}}"#])
    }

    @Test func `a wish is taken back by an empty annotation`() async throws {
        let result = try await transfer(["team-a"], to: nil) { _ in .json(200, Self.lease(holder: "east")) }
        #expect(result.code == 0)
        #expect(result.console.out.hasPrefix("team-a prefers no cluster any more after "))
        #expect(result.asked == [#"{"metadata":{"annotations":{"leaderelection.600lyy.io/transfer-to":""}}}"#])
    }

    @Test(arguments: [
        ("west", "no active controller of this cluster has taken the request up"),
        (nil, "asked for, and east leads it as yet: west must be live and compete for it"),
    ])
    func `says what it waited for in vain`(annotation: String?, words: String) async throws {
        let result = try await transfer(["team-a"], to: "west", timeout: .milliseconds(100)) { _ in
            .json(200, Self.lease(holder: "east", annotation: annotation))
        }
        #expect(result.code == TransferCommand.notDone)
        #expect(result.console.err.hasPrefix("team-a: not done after 0.1 s: "))
        #expect(result.console.err.contains(words), "\(result.console.err)")
    }

    @Test func `tells of namespaces that cannot be asked for, and follows the others`() async throws {
        let result = try await transfer(["team-a", "team-b"], to: "west") { request in
            request.path.contains("/team-b/") ? .status(403, "Forbidden") : .json(200, Self.lease(holder: "west"))
        }
        #expect(result.code == TransferCommand.notDone)
        #expect(result.console.out == "west leads 1 of 2 namespaces\n")
        #expect(result.console.err.contains("team-b: the handover cannot be asked for: "), "\(result.console.err)")
        #expect(result.console.err.contains("west leads team-a (term 8)"))
    }

    @Test func `of those selected, namespaces without a Lease object are left alone`() async throws {
        let result = try await transfer(["team-a", "team-b"], to: "west", isSelection: true) { request in
            request.path.contains("/team-b/") ? .status(404, "NotFound") : .json(200, Self.lease(holder: "west"))
        }
        #expect(result.code == 0 && result.console.err.isEmpty)
        #expect(result.console.out.hasPrefix("west leads team-a (term 8) after "), "\(result.console.out)")
        let none = try await transfer(["team-a"], to: "west", isSelection: true) { _ in .status(404, "NotFound") }
        #expect(none.failure == "no namespace that was selected has a Lease object: check --selector")
    }

    @Test func `where nothing can be asked for, that is the error`() async throws {
        let result = try await transfer(["team-a"], to: "west") { _ in .status(404, "NotFound") }
        #expect(result.code == nil && result.console.out.isEmpty)
        #expect(result.failure.hasPrefix("team-a: the handover cannot be asked for: "))
    }
}

import Election
import Kubernetes
import Platform
import Testing

@testable import Controller

struct KubernetesStatusTests {
    private let start = Reading(boottime: 1, realtime: 1, monotonicRaw: 1)
    private let forbidden = KubernetesError(.forbidden, "no right to it")

    private func after(_ seconds: Int64) -> Reading {
        Reading(
            boottime: seconds * 1_000_000_000, realtime: seconds * 1_000_000_000, monotonicRaw: seconds * 1_000_000_000)
    }

    private func status() -> KubernetesStatus {
        KubernetesStatus(server: "https://api", timing: Timing()) { [start] in start }
    }

    private func problem(_ check: String, _ status: KubernetesStatus, at now: Reading) throws -> String? {
        try #require(status.checks(at: now).first { $0.name == check }).problem
    }

    @Test func `a list alone ends no trouble: without a watch, changes are not seen`() throws {
        let status = status()
        #expect(try problem("namespaces are watched", status, at: start) == "not listed yet")
        status.noteSynced(.namespaces)
        #expect(try problem("namespaces are watched", status, at: start) == nil)
        status.note(.namespaces, trouble: "no right to watch")
        status.noteSynced(.namespaces)
        #expect(try problem("namespaces are watched", status, at: start) == "no right to watch")
        status.note(.namespaces, trouble: nil)
        #expect(try problem("namespaces are watched", status, at: start) == nil)
    }

    @Test func `a write that is refused is a problem until it succeeds, whatever else does`() throws {
        let status = status()
        #expect(!status.noteWrite("status", problem: forbidden, at: start))
        #expect(try problem("Lease objects are written", status, at: start) == "no right to it")
        #expect(!status.noteWrite("create", problem: nil, at: start))
        #expect(try problem("Lease objects are written", status, at: start) == "no right to it")
        #expect(status.noteWrite("status", problem: nil, at: start), "it has ended the problem")
        #expect(try problem("Lease objects are written", status, at: start) == nil)
        #expect(!status.noteWrite("status", problem: nil, at: start), "there was none any more")
    }

    @Test func `a refusal that does not come again is over: its namespace may be gone, and never be written again`()
        throws
    {
        let status = status()
        status.noteWrite("create", problem: forbidden, at: after(1))
        status.noteWrite("create", problem: forbidden, at: after(33))
        #expect(try problem("Lease objects are written", status, at: after(100)) == "no right to it")
        #expect(try problem("Lease objects are written", status, at: after(104)) == nil)
    }

    @Test(arguments: [KubernetesError.Code.unreachable, .unclear, .conflict, .alreadyExists, .tooManyRequests])
    func `what passes by itself is no problem of a write`(code: KubernetesError.Code) throws {
        let status = status()
        status.noteWrite("status", problem: KubernetesError(code, "for now"), at: start)
        #expect(try problem("Lease objects are written", status, at: start) == nil)
    }

    @Test func `an Event that is lost is no problem`() throws {
        let status = status()
        status.noteWrite("event", problem: forbidden, isEssential: false, at: start)
        #expect(try problem("Lease objects are written", status, at: start) == nil)
    }
}

import Election
import FoundationEssentials
import Platform
import Storage
import Testing
import Webhook

@testable import Commands

struct CheckTests {
    /// A change in team-a by a service account of it.
    private static let review = review(namespace: "team-a")

    private static func review(namespace: String) -> [UInt8] {
        Array(
            #"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1","operation":"UPDATE","#
                .utf8)
            + Array(
                #""namespace":"\#(namespace)","name":"one","userInfo":{"username":"system:serviceaccount:team-a:op"}}}"#
                    .utf8)
    }

    private func check(
        _ body: [UInt8] = review, leader: String? = nil, output: CheckCommand.Output = .text, policy: Policy = Policy(),
        _ snapshot: ElectionSnapshot? = nil
    ) -> (code: Int32, out: String, err: String) {
        var options = CheckCommand.Options()
        options.cluster = "east"
        options.leader = leader
        options.output = output
        let console = TestConsole()
        let code = CheckCommand.decide(body, options, policy, snapshot, console.console())
        return (code, console.out, console.err)
    }

    private func snapshot(_ lease: LeaseRecord?, _ members: MemberRecord..., at now: Int64 = noon) async throws
        -> ElectionSnapshot
    {
        let store = MemoryStore()
        for member in members { try await store.put(member) }
        if let lease { try await store.put(lease, of: "team-a") }
        return ElectionSnapshot(
            members: try await store.list(.members), leases: try await store.list(.leases), readAt: now)
    }

    @Test func `an assumed leader decides, and is said to be assumed`() {
        let allowed = check(leader: "east")
        #expect(allowed.code == 0)
        #expect(allowed.out.contains("\nAllowed: "))
        #expect(allowed.out.hasSuffix("That east leads is assumed, by --leader.\n"))
        let denied = check(leader: "west")
        #expect(denied.code == 3)
        #expect(denied.out.contains("\nDenied with code 403: namespace \"team-a\" is led by cluster \"west\""))
    }

    @Test func `prints the webhook's own answer when asked to`() throws {
        let answer = check(leader: "west", output: .json)
        #expect(answer.code == 3)
        #expect(answer.out.hasPrefix(#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"#))
        #expect(answer.out.contains(#""uid":"u-1","allowed":false"#))
    }

    @Test func `a mode that lets a denial pass counts as allowed`() {
        var policy = Policy()
        policy.mode = .warn
        #expect(check(leader: "west", policy: policy).code == 0)
    }

    @Test func `the namespace that stands for cluster-scoped resources is the one assumed to be led`() throws {
        var policy = Policy()
        policy.clusterScoped = .namespace("team-q")
        #expect(check(Self.review(namespace: ""), leader: "east", policy: policy).code == 0)
        #expect(check(Self.review(namespace: ""), leader: "west", policy: policy).code == 3)
        #expect(check(Self.review(namespace: ""), leader: "east").code == 3)
    }

    @Test(arguments: ["", "{", "{}", "[]"])
    func `what is no AdmissionReview ends with code 4 and one line`(body: String) {
        let answer = check(Array(body.utf8), leader: "east")
        #expect(answer.code == 4)
        #expect(answer.out.isEmpty)
        #expect(answer.err.hasPrefix("leasehold check: the webhook answers 400 Bad Request: "))
        #expect(answer.err.split(separator: "\n").count == 1)
    }

    @Test func `by the store's records the leader with a window left is admitted`() async throws {
        let east = MemberRecord.made("east")
        #expect(check(try await snapshot(.made(holder: "east"), east)).code == 0)
        #expect(check(try await snapshot(.made(holder: "west"), east, .made("west"))).out.contains("code 403"))
        #expect(check(try await snapshot(.made(holder: ""), east)).out.contains("its lease is free"))
        #expect(check(try await snapshot(nil, east)).out.contains("not in the election"))
        // 14.85 s after the heartbeat the window ends, and 2 s before that the commit margin begins.
        let renewed = noon - 2_000_000
        #expect(check(try await snapshot(.made(holder: "east"), east, at: renewed + 12_849_000)).code == 0)
        let late = check(try await snapshot(.made(holder: "east"), east, at: renewed + 12_850_000))
        #expect(late.code == 3)
        #expect(late.out.contains("code 503"))
        #expect(check(try await snapshot(.made(holder: "east"), .made("east", state: .handover))).code == 3)
    }

    private func check(_ snapshot: ElectionSnapshot) -> (code: Int32, out: String, err: String) {
        check(Self.review, snapshot)
    }

    @Test func `an unreadable record is told as such`() async throws {
        let store = MemoryStore()
        try await store.put(.leases, "team-a", Array("x".utf8))
        let answer = check(try await ElectionSnapshot(reading: store))
        #expect(answer.code == 3)
        #expect(answer.out.contains("cannot be read"))
    }

    @Test(arguments: [(["--namespace", "default"], 3), ([], 0)] as [([String], Int32)])
    func `a namespace that is excluded by default is elected when it is named, as by run`(
        flags: [String], code: Int32
    ) async throws {
        let file = FileManager.default.temporaryDirectory.path + "/leasehold-" + UUID().uuidString
        try Data(Self.review(namespace: "default")).write(to: URL(filePath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        let console = TestConsole()
        let arguments = ["check", file, "--cluster", "east", "--leader", "west"] + flags
        #expect(await Program.run(arguments, console: console.console()) == code, "\(console.err)")
    }

    @Test func `a file that is not there is one line and code 1`() async {
        let answer = await leasehold("check", "/nowhere/review.json", "--cluster", "east", "--leader", "east")
        #expect(answer.code == 1)
        #expect(answer.err == "leasehold check: /nowhere/review.json cannot be opened: No such file or directory\n")
    }
}

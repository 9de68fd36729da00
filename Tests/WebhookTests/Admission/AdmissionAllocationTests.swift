import Election
import Platform
import Testing
import Webhook

#if DEBUG
    private let isDebugBuild = true
#else
    private let isDebugBuild = false
#endif

/// In release builds only: without optimisation, even going through an array allocates.
@Suite(.enabled(if: Famine.isPossible && !isDebugBuild)) struct AdmissionAllocationTests {
    @Test func `whoever allocates without memory crashes`() async {
        await #expect(processExitsWith: .failure) {
            var kept: [String] = []
            Famine.during { kept.append(String(repeating: "x", count: CommandLine.arguments.count + 20)) }
            print(kept)
        }
    }

    @Test func `answering allocates nothing once warm`() async {
        await #expect(processExitsWith: .success) {
            var full = Policy()
            full.mode = .warn
            full.clusterScoped = try .init("a-namespace-with-a-name-too-long-to-be-inline")
            full.clusterIdentities = [try .init("north=system:serviceaccounts:team-z*")]
            full.excludedNamespaces = [try Pattern("kube-*"), try Pattern("cert-manager")]
            try full.exempt(serviceAccount: "argocd/*")
            try full.exempt(group: "platform-engineers@example.com")
            try full.exempt(user: "ci-*")
            let responders = [
                (Policy(), LeadershipTable.Entry.own()), (Policy(), .other), (Policy(), .free), (Policy(), .lapsed),
                (Policy(), .unmanaged), (full, .other), (full, .own()),
            ].map { policy, entry in
                AdmissionResponder(
                    policy: policy, board: LeadershipBoard(.east(entry)), counters: AdmissionCounters())
            }
            // Values with escapes are the ones that need memory of their own.
            let escaped =
                #"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u\u0026v","#
                + #""namespace":"team-a","userInfo":{"username":"system:serviceaccount:a:\u003cb\u003e"}}}"#
            let bodies = try Fixture.names.map(Fixture.bytes) + [Array(escaped.utf8)]
            var answer: [UInt8] = []
            func answerAll() {
                for responder in responders {
                    for body in bodies {
                        let status = unsafe body.withUnsafeBytes { unsafe responder.respond(to: $0, into: &answer) }
                        precondition(status == 200)
                    }
                }
            }
            answerAll()
            Famine.during(answerAll)
        }
    }
}

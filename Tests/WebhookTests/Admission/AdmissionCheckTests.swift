import Election
import Testing
import Webhook

@Suite struct AdmissionCheckTests {
    @Test func `a denial is explained step by step`() throws {
        let check = AdmissionCheck(
            try Fixture.bytes("09-update-guestbooks-scale.json"), policy: Policy(), table: .east(.other), at: .start)
        #expect(check.status == 200)
        #expect(!check.isAllowed)
        #expect(check.answer.contains(#""allowed":false"#))
        #expect(
            check.steps == [
                "Request 4a0a3044-52f5-4205-92ca-810169696715: UPDATE guestbooks.webapp.my.domain/scale \"one\" in "
                    + "namespace \"team-a\".",
                "The caller is \"system:serviceaccount:team-a:guestbook-operator\", a service account: subject to the "
                    + "guard.",
                "The caller belongs to cluster \"east\", which this webhook serves.",
                "The lease of namespace \"team-a\" decides.",
                "Denied with code 403: namespace \"team-a\" is led by cluster \"west\" (since 2026-11-22T18:00:00Z, "
                    + "term 7); this request came to cluster \"east\". Apply it on \"west\", or move the lease: "
                    + "leasehold transfer team-a --to east.",
            ])
    }

    @Test func `an exempt caller is explained by the rule that exempts it`() throws {
        var policy = Policy()
        try policy.exempt(serviceAccount: "team-a/op*")
        let check = AdmissionCheck(Review().bytes, policy: policy, table: .east(.other), at: .start)
        #expect(check.isAllowed)
        #expect(
            check.steps.dropFirst() == [
                "The caller is \"system:serviceaccount:team-a:operator\", exempt by the rule "
                    + "system:serviceaccount:team-a:op*.", "Allowed: the caller is exempt.",
            ])
    }

    @Test func `a mode that lets a denial pass is named`() {
        var policy = Policy()
        policy.mode = .audit
        let check = AdmissionCheck(Review().bytes, policy: policy, table: .east(.free), at: .start)
        #expect(check.isAllowed)
        #expect(
            check.steps.last?.hasPrefix("Allowed and counted in mode audit; enforce would deny it with code 503: ")
                == true)
    }

    @Test func `a body that cannot be judged is explained too`() {
        let check = AdmissionCheck(Array("{".utf8), policy: Policy(), table: .east(.own()), at: .start)
        #expect(check.status == 400)
        #expect(!check.isAllowed)
        #expect(check.answer == "not JSON: the text ends too early, at offset 1\n")
        #expect(check.steps.count == 1)
    }

    @Test(arguments: GuardTests.subjects + GuardTests.leases + GuardTests.places)
    func `the explanation never says other than the decision`(row: GuardTests.Row) throws {
        let check = AdmissionCheck(row.review.bytes, policy: row.policy, table: row.table, at: row.now)
        let decision = try row.review.decide(row.policy, row.table, at: row.now)
        #expect(check.isAllowed == decision.isAllowed)
        #expect(check.answer.contains("\"allowed\":\(decision.isAllowed)"))
        #expect(check.steps.last?.hasPrefix(decision.isAllowed ? "Allowed" : "Denied") == true)
    }
}

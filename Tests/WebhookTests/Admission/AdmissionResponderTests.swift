import Election
import FoundationEssentials
import Platform
import Reviews
import Testing
import Webhook

@Suite struct AdmissionResponderTests {
    /// What the API server's decoder takes from an answer (k8s.io/api/admission/v1, `AdmissionReview`).
    struct Answer: Codable, Equatable {
        struct Status: Codable, Equatable {
            struct Details: Codable, Equatable {
                var retryAfterSeconds: Int
            }
            var status: String
            var message: String
            var reason: String
            var details: Details?
            var code: Int
        }
        struct Response: Codable, Equatable {
            var uid: String
            var allowed: Bool
            var status: Status?
            var auditAnnotations: [String: String]
            var warnings: [String]?
        }
        var kind: String
        var apiVersion: String
        var response: Response
    }

    private func respond(
        to body: [UInt8], _ policy: Policy = Policy(), _ table: LeadershipTable, at now: Reading = .start
    ) throws -> (text: String, answer: Answer) {
        let responder = AdmissionResponder(
            policy: policy, board: LeadershipBoard(table), counters: AdmissionCounters())
        var answer = Array("left over".utf8)
        let status = unsafe body.withUnsafeBytes { unsafe responder.respond(to: $0, into: &answer, clock: { now }) }
        #expect(status == 200)
        let parsed = try JSONDecoder().decode(Answer.self, from: Data(answer))
        #expect(parsed.kind == "AdmissionReview")
        #expect(parsed.apiVersion == "admission.k8s.io/v1")
        return (String(decoding: answer, as: UTF8.self), parsed)
    }

    private func message(_ policy: Policy = Policy(), _ table: LeadershipTable, _ review: Review = Review()) throws
        -> String
    {
        try #require(try respond(to: review.bytes, policy, table).answer.response.status?.message)
    }

    // MARK: Real requests

    @Test(arguments: Fixture.names) func `real requests are admitted where this cluster leads`(name: String) throws {
        let answer = try respond(to: Fixture.bytes(name), .init(), .east(.own())).answer.response
        #expect(try answer.uid == uid(of: name))
        let isClusterScoped = name.contains("fleets")
        #expect(answer.allowed == !isClusterScoped)
        #expect(answer.warnings == nil)
        #expect(answer.status?.code == (isClusterScoped ? 403 : nil))
        if !isClusterScoped {
            let decision = name.hasPrefix("07") ? "exempt" : "allowed"
            #expect(answer.auditAnnotations == ["leader": "east", "term": "7", "decision": decision])
        }
    }

    @Test(arguments: Fixture.names) func `real requests are refused where another cluster leads`(name: String) throws {
        let answer = try respond(to: Fixture.bytes(name), .init(), .east(.other)).answer.response
        #expect(try answer.uid == uid(of: name))
        switch name {
        case _ where name.hasPrefix("07"):  // By an administrator.
            #expect(answer.allowed)
            #expect(answer.auditAnnotations == ["leader": "west", "term": "7", "decision": "exempt"])
        case _ where name.contains("fleets"):
            #expect(!answer.allowed)
            #expect(answer.status?.code == 403)
            #expect(answer.status?.message.hasPrefix("fleets lie in no namespace") == true)
            #expect(answer.auditAnnotations == ["leader": "", "term": "0", "decision": "denied"])
        default:
            #expect(!answer.allowed)
            #expect(answer.status?.code == 403)
            #expect(answer.status?.message.hasPrefix("namespace \"team-a\" is led by cluster \"west\"") == true)
            #expect(answer.auditAnnotations == ["leader": "west", "term": "7", "decision": "denied"])
        }
    }

    @Test(arguments: Fixture.names) func `real requests are put off where nobody leads`(name: String) throws {
        for entry in [LeadershipTable.Entry.free, .lapsed, .unknown, .unreadable] {
            let answer = try respond(to: Fixture.bytes(name), .init(), .east(entry)).answer.response
            #expect(try answer.uid == uid(of: name))
            #expect(answer.allowed == name.hasPrefix("07"))
            if answer.allowed { continue }
            let isClusterScoped = name.contains("fleets")
            #expect(answer.status?.code == (isClusterScoped ? 403 : 503))
            #expect(answer.status?.details?.retryAfterSeconds == (isClusterScoped ? nil : 1))
        }
    }

    private func uid(of name: String) throws -> String {
        guard case .accepted(let fields) = ReferenceReview.read(try Fixture.bytes(name)) else { return "" }
        return fields.uid
    }

    // MARK: The shape

    @Test func `an admission is written byte for byte like this`() throws {
        #expect(
            try respond(to: Review().bytes, .init(), .east(.own())).text
                == #"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"u-1","allowed":true,"#
                + #""auditAnnotations":{"leader":"east","term":"7","decision":"allowed"}}}"# + "\n")
    }

    @Test func `a denial is Forbidden where another cluster leads`() throws {
        let answer = try respond(to: Review().bytes, .init(), .east(.other)).answer.response
        #expect(!answer.allowed)
        #expect(
            answer.status
                == Answer.Status(
                    status: "Failure",
                    message: "namespace \"team-a\" is led by cluster \"west\" (since 2026-11-22T18:00:00Z, term 7); "
                        + "this request came to cluster \"east\". Apply it on \"west\", or move the lease: "
                        + "leasehold transfer team-a --to east",
                    reason: "Forbidden", code: 403))
    }

    @Test func `a denial is ServiceUnavailable with a time to retry where nobody leads`() throws {
        let status = try #require(try respond(to: Review().bytes, .init(), .east(.free)).answer.response.status)
        #expect(status.status == "Failure")
        #expect(status.reason == "ServiceUnavailable")
        #expect(status.code == 503)
        #expect(status.details == Answer.Status.Details(retryAfterSeconds: 1))
    }

    @Test func `a denial says since when no controller could be reached, and what to do`() throws {
        let status = try #require(try respond(to: Review().bytes, .init(), .silent).answer.response.status)
        #expect(status.code == 503)
        #expect(status.details == Answer.Status.Details(retryAfterSeconds: 1))
        #expect(
            status.message
                == "no active controller of cluster \"east\" could be reached since 2026-11-22T18:00:00Z, so it is not known "
                + "here who leads namespace \"team-a\". Try again in a few seconds; if this lasts, see the logs of that "
                + "cluster's controllers and of this webhook")
    }

    @Test func `a warning takes the place of a denial in mode warn`() throws {
        var policy = Policy()
        policy.mode = .warn
        let answer = try respond(to: Review().bytes, policy, .east(.other)).answer.response
        #expect(answer.allowed)
        #expect(answer.status == nil)
        let warning = try #require(answer.warnings?.first)
        #expect(answer.warnings?.count == 1)
        #expect(warning.hasPrefix("would be denied: namespace \"team-a\" is led by cluster \"west\""))
        // API servers may cut what is longer.
        #expect(warning.utf8.count <= 256)
        #expect(answer.auditAnnotations["decision"] == "warned")
        #expect(try respond(to: Review().bytes, policy, .east(.own())).answer.response.warnings == nil)
    }

    @Test func `nothing but the annotation shows in mode audit`() throws {
        var policy = Policy()
        policy.mode = .audit
        let answer = try respond(to: Review().bytes, policy, .east(.other)).answer.response
        #expect(answer.allowed)
        #expect(answer.status == nil)
        #expect(answer.warnings == nil)
        #expect(answer.auditAnnotations == ["leader": "west", "term": "7", "decision": "audited"])
    }

    @Test func `what a caller wrote cannot break out of the answer`() throws {
        let nasty = "\"},\\ \n\r\t\u{0}\u{1F}\u{7F}é中😀\u{2028}</script>"
        let encoded = String(decoding: try JSONEncoder().encode(nasty), as: UTF8.self)
        let body =
            #"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":\#(encoded),"#
            + #""namespace":\#(encoded),"userInfo":{"username":"system:serviceaccount:a:b"}}}"#
        let (text, answer) = try respond(to: Array(body.utf8), .init(), .east(.own()))
        #expect(answer.response.uid == nasty)
        #expect(answer.response.status?.message.contains("namespace \"\(nasty)\"") == true)
        #expect(text.hasSuffix("}}}\n"))
        #expect(text.utf8.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7F })
        #expect(ReferenceReview.read(Array(text.utf8)) == .refused, "it is JSON, though no request")
    }

    @Test func `a term of any size is written in full`() throws {
        for term in [0, 1, 9, 10, 1_795_370_400, UInt64.max] {
            let answer = try respond(to: Review().bytes, .init(), .east(.own(term: term))).answer.response
            #expect(answer.auditAnnotations["term"] == "\(term)")
        }
    }

    @Test func `a body that cannot be judged gets one line and 400`() {
        let counters = AdmissionCounters()
        let responder = AdmissionResponder(
            policy: Policy(), board: LeadershipBoard(.east(.own())), counters: counters)
        for (body, line) in [
            ("", "the body is empty; an AdmissionReview is expected\n"),
            ("{]", "not JSON: unexpected byte at offset 1\n"),
            ("{}", "not an admission.k8s.io/v1 AdmissionReview\n"),
        ] {
            var answer = Array("left over".utf8)
            let status = unsafe Array(body.utf8).withUnsafeBytes { unsafe responder.respond(to: $0, into: &answer) }
            #expect(status == 400)
            #expect(String(decoding: answer, as: UTF8.self) == line)
        }
    }

    @Test func `the clock is read after the body was, and the newest table counts`() throws {
        let board = LeadershipBoard(.east(.other))
        let responder = AdmissionResponder(policy: Policy(), board: board, counters: AdmissionCounters())
        func allowed(at now: Reading) throws -> Bool {
            var answer: [UInt8] = []
            _ = unsafe Review().bytes.withUnsafeBytes {
                unsafe responder.respond(to: $0, into: &answer, clock: { now })
            }
            return try JSONDecoder().decode(Answer.self, from: Data(answer)).response.allowed
        }
        #expect(try !allowed(at: .start))
        board.publish(.east(.own()))
        #expect(try allowed(at: .start))
        #expect(try !allowed(at: .after(.seconds(10))))
        board.publish(.east(.lapsed))
        #expect(try !allowed(at: .start))
    }

    @Test func `without a test's clock the machine's own is read`() throws {
        let responder = { (anchor: Reading) in
            var table = LeadershipTable.east(.own())
            table.anchor = anchor
            return AdmissionResponder(policy: Policy(), board: LeadershipBoard(table), counters: AdmissionCounters())
        }
        var ended = Reading.now()
        ended.monotonicRaw -= 10_000_000_000
        var ahead = Reading.now()
        // An hour of window left, however slow this machine is.
        ahead.boottime += 3_600_000_000_000
        ahead.realtime += 3_600_000_000_000
        ahead.monotonicRaw += 3_600_000_000_000
        for (anchor, allowed) in [(ended, false), (ahead, true)] {
            var answer: [UInt8] = []
            _ = unsafe Review().bytes.withUnsafeBytes { unsafe responder(anchor).respond(to: $0, into: &answer) }
            #expect(try JSONDecoder().decode(Answer.self, from: Data(answer)).response.allowed == allowed)
        }
    }

    // MARK: Messages

    @Test func `each reason to deny reads differently and says what to do`() throws {
        var messages: Set<String> = []
        for entry in [LeadershipTable.Entry.other, .free, .lapsed, .unknown, .unreadable] {
            let message = try message(Policy(), .east(entry))
            #expect(message.contains("namespace \"team-a\""))
            #expect(message.contains("\"east\""))
            messages.insert(message)
        }
        messages.insert(try message(Policy(), .east(.own()), Review(namespace: "team-c")))
        var closed = Policy()
        closed.unmanagedNamespaces = .deny
        messages.insert(try message(closed, .east(.unmanaged)))
        messages.insert(try message(Policy(), .east(.own()), Review(namespace: nil)))
        var shared = Policy()
        shared.clusterIdentities = [try .init("west=*")]
        messages.insert(try message(shared, .east(.own())))
        #expect(messages.count == 9)
        #expect(messages.allSatisfy { $0.contains(". ") }, "none says what to do")
    }

    @Test func `the message for a free or lapsed lease names its term`() throws {
        #expect(try message(Policy(), .east(.free)).contains("its lease is free (term 7)."))
        #expect(try message(Policy(), .east(.lapsed)).contains("its lease has run out (term 7)."))
        #expect(try !message(Policy(), .east(.unknown)).contains("term"))
    }

    @Test func `a leader without a known name or time is not made up`() throws {
        let entry = LeadershipTable.Entry(state: .other, term: 7)
        #expect(
            try message(Policy(), .east(entry)).hasPrefix(
                "namespace \"team-a\" is led by another cluster (term 7); this request came to cluster \"east\". "
                    + "Apply it on that one, or move"))
    }

    @Test func `a caller of another cluster learns who leads and whom this webhook vouches for`() throws {
        var policy = Policy()
        policy.clusterIdentities = [try .init("west=*")]
        let start = "this request comes from cluster \"west\", and this webhook vouches only for cluster \"east\"; "
        #expect(
            try message(policy, .east(.other)).hasPrefix(
                start + "namespace \"team-a\" is led by cluster \"west\" (since 2026-11-22T18:00:00Z, term 7)."))
        #expect(
            try message(policy, .east(.own())).hasPrefix(start + "namespace \"team-a\" is led by cluster \"east\""))
        #expect(
            try message(policy, .east(.free)).hasPrefix(
                start + "namespace \"team-a\" has no leader that is known here."))
        #expect(try respond(to: Review().bytes, policy, .east(.free)).answer.response.status?.code == 403)
    }

    @Test func `where a named namespace decides for cluster-scoped resources the message says so`() throws {
        var policy = Policy()
        policy.clusterScoped = try .init("team-a")
        let message = try message(policy, .east(.other), Review(namespace: nil))
        #expect(
            message.hasPrefix(
                "namespace \"team-a\", whose lease decides for cluster-scoped resources, is led by cluster \"west\""))
        #expect(message.hasSuffix("leasehold transfer team-a --to east"))
        #expect(
            try self.message(policy, .east(.unmanaged), Review(namespace: nil))
                == "namespace \"team-a\", whose lease decides for cluster-scoped resources, is left out of the "
                + "election, so nobody may write those. Elect a leader for it, or let another namespace's lease decide: "
                + "--cluster-scoped NAMESPACE")
    }

    // MARK: Counters

    @Test func `every admission is counted once, by what was decided and why`() throws {
        let counters = AdmissionCounters()
        let board = LeadershipBoard(.east(.own()))
        let responder = AdmissionResponder(policy: Policy(), board: board, counters: counters)
        func respond(_ body: [UInt8]) {
            var answer: [UInt8] = []
            _ = unsafe body.withUnsafeBytes { unsafe responder.respond(to: $0, into: &answer, clock: { .start }) }
        }
        for _ in 0..<3 { respond(Review().bytes) }
        respond(Review(username: "admin").bytes)
        respond(Review(namespace: "team-c").bytes)
        respond(Array("{".utf8))
        respond(Array("{}".utf8))
        board.publish(.east(.other))
        respond(Review().bytes)

        let families = counters.families()
        let admissions = try #require(families.first { $0.name == "leasehold_admissions_total" })
        var counted: [String: Double] = [:]
        for sample in admissions.samples where sample.value > 0 {
            counted[sample.labels.map(\.value).joined(separator: " ")] = sample.value
        }
        #expect(
            counted == [
                "allowed leads": 3, "exempt not_service_account": 1, "denied not_elected": 1, "malformed not_json": 1,
                "malformed not_admission_review": 1, "denied other_leads": 1,
            ])
        let duration = try #require(families.first { $0.name == "leasehold_admission_duration_seconds" })
        #expect(duration.samples.last?.suffix == "_count")
        #expect(duration.samples.last?.value == 8)
        let buckets = duration.samples.filter { $0.suffix == "_bucket" }
        #expect(buckets.last?.labels.first?.value == "+Inf")
        #expect(buckets.last?.value == 8)
        #expect(zip(buckets, buckets.dropFirst()).allSatisfy { $0.value <= $1.value })
    }

    @Test func `every outcome that the guard can reach has its own series`() throws {
        let families = AdmissionCounters().families()
        let series = families[0].samples.map { $0.labels.map(\.value).joined(separator: " ") }
        #expect(Set(series).count == series.count)
        for row in GuardTests.subjects + GuardTests.leases + GuardTests.places {
            for mode in Policy.Mode.allCases {
                let counters = AdmissionCounters()
                var policy = row.policy
                policy.mode = mode
                let responder = AdmissionResponder(
                    policy: policy, board: LeadershipBoard(row.table), counters: counters)
                var answer: [UInt8] = []
                _ = unsafe row.review.bytes.withUnsafeBytes {
                    unsafe responder.respond(to: $0, into: &answer, clock: { row.now })
                }
                #expect(counters.families()[0].samples.map(\.value).reduce(0, +) == 1)
            }
        }
    }
}

import Reviews
import Support
import Testing
import Webhook

@Suite struct AdmissionScannerTests {
    // MARK: What API servers send

    @Test(arguments: Fixture.names) func `what an API server sends is read as a slow reader reads it`(
        name: String
    ) throws {
        let body = try Fixture.bytes(name)
        let outcome = scan(body)
        #expect(outcome == ReferenceReview.read(body))
        guard case .accepted(let fields) = outcome else {
            Issue.record("refused")
            return
        }
        #expect(fields.uid.utf8.count == 36)
        #expect(fields.namespace == (name.contains("fleets") ? "" : "team-a"))
        #expect(fields.dryRun == name.contains("dryrun"))
        #expect(fields.resource[2] == (name.contains("fleets") ? "fleets" : "guestbooks"))
        #expect(fields.username == (name.hasPrefix("07") ? "admin" : "system:serviceaccount:team-a:guestbook-operator"))
        #expect(name.contains(fields.operation.lowercased()))
    }

    @Test func `every field is taken out`() throws {
        let body = try Fixture.bytes("09-update-guestbooks-scale.json")
        var expected = ReferenceReview.Fields()
        expected.uid = "4a0a3044-52f5-4205-92ca-810169696715"
        expected.kind = ["autoscaling", "v1", "Scale"]
        expected.resource = ["webapp.my.domain", "v1", "guestbooks"]
        expected.subResource = "scale"
        expected.namespace = "team-a"
        expected.name = "one"
        expected.operation = "UPDATE"
        expected.username = "system:serviceaccount:team-a:guestbook-operator"
        expected.groups = ["system:serviceaccounts", "system:serviceaccounts:team-a", "system:authenticated"]
        #expect(scan(body) == .accepted(expected))
    }

    @Test func `a body cut off anywhere is refused`() throws {
        let body = try Fixture.bytes("01-create-guestbooks.json").dropLastWhitespace()
        for end in 0..<body.count {
            #expect(scan(Array(body[..<end])) == .notJSON, "cut at \(end)")
        }
    }

    @Test func `one scanner reads body after body`() throws {
        var scanner = AdmissionScanner()
        for name in Fixture.names + Fixture.names.reversed() {
            let body = try Fixture.bytes(name)
            #expect(ReferenceReview.scan(body, with: &scanner) == ReferenceReview.read(body))
            let cut = Array("{\"request\":{\"namespace\":\"left over\"".utf8)
            #expect(ReferenceReview.scan(cut, with: &scanner) == .notJSON)
        }
    }

    // MARK: The grammar, inside `object`

    struct Snippet: CustomTestStringConvertible {
        let text: String
        let isJSON: Bool
        var testDescription: String { "\(isJSON ? "" : "not ")JSON: \(text.debugDescription)" }

        static func good(_ texts: String...) -> [Snippet] { texts.map { Snippet(text: $0, isJSON: true) } }
        static func bad(_ texts: String...) -> [Snippet] { texts.map { Snippet(text: $0, isJSON: false) } }
    }

    static let snippets: [Snippet] =
        Snippet.good("0", "-0", "0.0", "-0.5e+10", "1E9", "1e-7", "12345678901234567890123456789", "0e0", "-1")
        + Snippet.bad("-", "01", "-01", "1.", ".5", "1e", "1e+", "1.e1", "+1", "0x1", "1_0", "Infinity", "NaN", "--1")
        + Snippet.good("true", "false", "null", "{}", "[]", "[[]]", "{\"\":{}}", "[0,{}]", "[ ]", "{ }", "[\n1\t,\r2 ]")
        + Snippet.bad("tru", "truee", "True", "nul", "nulll", "fals", "undefined", "")
        + Snippet.bad("[1,]", "[,1]", "[1 2]", "[1", "]", "[1}", "{1:2}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}")
        + Snippet.bad("{\"a\":1 \"b\":2}", "{\"a\" 1}", "{\"a\"::1}", "{\"a\":1]", "{a:1}", "{'a':1}", "[1]]", "{}}")
        + Snippet.good("\"\"", "\"\\\"\"", "\"\\\\\"", "\"\\/\\b\\f\\n\\r\\t\"", "\"\\u0000\"", "\"\\uFFFF\\uabCD\"")
        + Snippet.bad("\"", "\"\\\"", "\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\u+123\"", "\"\\U0041\"", "\"\\0\"")
        + Snippet.bad("\"a\nb\"", "\"a\tb\"", "\"\u{0}\"", "\"\u{1F}\"", "'a'", "\"12345678\u{1F}\"", "\"1234567\n\"")
        + Snippet.good("\"\u{7F}\"", "\"é中😀\u{10FFFF}\"", "\"\\ud83d\\ude00\"", "\"\u{2028}\"", "\"\u{FEFF}\"")
        // Grammar lets half a pair stand; an object that nobody reads may carry it.
        + Snippet.good("\"\\ud800\"", "\"\\udc00\\ud800\"", "{\"\\ud800\":1}")
        + Snippet.bad("\u{FEFF}1", "1 // one", "/* */ 1", "\u{A0}1", "1\u{0B}", "1\u{0C}", "1\u{0}", "#")

    @Test(arguments: snippets) func `an object is taken exactly when it is JSON`(snippet: Snippet) {
        let body = review(object: Array(snippet.text.utf8))
        #expect((scan(body) == .accepted(plain)) == snippet.isJSON)
        #expect(scan(body) == ReferenceReview.read(body))
    }

    @Test(
        arguments: [
            [0x80], [0xC3], [0xC3, 0x28], [0xC0, 0xAF], [0xC1, 0xBF], [0xE0, 0x80, 0xAF], [0xE0, 0x9F, 0xBF],
            [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xE4, 0xB8], [0xE4, 0xB8, 0x22], [0xF0, 0x80, 0x80, 0x80],
            [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF0, 0x9F, 0x98], [0xFF],
            [0xFE], [0xBF, 0xBF], [0xF8, 0x88, 0x80, 0x80, 0x80],
        ] as [[UInt8]]) func `invalid UTF-8 is refused at every place in a word`(sequence: [UInt8])
    {
        for padding in 0..<18 {
            let string = [0x22] + [UInt8](repeating: 0x61, count: padding) + sequence + [0x22]
            #expect(scan(review(object: string)) == .notJSON)
            #expect(scan(review(object: string + [UInt8](repeating: 0x20, count: 32))) == .notJSON)
            #expect(scan(review(namespace: string)) == .notJSON)
        }
    }

    @Test func `each byte that may not stand in a string is found at every place in a word`() {
        for byte in UInt8(0)...0xFF {
            for padding in 0..<9 {
                let fill = [UInt8](repeating: 0x7E, count: padding)
                let body = review(object: [0x22] + fill + [byte] + fill + [UInt8](repeating: 0x7E, count: 9) + [0x22])
                #expect(scan(body) == ReferenceReview.read(body), "byte \(byte) after \(padding)")
            }
        }
    }

    @Test func `a thousand levels are read and one more is refused`() {
        // The review and its request are the first two.
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            func nested(_ depth: Int) -> [UInt8] {
                let inner = open == "[" ? "" : "1"
                return Array(
                    (String(repeating: open, count: depth) + inner + String(repeating: close, count: depth)).utf8)
            }
            #expect(scan(review(object: nested(998))) == .accepted(plain))
            #expect(scan(review(object: nested(999))) == .notJSON)
            #expect(error(review(object: nested(999)))?.kind == .tooDeep)
            #expect(error(review(object: nested(100_000)))?.kind == .tooDeep)
        }
        #expect(error([UInt8](repeating: 0x5B, count: 100_000))?.kind == .tooDeep)
    }

    @Test func `arrays and objects closed by the other's bracket are refused at any depth`() {
        for depth in [1, 2, 62, 63, 64, 65, 127, 128, 129, 500] {
            let opened = (0..<depth).map { $0 % 3 == 0 ? "[" : "{\"a\":" }
            let closed = (0..<depth).map { $0 % 3 == 0 ? "]" : "}" }
            for wrong in [nil, 0, depth / 2, depth - 1] {
                var closed = closed
                if let wrong { closed[wrong] = closed[wrong] == "]" ? "}" : "]" }
                let text = opened.joined() + "1" + closed.reversed().joined()
                #expect((scan(review(object: Array(text.utf8))) == .accepted(plain)) == (wrong == nil))
            }
        }
    }

    // MARK: The envelope

    @Test(arguments: [
        "", " ", "\n\t\r ", "[]", "null", "5", "\"AdmissionReview\"", "{}", "{\"kind\":\"AdmissionReview\"}",
    ])
    func `what is no AdmissionReview is refused`(text: String) {
        #expect(scan(Array(text.utf8)) != .accepted(plain))
        #expect(scan(Array(text.utf8)) == ReferenceReview.read(Array(text.utf8)))
    }

    struct Case: CustomTestStringConvertible {
        let claim: String
        /// The members of the review beside kind and apiVersion.
        let text: String
        let namespace: String?
        var testDescription: String { claim }
    }

    static let user = #""userInfo":{"username":"x"}"#

    @Test(arguments: [
        Case(
            claim: "escaped keys are the keys they stand for",
            text: #""req\u0075est":{"\u0075id":"u","namesp\u0061ce":"a",\#(user)}"#, namespace: "a"),
        Case(
            claim: "escaped values are decoded",
            text: #""request":{"uid":"u","namespace":"\u0061\n\"\\\/\ud83d\ude00é",\#(user)}"#, namespace: "a\n\"\\/😀é"),
        Case(
            claim: "half a surrogate pair in a value that decides is refused",
            text: #""request":{"uid":"u","namespace":"a\ud83d",\#(user)}"#, namespace: nil),
        Case(
            claim: "a reversed surrogate pair in a value that decides is refused",
            text: #""request":{"uid":"u","namespace":"\ude00\ud83d",\#(user)}"#, namespace: nil),
        Case(
            claim: "two second halves of a pair are refused",
            text: #""request":{"uid":"u","namespace":"\ude00\ude00",\#(user)}"#, namespace: nil),
        Case(
            claim: "two first halves of a pair are refused",
            text: #""request":{"uid":"u","namespace":"\ud83d\ud83d",\#(user)}"#, namespace: nil),
        Case(
            claim: "half a pair before another escape is refused",
            text: #""request":{"uid":"u","namespace":"\ud83d\u0061",\#(user)}"#, namespace: nil),
        Case(
            claim: "half a pair in a value that no longer counts is refused too",
            text: #""request":{"uid":"u","namespace":"\ud83d","namespace":"a",\#(user)}"#, namespace: nil),
        Case(
            claim: "the last of two values wins",
            text: #""request":{"uid":"u","namespace":"a","namespace":"b",\#(user)}"#, namespace: "b"),
        Case(
            claim: "null leaves the value before it",
            text: #""request":{"uid":"u","namespace":"a","namespace":null,\#(user)}"#, namespace: "a"),
        Case(
            claim: "two requests merge",
            text: #""request":{"uid":"u","namespace":"a",\#(user)},"request":{"name":"n"}"#, namespace: "a"),
        Case(
            claim: "the last of two requests wins",
            text: #""request":{"uid":"u","namespace":"a",\#(user)},"request":{"namespace":"b"}"#, namespace: "b"),
        Case(
            claim: "a null request empties the one before",
            text: #""request":{"uid":"u","namespace":"a",\#(user)},"request":null"#, namespace: nil),
        Case(
            claim: "a request after a null one stands alone",
            text: #""request":{"uid":"u","namespace":"a",\#(user)},"request":null,"request":{"uid":"v",\#(user)}"#,
            namespace: ""),
        Case(
            claim: "a key in other case is refused",
            text: #""request":{"uid":"u","namespace":"a","Namespace":"b",\#(user)}"#, namespace: nil),
        Case(
            claim: "an escaped key in other case is refused",
            text: #""request":{"uid":"u","namespace":"a","\u004eamespace":"b",\#(user)}"#, namespace: nil),
        Case(
            claim: "a key that folds to one with a Kelvin sign is refused",
            text: #""request":{"uid":"u","namespace":"a","\#u{212A}ind":{},\#(user)}"#, namespace: nil),
        Case(
            claim: "a key that folds to one with a long s is refused",
            text: #""request":{"uid":"u","namespace":"a","name\u017fpace":"b",\#(user)}"#, namespace: nil),
        Case(
            claim: "a namespace in the object is not the request's",
            text:
                #""request":{"object":{"namespace":"b"},"uid":"u","namespace":"a","options":{"namespace":"c"},\#(user)}"#,
            namespace: "a"),
        Case(
            claim: "a namespace beside the request is not the request's",
            text: #""namespace":"b","request":{"uid":"u",\#(user)},"x":{"request":{"namespace":"c"}}"#, namespace: ""),
        Case(
            claim: "a user name in extra is not the caller's",
            text: #""request":{"uid":"u","userInfo":{"extra":{"username":["y"],"é":["z"]},"username":"x"}}"#,
            namespace: ""),
        Case(claim: "a number for a text is refused", text: #""request":{"uid":1,\#(user)}"#, namespace: nil),
        Case(claim: "a list for the request is refused", text: #""request":[]"#, namespace: nil),
        Case(
            claim: "null among groups is refused",
            text: #""request":{"uid":"u","userInfo":{"username":"x","groups":[null]}}"#, namespace: nil),
        Case(
            claim: "a text for groups is refused",
            text: #""request":{"uid":"u","userInfo":{"username":"x","groups":"g"}}"#, namespace: nil),
        Case(claim: "an empty uid is refused", text: #""request":{"uid":"",\#(user)}"#, namespace: nil),
        Case(claim: "no uid is refused", text: #""request":{\#(user)}"#, namespace: nil),
        Case(claim: "no user is refused", text: #""request":{"uid":"u"}"#, namespace: nil),
        Case(
            claim: "an empty user name is refused", text: #""request":{"uid":"u","userInfo":{"username":""}}"#,
            namespace: nil),
        Case(
            claim: "dryRun must be a boolean", text: #""request":{"uid":"u","dryRun":"false",\#(user)}"#, namespace: nil
        ),
    ]) func `the envelope is read as Go reads it, or refused`(envelope: Case) {
        let body = Array(#"{"kind":"AdmissionReview",\#(envelope.text),"apiVersion":"admission.k8s.io/v1"}"#.utf8)
        switch (scan(body), envelope.namespace) {
        case (.accepted(let fields), let namespace?): #expect(fields.namespace == namespace)
        case (.accepted, nil): Issue.record("accepted")
        case (let outcome, let namespace?): Issue.record("\(outcome) instead of namespace \(namespace)")
        case (.refused, nil): break
        case (.notJSON, nil): Issue.record("valid JSON is called invalid")
        }
        #expect(scan(body) == ReferenceReview.read(body))
    }

    @Test(arguments: ["AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1beta1", "Admissionreview", "Pod"])
    func `another kind or version is refused`(kind: String) {
        let body = #"{"apiVersion":"admission.k8s.io/v1","kind":"\#(kind)","request":{"uid":"u",\#(Self.user)}}"#
        #expect(error(Array(body.utf8))?.kind == .notAdmissionReview)
    }

    @Test func `more than any API server sends is refused, and up to there taken`() {
        var review = Review()
        review.groups = (0..<10_000).map { "\($0)" }
        review.namespace = String(repeating: "n", count: 1024)
        let outcome = scan(review.bytes)
        #expect(outcome == ReferenceReview.read(review.bytes))
        guard case .accepted(let fields) = outcome else {
            Issue.record("refused")
            return
        }
        #expect(fields.groups.count == 10_000)

        var more = review
        more.groups.append("one")
        #expect(scan(more.bytes) == .refused && ReferenceReview.read(more.bytes) == .refused)
        for key in ["uid", "namespace", "resource"] {
            let long = String(repeating: "n", count: 1025)
            let text = String(decoding: Review().bytes, as: UTF8.self)
                .replacing(
                    #""\#(key)":"\#(["uid": "u-1", "namespace": "team-a", "resource": "guestbooks"][key]!)""#,
                    with: #""\#(key)":"\#(long)""#)
            #expect(text.contains(long))
            #expect(scan(Array(text.utf8)) == .refused && ReferenceReview.read(Array(text.utf8)) == .refused)
        }
    }

    @Test func `one JSON text and nothing else is taken`() {
        let body = review(object: Array("1".utf8))
        #expect(scan(Array(" \r\n\t".utf8) + body + Array(" \r\n\t".utf8)) == .accepted(plain))
        for tail in ["x", "{}", "\u{0}", ",", "null", "}"] {
            #expect(scan(body + Array(tail.utf8)) == .notJSON)
        }
        #expect(scan([0xEF, 0xBB, 0xBF] + body) == .notJSON)
    }

    @Test func `an error says what is wrong and where, in one line`() {
        #expect("\(error([])!)" == "the body is empty; an AdmissionReview is expected")
        #expect("\(error(Array(#"{"kind":"Pod",?"#.utf8))!)" == "not JSON: unexpected byte at offset 14")
        #expect("\(error(Array(#"{"kind":"Pod""#.utf8))!)" == "not JSON: the text ends too early, at offset 13")
        #expect("\(error(Array(#"{"kind":"Pod"}"#.utf8))!)" == "not an admission.k8s.io/v1 AdmissionReview")
        let noUser = #"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u"}}"#
        #expect("\(error(Array(noUser.utf8))!)" == "request.userInfo.username is missing")
        let noUID = #"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#
        #expect("\(error(Array(noUID.utf8))!)" == "request.uid is missing")
    }

    // MARK: Against the slow reader

    @Test(arguments: UInt64(0)..<40) func `agrees with the slow reader on random reviews`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var scanner = AdmissionScanner()
        var accepted = 0
        for _ in 0..<500 {
            var body = RandomReview.make(&random)
            for _ in 0..<random.pick([0, 0, 1, 1, 2, 4]) { RandomReview.mutate(&body, &random) }
            if case .accepted = expectAgreement(on: body, with: &scanner) { accepted += 1 }
        }
        #expect((50..<450).contains(accepted), "the reviews are too much alike")
    }

    @Test(arguments: Fixture.names) func `agrees with the slow reader on damaged reviews`(name: String) throws {
        let body = try Fixture.bytes(name)
        var random = SeededRandom(seed: UInt64(body.count))
        var scanner = AdmissionScanner()
        for _ in 0..<150 {
            var damaged = body
            for _ in 0..<random.pick([1, 1, 2, 5]) { RandomReview.mutate(&damaged, &random) }
            expectAgreement(on: damaged, with: &scanner)
        }
    }

    @discardableResult
    private func expectAgreement(
        on body: [UInt8], with scanner: inout AdmissionScanner
    ) -> ReferenceReview.Result {
        let outcome = ReferenceReview.scan(body, with: &scanner)
        let reference = ReferenceReview.read(body)
        #expect(
            ReferenceReview.allows(outcome, where: reference),
            "\(outcome) instead of \(reference) for \(String(decoding: body, as: UTF8.self))")
        return reference
    }

    // MARK: Helpers

    private let plain: ReferenceReview.Fields = {
        var fields = ReferenceReview.Fields()
        (fields.uid, fields.namespace, fields.username) = ("u", "n", "x")
        return fields
    }()

    private func review(object: [UInt8] = Array("1".utf8), namespace: [UInt8] = Array("\"n\"".utf8)) -> [UInt8] {
        Array(#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","namespace":"#.utf8)
            + namespace + Array(#","userInfo":{"username":"x"},"object":"#.utf8) + object + Array("}}".utf8)
    }

    private func scan(_ body: [UInt8]) -> ReferenceReview.Result {
        var scanner = AdmissionScanner()
        return ReferenceReview.scan(body, with: &scanner)
    }

    private func error(_ body: [UInt8]) -> ScanError? {
        var scanner = AdmissionScanner()
        return unsafe body.withUnsafeBytes { bytes in
            do throws(ScanError) {
                try unsafe scanner.scan(bytes)
                return nil
            } catch {
                return error
            }
        }
    }
}

extension [UInt8] {
    fileprivate func dropLastWhitespace() -> [UInt8] {
        var copy = self
        while let last = copy.last, last <= 0x20 { copy.removeLast() }
        return copy
    }
}

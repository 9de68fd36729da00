import FoundationEssentials
import Reviews
import Testing
import Webhook

/// The scanner beside the readers and the writer that Go programs, API servers among them, have for the same bytes:
/// `Go/main.go` has run them, and `Go/decoded.jsonl` is what it wrote.
@Suite struct GoReadersTests {
    struct Case: Decodable, CustomTestStringConvertible {
        struct Fields: Decodable, Equatable {
            enum CodingKeys: String, CodingKey {
                case kind = "Kind"
                case apiVersion = "APIVersion"
                case uid = "UID"
                case namespace = "Namespace"
                case name = "Name"
                case operation = "Operation"
                case subResource = "SubResource"
                case resource = "Resource"
                case username = "Username"
                case groups = "Groups"
                case dryRun = "DryRun"
            }

            let kind: String
            let apiVersion: String
            let uid: String
            let namespace: String
            let name: String
            let operation: String
            let subResource: String
            let resource: String
            let username: String
            let groups: [String]?
            let dryRun: Bool

            func says(_ fields: ReferenceReview.Fields) -> Bool {
                // Both are checked by the scanner itself.
                kind == "AdmissionReview" && apiVersion == "admission.k8s.io/v1"
                    && uid == fields.uid && namespace == fields.namespace && name == fields.name
                    && operation == fields.operation && subResource == fields.subResource
                    && resource == fields.resource[2] && username == fields.username
                    && groups ?? [] == fields.groups && dryRun == fields.dryRun
            }
        }

        enum CodingKeys: String, CodingKey {
            case name = "Case"
            case isTaken = "Taken"
            case body = "Body"
            case go = "Go"
            case kubernetes = "Kubernetes"
            case iterator = "JSONIterator"
        }

        let name: String
        let isTaken: Bool
        let body: Data?
        let go: Fields?
        let kubernetes: Fields?
        let iterator: Fields?

        var testDescription: String { name }
    }

    static let cases: [Case] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Go/decoded.jsonl")
        return try! Data(contentsOf: file).split(separator: UInt8(ascii: "\n")).map {
            try! JSONDecoder().decode(Case.self, from: $0)
        }
    }()

    /// Where json-iterator, which API servers of before 1.23 decode with, reads another thing than Go's own packages do: it
    /// empties a text that null follows, and refuses a number that is too large, even where nobody reads it.
    private static let ownIdeasOfIterator = ["null behind a namespace", "a large number"]

    @Test(arguments: cases) func `what is taken is what every Go reader reads`(example: Case) {
        let body = [UInt8](example.body ?? Data())
        var scanner = AdmissionScanner()
        let outcome = ReferenceReview.scan(body, with: &scanner)
        guard case .accepted(let fields) = outcome else {
            #expect(!example.isTaken, "\(outcome)")
            return
        }
        #expect(example.isTaken, "taken as \(fields)")
        #expect(example.go?.says(fields) == true, "encoding/json: \(String(describing: example.go))")
        #expect(example.kubernetes?.says(fields) == true, "sigs.k8s.io/json: \(String(describing: example.kubernetes))")
        if !Self.ownIdeasOfIterator.contains(example.name) {
            #expect(example.iterator?.says(fields) == true, "json-iterator: \(String(describing: example.iterator))")
        }
    }

    @Test
    func `wherever Go readers disagree about a text, it is refused, but where json-iterator has ideas of its own`() {
        for example in Self.cases where example.go != example.kubernetes || example.go != example.iterator {
            #expect(!example.isTaken || Self.ownIdeasOfIterator.contains(example.name), "\(example.name)")
        }
    }

    @Test func `what no Go reader takes is refused`() {
        for example in Self.cases where example.go == nil { #expect(!example.isTaken, "\(example.name)") }
        #expect(Self.cases.count { $0.go == nil } > 20 && Self.cases.count > 90, "the table is not whole")
    }
}

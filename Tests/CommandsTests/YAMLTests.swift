import Kubernetes
import Testing

@testable import Commands

struct YAMLTests {
    @Test(arguments: [
        ("team-a", "team-a"), ("gs.bucket/x_1", "gs.bucket/x_1"), ("", #""""#), ("yes", #""yes""#), ("No", #""No""#),
        ("NULL", #""NULL""#), ("true", #""true""#), ("on", #""on""#), ("y", #""y""#), ("1e3", #""1e3""#),
        ("0x1F", #""0x1F""#),
        ("12:30:45", #""12:30:45""#), ("2026-01-31", #""2026-01-31""#), ("~", #""~""#), ("- a", #""- a""#),
        ("a: b", #""a: b""#),
        ("a #b", #""a #b""#), (".inf", #"".inf""#), ("a\"b\\", #""a\"b\\""#), ("a\nb\tc", #""a\nb\tc""#),
        ("\u{1B}[2J", #""\u001b[2J""#), ("\u{85}\u{2028}\u{FEFF}", #""\u0085\u2028\ufeff""#), ("Zoë", #""Zoë""#),
    ])
    func `writes a string so that no reader takes it for anything else`(text: String, written: String) {
        #expect(YAMLText.document(.string(text)) == written + "\n")
    }

    @Test func `writes objects and lists in block style, with keys in order`() {
        let value = JSONValue.object([
            "b": .array([.object(["y": .null, "x": .integer(-1)]), .string("s"), .array([.bool(true), .number(0.5)])]),
            "a": .object(["n": .number(1e300), "e": .array([]), "o": .object([:])]),
        ])
        #expect(
            YAMLText.document(value) == """
                a:
                  e: []
                  "n": 1.0e+300
                  o: {}
                b:
                - x: -1
                  "y": null
                - s
                - - true
                  - 0.5

                """)
    }

    @Test func `is the same document as the JSON`() throws {
        struct Document: Encodable {
            let name = "team-a"
            let left = 12.85
            let none: Int? = nil
            let list = [1, 2]
        }
        #expect(try DocumentText.yaml(Document()) == "left: 12.85\nlist:\n- 1\n- 2\nname: team-a\n")
    }
}

import Reviews
import Support
import Testing
import Webhook

/// RFC 8259, text by text, at every kind of place in a review: where a value is skipped, and where one is read.
@Suite struct JSONGrammarTests {
    struct Text: CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]
        let isJSON: Bool
        var testDescription: String { "\(isJSON ? "taken" : "refused"): \(name)" }

        init(_ name: String, _ bytes: [UInt8], isJSON: Bool) {
            (self.name, self.bytes, self.isJSON) = (name, bytes, isJSON)
        }
    }

    private static func good(_ texts: [(String, String)]) -> [Text] {
        texts.map { Text($0, Array($1.utf8), isJSON: true) }
    }

    private static func bad(_ texts: [(String, String)]) -> [Text] {
        texts.map { Text($0, Array($1.utf8), isJSON: false) }
    }

    private static let numbers =
        good([
            ("zero", "0"), ("minus zero", "-0"), ("minus zero with a fraction", "-0.0"), ("one digit", "7"),
            ("an exponent of zero", "0e1"), ("a capital E", "1E22"), ("E with a plus", "1E+2"),
            ("e with a minus", "1e-2"), ("an exponent with zeros in front", "1e007"), ("all parts", "-12.050e-010"),
            ("a huge exponent", "1e99999"), ("a tiny exponent", "1e-99999"),
            ("more digits than a double has", "0.1234567890123456789012345"),
            ("more than 64 bits", "-123123123123123123123123123123"), ("a number before white space", "4 "),
        ])
        + bad([
            ("only a minus", "-"), ("two minuses", "--1"), ("a minus behind", "1-"), ("a plus in front", "+1"),
            ("a space behind the minus", "- 1"), ("a zero in front", "012"), ("two zeros", "00"),
            ("minus zero one", "-01"),
            ("no digit before the dot", ".5"), ("a minus before the dot", "-.5"), ("no digit behind the dot", "1."),
            ("no digit between dot and e", "1.e1"), ("two dots", "1.2.3"), ("only a dot", "."), ("only e", "e5"),
            ("no digit behind e", "1e"), ("no digit behind E and plus", "1E+"), ("two signs", "1e+-1"),
            ("e twice", "1e1e1"),
            ("a dot in the exponent", "1e1.5"), ("hexadecimal", "0x1F"), ("octal", "0o7"),
            ("a digit of another script", "１"),
            ("NaN", "NaN"), ("minus NaN", "-NaN"), ("infinity", "Infinity"), ("minus infinity", "-Infinity"),
            ("inf", "inf"),
            ("an underscore", "1_000"), ("a letter behind", "1a"), ("a suffix", "1f"),
        ])

    private static let structures =
        good([
            ("an empty list", "[]"), ("an empty list with white space", "[ \t\r\n]"), ("an empty object", "{}"),
            ("an empty object with white space", "{\n}"),
            ("a list of all kinds", #"[null,true,false,-1.5e3,"",[],{}]"#),
            ("an object of all kinds", #"{"a":null,"b":true,"c":false,"d":0,"e":"","f":[],"g":{}}"#),
            ("an empty key", #"{"":0}"#), ("a key twice", #"{"a":1,"a":2}"#),
            ("the same member twice", #"{"a":1,"a":1}"#),
            ("a long key", "{\"\(String(repeating: "k", count: 300))\":0}"), ("a key of a zero", #"{"a\u0000b":1}"#),
            ("white space everywhere", " [ 1 , { \"a\" : 2 } , \"b\" ] "), ("line ends of all kinds", "[\r\n1\n,\r2]"),
        ])
        + bad([
            ("a comma in front", "[,1]"), ("a comma behind", "[1,]"),
            ("two commas", "[1,,2]"), ("only a comma", "[,]"), ("no comma", "[1 2]"),
            ("no comma between strings", #"["a" "b"]"#),
            ("a colon in a list", "[1:2]"), ("a semicolon in a list", "[1;2]"), ("a list not closed", "[1"),
            ("a list not closed behind a comma", "[1,"), ("a list closed twice", "[1]]"),
            ("a list closed as an object", "[1}"),
            ("an object closed as a list", "{\"a\":1]"), ("an object not closed", "{\"a\":1"), ("only a bracket", "["),
            ("only a brace", "{"), ("a bracket that closes nothing", "]"), ("a comma behind a member", "{\"a\":1,}"),
            ("two commas behind a member", "{\"a\":1,,}"), ("a comma in an empty object", "{,}"),
            ("no colon", "{\"a\" 1}"),
            ("two colons", "{\"a\"::1}"), ("an equals sign", "{\"a\"=1}"), ("a comma for the colon", "{\"a\",1}"),
            ("a key without a value", "{\"a\":}"), ("a key alone", "{\"a\"}"), ("a value without a key", "{:1}"),
            ("a number for a key", "{1:1}"), ("null for a key", "{null:1}"), ("a list for a key", "{[]:1}"),
            ("a key without quotes", "{a:1}"), ("a key in apostrophes", "{'a':1}"), ("a key with one quote", "{\"a:1}"),
            ("two values", "1 2"), ("two lists", "[][]"), ("a comment to the line's end", "[1] // a"),
            ("a comment in between", "[1/* a */]"), ("a hash", "# a\n1"), ("a form feed", "[\u{0C}]"),
            ("a vertical tab", "[\u{0B}]"),
            ("a no-break space", "[\u{A0}]"), ("a word joiner", "[\u{2060}]"), ("a line separator", "[\u{2028}]"),
            ("a zero byte between", "[\u{0}1]"), ("a zero byte behind", "1\u{0}"), ("a byte order mark", "\u{FEFF}1"),
            ("a star", "*"),
            ("an angle bracket", "<null>"), ("true in capitals", "TRUE"), ("true cut off", "tru"),
            ("true and more", "truex"),
            ("nil", "nil"), ("null in capitals", "Null"), ("undefined", "undefined"), ("false cut off", "fals"),
        ])

    private static let strings: [Text] =
        good([
            ("an empty string", #""""#), ("all short escapes", #""\"\\\/\b\f\n\r\t""#),
            ("a letter escaped", #""\u0041""#),
            ("digits in both cases", #""\uaBcD""#), ("an escaped zero", #""\u0000""#),
            ("an escaped quote as a number", #""\u0022""#),
            ("a pair", #""\uD83D\uDE00""#), ("the last pair", #""\uDBFF\uDFFF""#), ("a noncharacter", #""\uFFFF""#),
            ("two backslashes and a u", #""\\u0041""#), ("a backslash before the last quote", #""a\\""#),
            ("a slash", #""/""#),
            ("two bytes", "\"é\""), ("three bytes", "\"中\""), ("four bytes", "\"😀\""), ("DEL", "\"\u{7F}\""),
            ("a C1 control", "\"\u{80}\""), ("a line separator", "\"\u{2028}\""),
            ("a byte order mark inside", "\"\u{FEFF}\""),
            ("the last of each length", "\"\u{7FF}\u{D7FF}\u{E000}\u{FFFF}\u{10FFFF}\""),
            ("brackets and commas", "\"]},{[:\""),
            ("a comment", "\"/* // */\""),
        ])
        + bad([
            ("no second quote", "\""), ("a quote too many", "\"a\"\""), ("an escaped last quote", #""\""#),
            ("apostrophes", "'a'"),
            ("an escape of x", #""\x41""#), ("an escape of a", #""\a""#), ("an escape of an apostrophe", #""\'""#),
            ("an escape of zero", #""\0""#), ("an escape of a line end", "\"\\\n\""),
            ("an escape of a letter of two bytes", "\"\\é\""),
            ("a capital U", #""\U0041""#), ("no digit", #""\u""#), ("one digit", #""\u0""#),
            ("three digits", #""\u004""#),
            ("a letter that is no digit", #""\u00G0""#), ("a sign for a digit", #""\u+041""#),
            ("a space for a digit", #""\u 041""#),
            ("a brace for the digits", #""\u{41}""#), ("digits of another script", "\"\\u００４１\""),
            ("a line feed", "\"a\nb\""),
            ("a carriage return", "\"a\rb\""), ("a tab", "\"a\tb\""), ("only a backslash", #""\"#),
        ])
        + (UInt8(0)..<0x20).map { Text("control byte \($0)", [0x22, 0x61, $0, 0x22], isJSON: false) }
        + (UInt8(0x80)...0xFF).map { Text("byte \($0) alone", [0x22, $0, 0x22], isJSON: false) }
        + [
            ("a slash as two bytes", [0xC0, 0xAF]), ("a zero as two bytes", [0xC0, 0x80]),
            ("a slash as three", [0xE0, 0x80, 0xAF]),
            ("a slash as four", [0xF0, 0x80, 0x80, 0xAF]), ("half a pair as three bytes", [0xED, 0xA0, 0x80]),
            ("a pair as six bytes", [0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80]),
            ("behind the last character", [0xF4, 0x90, 0x80, 0x80]),
            ("five bytes", [0xF8, 0x88, 0x80, 0x80, 0x80]), ("two of three bytes", [0xE4, 0xB8]),
            ("three of four bytes", [0xF0, 0x9F, 0x98]),
            ("UTF-16", [0x00, 0x61]), ("a byte order mark of UTF-16", [0xFF, 0xFE]), ("Latin-1", [0x63, 0xE9, 0x63]),
        ].map { Text($0, [0x22] + $1 + [0x22], isJSON: false) }
        // Grammar lets halves of pairs stand.
        + [
            ("half a pair", #"\uD800"#), ("the other half", #"\uDC00"#), ("a reversed pair", #"\uDE00\uD83D"#),
            ("two first halves", #"\uD83D\uD83D"#), ("half a pair and a letter", #"\uD83D\u0041"#),
            ("half a pair and text", #"\uD83Dx"#),
            ("half a pair and another escape", #"\uD83D\n"#),
        ].map { Text($0, Array("\"\($1)\"".utf8), isJSON: true) }

    @Test(arguments: numbers + structures + strings + good([("true", "true"), ("false", "false"), ("null", "null")]))
    func `a value that is skipped is taken exactly when it is JSON`(text: Text) {
        for (before, after) in [
            (#""object":"#, ""), (#""oldObject":"#, ""), (#""options":"#, ""), (#""x":"#, ""), (#""object":["#, "]"),
            (#""object":{"a":"#, "}"), (#""object":[[{"a":0,"b":["#, "]}]]"), (#""requestKind":"#, #","y":1"#),
        ] {
            expect("\"uid\":\"u\",\(user),\(before)", text, after, text.isJSON)
        }
        expect("\"uid\":\"u\",\"userInfo\":{\"username\":\"x\",\"extra\":{\"a\":[", text, "]}}", text.isJSON)
    }

    @Test(arguments: strings) func `a key that is skipped is taken exactly when it is JSON`(text: Text) {
        expect("\"uid\":\"u\",\(user),\"object\":{", text, ":1}", text.isJSON)
        expect("\"uid\":\"u\",\(user),\"object\":[{\"a\":1,", text, " : 1}]", text.isJSON)
    }

    @Test(arguments: strings) func `a text that is read is taken exactly when it is JSON and text`(text: Text) {
        let isText = text.isJSON && !text.bytes.containsHalfPair
        expect("\"uid\":\"u\",\(user),\"namespace\":", text, "", isText)
        expect("\"uid\":\"u\",\(user),\"kind\":{\"group\":", text, "}", isText)
        expect("\"uid\":\"u\",\"userInfo\":{\"username\":\"x\",\"groups\":[\"g\",", text, "]}", isText)
    }

    @Test(arguments: numbers) func `a number where a text is read is refused`(text: Text) {
        expect("\"uid\":\"u\",\(user),\"namespace\":", text, "", false)
        expect("\"uid\":\"u\",\(user),\"dryRun\":", text, "", false)
    }

    private let user = #""userInfo":{"username":"x"}"#

    private func expect(
        _ before: String, _ text: Text, _ after: String, _ isTaken: Bool,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let head = #"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"#
        let body = Array((head + before).utf8) + text.bytes + Array("\(after)}}".utf8)
        var scanner = AdmissionScanner()
        let outcome = ReferenceReview.scan(body, with: &scanner)
        let reference = ReferenceReview.read(body)
        var isAccepted = false
        if case .accepted = outcome { isAccepted = true }
        #expect(isAccepted == isTaken, "\(String(decoding: body, as: UTF8.self))", sourceLocation: sourceLocation)
        #expect(ReferenceReview.allows(outcome, where: reference), sourceLocation: sourceLocation)
    }
}

extension [UInt8] {
    /// Whether one of the table's texts says half a surrogate pair.
    fileprivate var containsHalfPair: Bool {
        let text = String(decoding: self, as: UTF8.self).uppercased()
        let isPair = text.contains(#"\UD83D\UDE00"#) || text.contains(#"\UDBFF\UDFFF"#)
        return !isPair && (text.contains(#"\UD8"#) || text.contains(#"\UDC"#) || text.contains(#"\UDE"#))
    }
}

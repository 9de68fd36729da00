import Support

/// Random AdmissionReviews, some of them valid: keys in any order, twice, escaped or misspelt, values of any type.
package enum RandomReview {
    package static func make(_ random: inout SeededRandom) -> [UInt8] {
        var text = ""
        review(&text, &random)
        return Array(text.utf8)
    }

    package static func mutate(_ body: inout [UInt8], _ random: inout SeededRandom) {
        guard !body.isEmpty else { return }
        let place = random.below(body.count)
        switch random.below(12) {
        case 0: body[place] = UInt8(random.below(256))
        case 1: body[place] ^= 0x20
        case 2: body.remove(at: place)
        case 3: body.removeLast(random.below(body.count))
        case 4:
            // A piece twice: members, brackets, halves of characters.
            let end = min(body.count, place + 1 + random.below(40))
            body.insert(contentsOf: body[place..<end], at: end)
        case 6: body[place] ^= 1 << UInt8(random.below(8))
        case 7:
            body.insert(random.pick([random.below(0x20), 0x7F, 0x80 + random.below(0x80)].map(UInt8.init)), at: place)
        case 8:
            // A piece of another review, so that one envelope ends inside another.
            let other = make(&random)
            let start = random.below(other.count)
            body.replaceSubrange(place..<min(body.count, place + random.below(60)), with: other[start...])
        case 9 where random.below(10) == 0:
            // As deep as can be, or one level deeper, when it lands in `object`.
            let depth = 990 + random.below(14)
            let object = Array("\"object\":".utf8)
            let target = body.firstRange(of: object)?.upperBound ?? place
            let (open, close) = random.pick([("[", "]"), ("{\"a\":", "}")])
            let text = String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
            body.insert(contentsOf: Array("\(text)\(random.pick(["", ",\"object\":"]))".utf8), at: target)
        case 5: body.removeSubrange(place..<min(body.count, place + 1 + random.below(12)))
        default: body.insert(contentsOf: random.pick(pieces), at: place)
        }
    }

    private static let pieces: [[UInt8]] =
        [
            "\"", "\\", "{", "}", "[", "]", ",", ":", " ", "\n", "0", "-", ".5", "e1", "null", "true", "\\u0061",
            "\\ud83d", "\\ude00", "é", "\u{212A}", "😀", "\"request\":null,", "\"uid\":\"v\",", "\"namespace\":\"z\",",
            "\"Namespace\":\"y\",", "{}", "[],", "\u{1F}",
        ].map { Array($0.utf8) } + [[0x80], [0xED, 0xA0, 0x80], [0xC3], [0xF0, 0x9F], [0]]

    private static func review(_ text: inout String, _ random: inout SeededRandom) {
        var members: [(String, (inout String, inout SeededRandom) -> Void)] = [
            ("kind", { text, _ in text += "\"AdmissionReview\"" }),
            ("apiVersion", { text, _ in text += "\"admission.k8s.io/v1\"" }),
            ("request", request),
        ]
        if random.below(4) == 0 { members.append(("request", request)) }
        if random.below(8) == 0 { members.append(("request", { text, _ in text += "null" })) }
        if random.below(3) == 0 { members.append(("extra", { any(&$0, &$1, 3) })) }
        object(members, &text, &random)
    }

    private static func request(_ text: inout String, _ random: inout SeededRandom) {
        var members: [(String, (inout String, inout SeededRandom) -> Void)] = [
            ("uid", string), ("userInfo", userInfo),
        ]
        let others: [(String, (inout String, inout SeededRandom) -> Void)] = [
            ("uid", string), ("userInfo", userInfo), ("namespace", string), ("name", string), ("operation", string),
            ("subResource", string), ("dryRun", { $0 += $1.pick(["true", "false", "null"]) }),
            ("kind", { triple("kind", &$0, &$1) }), ("resource", { triple("resource", &$0, &$1) }),
            ("object", { any(&$0, &$1, 4) }), ("oldObject", { any(&$0, &$1, 4) }),
            ("requestKind", { any(&$0, &$1, 2) }),
            ("options", { any(&$0, &$1, 2) }),
        ]
        for _ in 0..<random.below(10) { members.append(random.pick(others)) }
        if random.below(20) == 0 { members.append(("namespace", { any(&$0, &$1, 1) })) }
        object(members, &text, &random)
    }

    private static func userInfo(_ text: inout String, _ random: inout SeededRandom) {
        var members: [(String, (inout String, inout SeededRandom) -> Void)] = [("username", string)]
        let others: [(String, (inout String, inout SeededRandom) -> Void)] = [
            ("username", string), ("groups", groups), ("extra", { any(&$0, &$1, 3) }), ("uid", string),
            ("groups", { $0 += $1.pick(["null", "[]"]) }),
        ]
        for _ in 0..<random.below(4) { members.append(random.pick(others)) }
        object(members, &text, &random)
    }

    private static func groups(_ text: inout String, _ random: inout SeededRandom) {
        text += "["
        for index in 0..<random.below(5) {
            if index > 0 { text += "," }
            space(&text, &random)
            string(&text, &random)
            space(&text, &random)
        }
        text += "]"
    }

    private static func triple(_ last: String, _ text: inout String, _ random: inout SeededRandom) {
        var members: [(String, (inout String, inout SeededRandom) -> Void)] = []
        for _ in 0..<random.below(5) { members.append((random.pick(["group", "version", last, "other"]), string)) }
        object(members, &text, &random)
    }

    private static func object(
        _ members: [(String, (inout String, inout SeededRandom) -> Void)], _ text: inout String,
        _ random: inout SeededRandom
    ) {
        var members = members
        for index in members.indices.reversed() { members.swapAt(index, random.below(index + 1)) }
        text += "{"
        for (index, member) in members.enumerated() {
            if index > 0 { text += "," }
            space(&text, &random)
            key(member.0, &text, &random)
            space(&text, &random)
            text += ":"
            space(&text, &random)
            member.1(&text, &random)
            space(&text, &random)
        }
        text += "}"
    }

    private static func key(_ name: String, _ text: inout String, _ random: inout SeededRandom) {
        switch random.below(200) {
        case 0: text += "\"\(name.uppercased())\""
        case 1: text += "\"\(name)é\""
        case 2...12:
            text += "\""
            for scalar in name.unicodeScalars {
                text += random.below(3) == 0 ? "\\u00\(String(scalar.value, radix: 16))" : "\(scalar)"
            }
            text += "\""
        default: text += "\"\(name)\""
        }
    }

    private static func space(_ text: inout String, _ random: inout SeededRandom) {
        guard random.below(12) == 0 else { return }
        for _ in 0...random.below(3) { text += random.pick([" ", "\n", "\t", "\r"]) }
    }

    private static func string(_ text: inout String, _ random: inout SeededRandom) {
        let pieces = [
            "a", "team-a", "system:serviceaccount:", "0123456789", "é", "中文", "😀", "\\n", "\\\"", "\\\\", "\\/",
            "\\u0041", "\\u00e9", "\\u4e2d", "\\ud83d\\ude00", "\\b\\f\\r\\t", "\u{7F}", " ", "{", "\\u0000",
        ]
        text += "\""
        for _ in 0..<random.pick([0, 1, 1, 1, 2, 2, 3, 4, 5, 6]) { text += random.pick(pieces) }
        if random.below(200) == 0 { text += random.pick(["\\ud800", "\\udfff", "\\ud800\\u0041"]) }
        text += "\""
    }

    private static func any(_ text: inout String, _ random: inout SeededRandom, _ depth: Int) {
        switch random.below(depth > 0 ? 8 : 6) {
        case 0: text += random.pick(["true", "false", "null"])
        case 1, 2: text += random.pick(["0", "-0", "12", "-3.25", "1e9", "6.02E+23", "0.5e-7", "1234567890123456789"])
        case 3, 4, 5: string(&text, &random)
        case 6:
            text += "["
            for index in 0..<random.below(4) {
                if index > 0 { text += "," }
                any(&text, &random, depth - 1)
            }
            text += "]"
        default:
            let members = (0..<random.below(4)).map { _ in
                (random.pick(["a", "b", "namespace", "é"]), { any(&$0, &$1, depth - 1) })
                    as (String, (inout String, inout SeededRandom) -> Void)
            }
            object(members, &text, &random)
        }
    }
}

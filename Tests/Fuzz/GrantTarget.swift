import Election
import FoundationEssentials

@testable import Commands

/// What webhooks and controllers say to each other about grants.
enum GrantTarget {
    static func run(_ bytes: [UInt8]) throws(Finding) {
        let slow = try? JSONDecoder().decode(Grant.self, from: Data(bytes))
        let read = try? Grant(text: bytes)
        try require(read == slow, "the two readers of grants differ")
        guard let grant = read else { return }
        var text: [UInt8] = []
        guard (try? grant.write(to: &text)) != nil, let same = try? Grant(text: text) else {
            throw Finding("a grant that was read cannot be written and read again")
        }
        try require(same == grant, "written again, it is another grant")
        var client = GrantClient(cluster: "east")
        let asked = Reading(boottime: 1, realtime: 2, monotonicRaw: 3)
        guard let table = try? client.take(grant, askedAt: asked) else {
            try require(client.known == nil, "a grant that is not taken has left something behind")
            return
        }
        for (slot, name) in table.index.names.enumerated() {
            try require(table.index.slot(of: name) == slot, "\(name) is not found")
            try require(table.entries[slot].limit >= 0, "a limit before the question")
            try require(table.entries[slot].limit <= grant.longest, "a limit beyond the grant")
            _ = table.standing(of: name, at: asked)
            let tenure = table.tenure(slot)
            _ = Timestamp.format(microseconds: tenure.acquired)
        }
        // The same once more, as when only time has passed.
        let again = try? client.take(grant, askedAt: asked)
        try require(again == table, "the same grant twice is not the same")
    }

    static func runQuestion(_ bytes: [UInt8]) throws(Finding) {
        guard let question = GrantQuestion(query: bytes.span) else { return }
        let suffix = Array(question.suffix.utf8)
        try require(suffix.isEmpty == (question.known == nil), "a question that cannot be asked")
        let again = GrantQuestion(query: Array(suffix.dropFirst()).span)
        try require(again == question, "asked, it is another question")
    }
}

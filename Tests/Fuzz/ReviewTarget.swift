import Election
import Platform
import Reviews
import Webhook

/// The scanner against the slow reader; and the answer must be JSON that says what it should, whatever the caller's names.
enum ReviewTarget {
    nonisolated(unsafe) private static var scanner = AdmissionScanner()
    nonisolated(unsafe) private static let responders = [responder(.free), responder(.other), responder(nil)]

    static func run(_ bytes: [UInt8]) throws(Finding) {
        let outcome = unsafe ReferenceReview.scan(bytes, with: &scanner)
        let reference = ReferenceReview.read(bytes)
        try require(ReferenceReview.allows(outcome, where: reference), "\(outcome) instead of \(reference)")
        // One of them for each input: that is enough over many.
        let responder = unsafe responders[Int(bytes.seed % 3)]
        var answer: [UInt8] = []
        let status = unsafe bytes.withUnsafeBytes { unsafe responder.respond(to: $0, into: &answer) }
        guard case .accepted(let fields) = outcome else {
            try require(status == 400 && answer.last == 0x0A, "status \(status) for what cannot be judged")
            try require(answer.dropLast().allSatisfy { (0x20..<0x7F).contains($0) }, "more than one plain line")
            return
        }
        try require(status == 200, "status \(status) for what can be judged")
        try require(ReferenceReview.answeredUID(answer) == fields.uid, "another uid, or no JSON")
    }

    /// - Parameter state: of the lease of `team-a`; nil: no controller was heard.
    private static func responder(_ state: LeadershipTable.Entry.State?) -> AdmissionResponder {
        var policy = Policy()
        policy.guardUsers = true
        policy.mode = state == .free ? .warn : .enforce
        policy.clusterScoped = state == .other ? .namespace("team-a") : .deny
        var table = LeadershipTable(
            cluster: "east", index: NamespaceIndex(["team-a"]),
            entries: [
                LeadershipTable.Entry(state: state ?? .unknown, holder: state == .other ? 0 : -1, term: 7, acquired: 1)
            ],
            holders: ["west"])
        if state == nil { table.silentSince = 1_795_370_400_000_000 }
        return AdmissionResponder(policy: policy, board: LeadershipBoard(table), counters: AdmissionCounters())
    }
}

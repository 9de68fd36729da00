import Election
import Webhook

/// An AdmissionReview written by a test, and the tables it meets.
struct Review {
    static let operatorName = "system:serviceaccount:team-a:operator"

    var username = Review.operatorName
    var groups = ["system:serviceaccounts", "system:serviceaccounts:team-a", "system:authenticated"]
    var namespace: String? = "team-a"
    var operation = "UPDATE"
    var dryRun = false

    var bytes: [UInt8] {
        let place = namespace.map { #""namespace":"\#($0)","# } ?? ""
        let text =
            #"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1","#
            + #""kind":{"group":"g","version":"v1","kind":"Guestbook"},"#
            + #""resource":{"group":"g","version":"v1","resource":"guestbooks"},\#(place)"#
            + #""name":"one","operation":"\#(operation)","dryRun":\#(dryRun),"userInfo":{"username":"\#(username)","#
            + #""groups":[\#(groups.map { "\"\($0)\"" }.joined(separator: ","))]},"object":null}}"#
        return Array(text.utf8)
    }

    /// What the guard says.
    func decide(_ policy: Policy = Policy(), _ table: LeadershipTable, at now: Reading = .start) throws -> Decision {
        var scanner = AdmissionScanner()
        return try unsafe bytes.withUnsafeBytes { bytes in
            try unsafe scanner.scan(bytes)
            return Guard(policy: policy).decide(scanner.request, by: table, at: now)
        }
    }
}

extension Reading {
    /// When the tables of these tests were made.
    static let start = Reading(boottime: 1_000, realtime: 2_000, monotonicRaw: 3_000)

    static func after(_ duration: Duration) -> Reading {
        let nanoseconds = Int64(duration / .nanoseconds(1))
        return Reading(
            boottime: start.boottime + nanoseconds, realtime: start.realtime + nanoseconds,
            monotonicRaw: start.monotonicRaw + nanoseconds)
    }
}

extension LeadershipTable {
    /// Cluster east's table, in which `team-a` has the given entry and `team-b` is led by east.
    static func east(_ entry: Entry, holders: [String] = ["east", "west"]) -> LeadershipTable {
        LeadershipTable(
            cluster: "east", index: NamespaceIndex(["team-a", "team-b"]), anchor: .start,
            entries: [entry, .own(term: 9)], holders: holders)
    }

    /// Cluster east's, of a webhook that no controller has answered for a while.
    static var silent: LeadershipTable {
        var table = east(.own())
        table.silentSince = 1_795_370_400_000_000
        return table
    }
}

extension LeadershipTable.Entry {
    static func own(term: UInt64 = 7) -> Self {
        Self(state: .own, holder: 0, term: term, limit: 10_000_000_000, acquired: 1_795_370_400_000_000)
    }
    static let other = Self(state: .other, holder: 1, term: 7, acquired: 1_795_370_400_000_000)
    static let free = Self(state: .free, term: 7)
    static let lapsed = Self(state: .lapsed, holder: 0, term: 7)
    static let unknown = Self(state: .unknown)
    static let unreadable = Self(state: .unreadable)
    static let unmanaged = Self(state: .unmanaged)
}

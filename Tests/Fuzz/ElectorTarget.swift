import Election

/// An election whose store says anything: the records are cut at bytes that JSON does not have, and served one after the
/// other for all that is asked.
enum ElectorTarget {
    private static let stepsMax = 24

    static func run(_ bytes: [UInt8]) throws(Finding) {
        let bodies = bytes.split(separator: 0, maxSplits: 7, omittingEmptySubsequences: false).map { Array($0) }
        var now = Reading(
            boottime: 5_000_000_000_000, realtime: 1_800_000_000_000_000_000, monotonicRaw: 4_000_000_000_000)
        var elector = Elector(
            identity: .init(cluster: "east", uid: "uid-of-east", incarnation: "east-1"), timing: Timing())
        var served = 0
        var version = 0
        func object(_ name: RecordName) -> RecordObject {
            defer { served += 1 }
            version += 1
            return RecordObject(name: name, version: Version("v\(version)"), body: bodies[served % bodies.count])
        }
        var output = elector.handle(.wishes([Wish("team-a", .lead(seconds: 15))]), at: now)
        var random = bytes.seed
        for _ in 0..<stepsMax where output.ending == nil {
            var next = Output()
            for request in output.requests {
                let answer: Answer
                random = random &* 0x5851_F42D_4C95_7F2D &+ 0x1405_7B7E_F767_814F
                switch request.operation {
                case .read(let name): answer = .object(random >> 62 == 0 ? nil : object(name))
                case .list(.members): answer = .objects([object(.member("west")), object(.member("east"))])
                case .list(.leases): answer = .objects([object(.lease("team-a"))])
                case .write:
                    version += 1
                    answer =
                        random >> 61 == 0
                        ? .conflict : random >> 61 == 1 ? .unclear("") : .written(Version("v\(version)"))
                }
                let after = elector.handle(.answered(request.id, answer), at: now)
                next.requests += after.requests
                next.ending = next.ending ?? after.ending
                next.wakeAfter = after.wakeAfter
            }
            try require(elector.table.entries.count == elector.table.index.names.count, "a table of two lengths")
            if next.requests.isEmpty, next.ending == nil {
                let pause = next.wakeAfter ?? output.wakeAfter ?? .seconds(1)
                let nanoseconds = max(1, Int64(pause / .nanoseconds(1)))
                now.boottime += nanoseconds
                now.realtime += nanoseconds
                now.monotonicRaw += nanoseconds
                _ = elector.handle(.published, at: now)
                next = elector.handle(.tick, at: now)
            }
            output = next
        }
    }
}

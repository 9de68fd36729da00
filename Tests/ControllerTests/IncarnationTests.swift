import Platform
import Testing

@testable import Controller
@testable import Election

/// An incarnation whose requests are answered at once, and whose clocks stand still between steps.
private struct Trial {
    final class Clocks: Sendable {
        struct Look: Hashable {
            let now: Reading
            let led: Int
        }

        let board = LeadershipBoard(LeadershipTable(cluster: "east"))
        private let nanoseconds = Locked<Int64>(1_000_000_000_000)
        private let looked = Locked<[Look]>([])

        var looks: [Look] {
            looked.withLock { $0 }
        }

        func forget() { looked.withLock { $0 = [] } }

        /// Each reading is a microsecond later; notes what the board shows at that moment.
        func read() -> Reading {
            let time = nanoseconds.withLock { time in
                time += 1000
                return time
            }
            let now = Reading(boottime: time, realtime: time, monotonicRaw: time)
            let look = Look(now: now, led: led(at: now))
            looked.withLock { $0.append(look) }
            return now
        }

        func led(at now: Reading) -> Int {
            let table = board.table()
            return table.entries.indices.count {
                if case .leads = table.standing(slot: $0, at: now) { true } else { false }
            }
        }
    }

    let clocks = Clocks()
    var incarnation: Incarnation
    private var objects: [RecordName: RecordObject] = [:]
    private var versions = 0

    init() {
        incarnation = Incarnation(
            Elector.Identity(cluster: "east", uid: "u-east", incarnation: "i-1"), timing: Timing(), takeovers: 0,
            board: clocks.board, readClocks: { [clocks] in clocks.read() })
    }

    /// Takes an event, and the answers to all that follows from it.
    mutating func settle(_ event: Event) {
        var events = [event]
        while !events.isEmpty {
            let step = incarnation.take(events.removeFirst())
            events += step.requests.map { .answered($0.id, answer(to: $0.operation)) }
        }
    }

    private mutating func answer(to operation: Request.Operation) -> Answer {
        switch operation {
        case .read(let name): return .object(objects[name])
        case .list(let folder):
            return .objects(objects.values.filter { $0.name.folder == folder }.sorted { $0.name.name < $1.name.name })
        case .write(let name, let body, let replacing):
            guard objects[name]?.version == replacing else { return .conflict }
            versions += 1
            objects[name] = RecordObject(name: name, version: Version("\(versions)"), body: body)
            return .written(Version("\(versions)"))
        }
    }
}

@Suite struct IncarnationTests {
    private var trial = Trial()

    @Test mutating func `a handover can be sent only when the board shows nothing led`() throws {
        trial.settle(.wishes([Wish("team-a", .lead(seconds: 15)), Wish("team-b", .lead(seconds: 15))]))
        #expect(trial.clocks.led(at: trial.clocks.read()) == 2)

        let step = trial.incarnation.take(.leave(.handover))
        #expect(trial.clocks.led(at: trial.clocks.read()) == 0)
        guard case .write(.member("east"), _, _)? = step.requests.first?.operation else {
            Issue.record("\(step.requests)")
            return
        }
    }

    @Test mutating func `a table counts as published by a reading that was taken when the board showed it`() throws {
        trial.settle(.wishes([Wish("team-a", .lead(seconds: 15)), Wish("team-b", .lead(seconds: 15))]))
        trial.clocks.forget()

        _ = trial.incarnation.take(.leave(.release))
        let looks = trial.clocks.looks
        // One reading for the event, before its table; one for the publication, after it.
        #expect(looks.map(\.led) == [2, 0])
        #expect(looks[0].now.boottime < looks[1].now.boottime)
    }
}

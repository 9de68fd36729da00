internal import Election
internal import Platform

/// Tells people how the election goes: one line an event that matters, whatever the number of namespaces.
///
/// Nothing is written per heartbeat. Many events of one kind become a sum, repeats of a failure a count, and a wait is
/// reported while it lasts, ever more rarely. A value of its owner, who calls ``advance(_:at:)`` once a second.
struct ElectionLog {
    /// What happens to one namespace or record, and may happen to ten thousand at once.
    private enum Kind: Int, CaseIterable {
        case led, lapsed, lost, givingBack, gaveBack, holderChanged, refused, unreadable, deleted

        var level: Log.Level {
            switch self {
            case .led, .givingBack, .gaveBack, .holderChanged: .info
            case .lapsed, .lost, .deleted: .warning
            case .refused, .unreadable: .error
            }
        }

        func sum(_ count: String) -> String {
            switch self {
            case .led: "Leads \(count) more namespaces"
            case .lapsed: "No longer leads \(count) more namespaces, whose windows ended before a heartbeat succeeded"
            case .lost: "No longer leads \(count) more namespaces"
            case .givingBack: "Gives \(count) more namespaces back"
            case .gaveBack: "Gave \(count) more namespaces back"
            case .holderChanged: "\(count) more namespaces changed hands"
            case .refused: "Does not compete for \(count) more namespaces"
            case .unreadable: "Cannot read \(count) more records"
            case .deleted: "Somebody deleted the lease records of \(count) more namespaces"
            }
        }
    }

    /// The events of one kind since a time at which there were none.
    private struct Burst {
        var began: Reading
        var lines = 0
        var held = 0
        /// What the held ones have in common, such as a holder, and how many do.
        var tallies: [String: Int] = [:]

        static let length = Duration.seconds(1)
        static let linesMax = 20
        static let talliesMax = 5
    }

    /// A wait that is reported while it lasts.
    private struct Wait {
        let began: Reading
        var reported: Reading
        var interval: Duration

        static let intervalMin = Duration.seconds(4)
        /// A standby replica waits for months.
        static let intervalMax = Duration.seconds(300)
    }

    private let log: Log
    private let cluster: String
    private var bursts: [Burst?] = Array(repeating: nil, count: Kind.allCases.count)
    private var failures: RepeatedFailures
    private var foreign: Set<String> = []
    /// What is waited for before anything else can happen, such as another replica's end.
    private var obstacle: String?
    private var wait: Wait?
    private var hasSettled = false

    /// How many names of foreign objects are remembered, so that each is reported once.
    private static let foreignMax = 100
    /// How many namespaces are named where more are meant.
    private static let namedMax = 3

    init(_ log: Log, cluster: String) {
        self.log = log
        self.cluster = cluster
        failures = RepeatedFailures(log)
    }

    // MARK: Events

    mutating func note(_ note: Note, at now: Reading) {
        switch note {
        case .standingBy(let incarnation, let takeOverAfter):
            waits(
                for: "Stands by for the active run of cluster \(cluster)'s controller, incarnation \(incarnation); "
                    + "takes over when that has been silent for \(takeOverAfter.forPeople)", at: now)
        case .otherUID(let found, let own, let takeOverAfter):
            log.warning(
                "The member record of cluster \(cluster) was written by a cluster with another uid, \(found); this "
                    + "one's is \(own). If two clusters have this name, rename one of them")
            waits(
                for: "Waits until the other cluster under the name \(cluster) has been silent for "
                    + "\(takeOverAfter.forPeople), to take over from it", at: now)
        case .tookOver(let previous, let uidChanged):
            obstacle = nil
            wait = nil
            let from = previous.map { ", after incarnation \($0)" } ?? ""
            if uidChanged {
                log.warning(
                    "Takes part in the election as cluster \(cluster)\(from), which had another uid and was silent")
            } else {
                log.info("Takes part in the election as cluster \(cluster)\(from)")
            }
        case .led(let namespace, let term):
            one(.led, now, "Leads \(namespace)", ["term": "\(term)"])
        case .lapsed(let namespace, let term):
            one(
                .lapsed, now, "No longer leads \(namespace): its window ended before a heartbeat succeeded",
                ["term": "\(term)"])
        case .lost(let namespace, let term, let reason):
            one(.lost, now, "No longer leads \(namespace): \(reason)", ["term": "\(term)"], tally: reason)
        case .givingBack(let namespace, let to):
            one(
                .givingBack, now,
                "Gives \(namespace) back\(to.map { " so that \($0) can lead it" } ?? ""), once no webhook acts on it any "
                    + "more", tally: to.map { "for \($0)" })
        case .gaveBack(let namespace):
            one(.gaveBack, now, "Gave \(namespace) back; its lease is free")
        case .holderChanged(let namespace, let holder, let term):
            one(
                .holderChanged, now, holder.map { "\($0) leads \(namespace)" } ?? "Nobody leads \(namespace)",
                ["term": "\(term)"], tally: holder.map { "to \($0)" } ?? "to nobody")
        case .refused(let namespace, let reason):
            one(.refused, now, "Does not compete for \(namespace): \(reason)", tally: reason)
        case .unreadable(let record, let reason):
            one(
                .unreadable, now,
                "Cannot read the record \(record): \(reason). It is never overwritten: find out who wrote it. To "
                    + "have it made anew, stop the controllers of all clusters before you delete it", tally: reason)
        case .deleted(let namespace):
            one(.deleted, now, "Somebody deleted the lease record of \(namespace); it is made again after a wait")
        case .requestFailed(let failure):
            let what = failure.name.split(separator: "/").first ?? ""
            let effect = failure.isUnclear && failure.operation == "write" ? ", and may have taken effect" : ""
            failures.failed(
                "\(failure.operation) \(what) \(failure.isUnclear)",
                "Could not \(failure.operation) \(failure.name) in the store\(effect): \(failure.reason)", at: now)
        case .requestsSucceedAgain:
            // Not a failure, but as frequent when only some requests fail.
            if failures.isFirst("recovered", at: now) { log.info("The store answers again") }
        }
    }

    /// Objects in the store that are no records.
    mutating func foreignObjects(_ names: [String]) {
        for name in names where foreign.count < Self.foreignMax && foreign.insert(name).inserted {
            log.warning("Ignores the object \(name) in the store: its name is not that of a cluster or namespace")
        }
    }

    /// Something must happen before this cluster can act; reported now and while it lasts.
    mutating func waits(for text: String, at now: Reading) {
        guard obstacle != text else { return }
        obstacle = text
        wait = Wait(began: now, reported: now, interval: Wait.intervalMin)
        log.info(text)
    }

    // MARK: As time passes

    /// Writes the sums, counts and progress lines that are due.
    ///
    /// - Parameters:
    ///   - table: what admissions are judged by.
    ///   - silent: the lease of a silent cluster that is waited for the longest.
    mutating func advance(_ table: LeadershipTable, silent: Elector.SilentHolder?, at now: Reading) {
        for kind in Kind.allCases {
            guard let burst = bursts[kind.rawValue], now.elapsedForWait(since: burst.began) >= Burst.length else {
                continue
            }
            end(burst, of: kind, at: now)
        }
        failures.advance(at: now)
        reportProgress(table, silent: silent, at: now)
    }

    /// Writes everything that is still held back.
    mutating func end(at now: Reading) {
        for kind in Kind.allCases {
            if let burst = bursts[kind.rawValue] { end(burst, of: kind, at: now) }
        }
        failures.end(at: now)
    }

    private mutating func reportProgress(
        _ table: LeadershipTable, silent: Elector.SilentHolder?, at now: Reading
    ) {
        let text: String
        if let obstacle {
            text = obstacle
        } else {
            let survey = Survey(table, at: now)
            if let silent {
                text =
                    "\(silent.holder) is silent: waits for its lease of \(silent.namespace) to run out, at most "
                    + "\(silent.rest.forPeople) more; \(survey.sentence)"
            } else if survey.leaderless == 0 {
                if wait != nil || !hasSettled, survey.total > 0 {
                    log.info(survey.sentence)
                    hasSettled = true
                }
                wait = nil
                return
            } else {
                text = survey.sentence
            }
        }
        guard var wait else {
            // The first line comes when the wait has lasted: most are over at once.
            self.wait = Wait(began: now, reported: now, interval: Wait.intervalMin)
            return
        }
        guard now.elapsedForWait(since: wait.reported) >= wait.interval else { return }
        log.info(text, ["waited": now.elapsedForWait(since: wait.began).forPeople])
        wait.reported = now
        wait.interval = min(wait.interval * 2, Wait.intervalMax)
        self.wait = wait
    }

    // MARK: Bounds

    /// Writes one event's line, or holds it back for the sum when there are many.
    private mutating func one(
        _ kind: Kind, _ now: Reading, _ text: String, _ fields: KeyValuePairs<String, String> = [:],
        tally: String? = nil
    ) {
        var burst = bursts[kind.rawValue] ?? Burst(began: now)
        if burst.lines < Burst.linesMax {
            burst.lines += 1
            write(kind.level, text, fields)
        } else {
            burst.held += 1
            if let tally, burst.tallies[tally] != nil || burst.tallies.count < Burst.talliesMax {
                burst.tallies[tally, default: 0] += 1
            }
        }
        bursts[kind.rawValue] = burst
    }

    private mutating func end(_ burst: Burst, of kind: Kind, at now: Reading) {
        guard burst.held > 0 else {
            bursts[kind.rawValue] = nil
            return
        }
        let tallies = burst.tallies.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { "\($0.value.forPeople) \($0.key)" }.joined(separator: ", ")
        write(kind.level, kind.sum(burst.held.forPeople) + (tallies.isEmpty ? "" : ": \(tallies)"), [:])
        // Still many a second: sums only, until a second has none.
        bursts[kind.rawValue] = Burst(began: now, lines: Burst.linesMax)
    }

    private func write(_ level: Log.Level, _ text: String, _ fields: KeyValuePairs<String, String>) {
        switch level {
        case .debug: log.debug(text, fields)
        case .info: log.info(text, fields)
        case .warning: log.warning(text, fields)
        case .error: log.error(text, fields)
        }
    }

    /// Who leads how many namespaces, and which have no leader.
    private struct Survey {
        private var led = 0
        private var followed = 0
        private(set) var leaderless = 0
        private var named: [String] = []

        var total: Int { led + followed + leaderless }

        init(_ table: LeadershipTable, at now: Reading) {
            for slot in table.entries.indices {
                let reason: String
                switch table.standing(slot: slot, at: now) {
                case .leads:
                    led += 1
                    continue
                case .follows:
                    followed += 1
                    continue
                case .unmanaged, .vacant(_, .notElected): continue
                case .vacant(_, .unknown), .vacant(_, .silent): reason = "its lease has not been read yet"
                case .vacant(_, .free): reason = "its lease is free"
                case .vacant(_, .lapsed): reason = "this cluster's claim has run out"
                case .vacant(_, .unreadable): reason = "its record cannot be read"
                }
                leaderless += 1
                if named.count < ElectionLog.namedMax { named.append("\(table.index.names[slot]): \(reason)") }
            }
        }

        var sentence: String {
            let counts = "Leads \(namespaces(led)), others lead \(followed.forPeople)"
            guard leaderless > 0 else { return counts }
            let more = leaderless > named.count ? "; and \((leaderless - named.count).forPeople) more" : ""
            return "\(counts), nobody leads \(namespaces(leaderless)) (\(named.joined(separator: "; "))\(more))"
        }

        private func namespaces(_ count: Int) -> String {
            count == 1 ? "1 namespace" : "\(count.forPeople) namespaces"
        }
    }
}

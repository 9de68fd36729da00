internal import Election
internal import Platform

/// Reports a failure when it first happens, and then how often it has happened once a minute, whatever its number.
struct RepeatedFailures {
    /// A failure that was reported and may come again.
    private struct Repeated {
        var since: Reading
        var more = 0
        var text: String
    }

    static let period = Duration.seconds(60)

    private let log: Log
    private var failures: [String: Repeated] = [:]

    init(_ log: Log) {
        self.log = log
    }

    /// - Parameter key: what repeats; a failure of another key has a line of its own.
    mutating func failed(_ key: String, _ text: String, at now: Reading) {
        if var failure = failures[key] {
            failure.more += 1
            failure.text = text
            failures[key] = failure
        } else {
            failures[key] = Repeated(since: now, text: text)
            log.warning(text)
        }
    }

    /// Whether nothing of this key happened within the period; for what is told in another way.
    mutating func isFirst(_ key: String, at now: Reading) -> Bool {
        guard failures[key] == nil else { return false }
        failures[key] = Repeated(since: now, text: "")
        return true
    }

    /// What failed has succeeded: the counts of it, which would look like new failures, are not written any more.
    ///
    /// - Parameter prefix: of the keys that it had.
    mutating func succeeded(_ prefix: String) {
        for key in failures.keys where key.hasPrefix(prefix) { failures[key] = nil }
    }

    /// Writes the counts that are due.
    mutating func advance(at now: Reading) {
        for (key, failure) in failures where now.elapsedForWait(since: failure.since) >= Self.period {
            report(failure, key, at: now)
        }
    }

    /// Writes everything that is still held back.
    mutating func end(at now: Reading) {
        for (key, failure) in failures { report(failure, key, at: now) }
    }

    private mutating func report(_ failure: Repeated, _ key: String, at now: Reading) {
        guard failure.more > 0 else {
            failures[key] = nil
            return
        }
        let seconds = now.elapsedForWait(since: failure.since).forPeople
        log.warning("\(failure.text) (\(failure.more.forPeople) more of these in the last \(seconds))")
        failures[key] = Repeated(since: now, text: failure.text)
    }
}

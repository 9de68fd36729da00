package import Election

/// Reports a failure when it first happens, and then how often it has happened once a minute, whatever its number.
package struct RepeatedFailures: Sendable {
    /// A failure that was reported and may come again.
    private struct Repeated {
        var since: Reading
        var more = 0
        var text: String
    }

    static let period = Duration.seconds(60)
    /// How many failures are told apart at once. At the bound new ones are told without being remembered.
    static let keysMax = 256

    private let log: Log
    private var failures: [String: Repeated] = [:]

    /// Whether there is nothing to count.
    package var isEmpty: Bool { failures.isEmpty }

    package init(_ log: Log) {
        self.log = log
    }

    /// - Parameter key: what repeats; a failure of another key has a line of its own.
    package mutating func failed(_ key: String, _ text: String, at now: Reading) {
        if let line = take(key, text, at: now) { log.warning(line) }
    }

    /// As ``failed(_:_:at:)``, for an owner that holds a lock and may not write under it.
    ///
    /// - Returns: the line to write; nil: it is held back.
    package mutating func take(_ key: String, _ text: String, at now: Reading) -> String? {
        guard var failure = failures[key] else {
            if failures.count < Self.keysMax { failures[key] = Repeated(since: now, text: text) }
            return text
        }
        failure.more += 1
        failure.text = text
        failures[key] = failure
        return nil
    }

    /// Whether nothing of this key happened within the period; for what is told in another way.
    package mutating func isFirst(_ key: String, at now: Reading) -> Bool {
        guard failures[key] == nil else { return false }
        failures[key] = Repeated(since: now, text: "")
        return true
    }

    /// What failed has succeeded: the counts of it, which would look like new failures, are not written any more.
    ///
    /// - Parameter prefix: of the keys that it had.
    package mutating func succeeded(_ prefix: String) {
        for key in failures.keys where key.hasPrefix(prefix) { failures[key] = nil }
    }

    /// Writes the counts that are due.
    package mutating func advance(at now: Reading) {
        for line in due(at: now) { log.warning(line) }
    }

    /// As ``advance(at:)``, for an owner that holds a lock and may not write under it.
    package mutating func due(at now: Reading) -> [String] {
        guard !failures.isEmpty else { return [] }
        return failures.filter { now.elapsedForWait(since: $0.value.since) >= Self.period }.sorted { $0.key < $1.key }
            .compactMap { report($0.value, $0.key, at: now) }
    }

    /// Writes everything that is still held back.
    package mutating func end(at now: Reading) {
        for line in rest(at: now) { log.warning(line) }
    }

    /// As ``end(at:)``, for an owner that holds a lock and may not write under it.
    package mutating func rest(at now: Reading) -> [String] {
        failures.sorted { $0.key < $1.key }.compactMap { report($0.value, $0.key, at: now) }
    }

    private mutating func report(_ failure: Repeated, _ key: String, at now: Reading) -> String? {
        guard failure.more > 0 else {
            failures[key] = nil
            return nil
        }
        let seconds = now.elapsedForWait(since: failure.since).forPeople
        failures[key] = Repeated(since: now, text: failure.text)
        return "\(failure.text) (\(failure.more.forPeople) more of these in the last \(seconds))"
    }
}

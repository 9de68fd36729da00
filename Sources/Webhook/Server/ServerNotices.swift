internal import Election
internal import Platform
private import Synchronization

/// Tells of what clients and the system do to a server: each kind when it first happens, and then its number once a
/// minute, for all loops together. Any thread may call it.
final class ServerNotices: Sendable {
    private let log: Log
    private let failures: Locked<RepeatedFailures>
    private let isHolding = Atomic<Bool>(false)
    private let readClocks: @Sendable () -> Reading

    /// How many reasons of handshakes have lines of their own: there are some dozens, which depend on OpenSSL's version.
    private static let reasonsMax = 16
    private let reasons = Locked<Set<String>>([])

    init(_ log: Log, readClocks: @escaping @Sendable () -> Reading = { .now() }) {
        self.log = log
        self.readClocks = readClocks
        failures = Locked(RepeatedFailures(log))
    }

    /// - Parameter peer: its address.
    func handshakeFailed(with peer: String, on server: String, _ reason: String) {
        let isKnown = reasons.withLock { reasons in
            reasons.contains(reason) || reasons.count < Self.reasonsMax && reasons.insert(reason).inserted
        }
        take(
            "handshake \(isKnown ? reason : "")",
            "A TLS handshake of \(peer) with the port \(server) failed: \(reason). If that is a client of yours, check "
                + "whom it trusts, that it speaks TLS 1.2 or later, and its certificate if the port asks for one")
    }

    func connectionClosed(on server: String, _ reason: String) {
        take("closed", "A connection to the port \(server) was closed: \(reason)")
    }

    func acceptPaused(on server: String, _ reason: String) {
        take("pause", "New connections to the port \(server) have to wait: \(reason)")
    }

    private func take(_ key: String, _ text: String) {
        let now = readClocks()
        let line = failures.withLock { failures in
            isHolding.store(true, ordering: .relaxed)
            return failures.take(key, text, at: now)
        }
        if let line { log.warning(line) }
    }

    /// Whether ``advance()`` is to be called, every few seconds.
    var isWaiting: Bool { isHolding.load(ordering: .relaxed) }

    /// Writes the counts that are due.
    func advance() {
        let now = readClocks()
        let lines = failures.withLock { failures in
            let lines = failures.due(at: now)
            if failures.isEmpty { isHolding.store(false, ordering: .relaxed) }
            return lines
        }
        for line in lines { log.warning(line) }
    }

    /// Writes everything that is still held back.
    func end() {
        let now = readClocks()
        for line in failures.withLock({ $0.rest(at: now) }) { log.warning(line) }
    }
}

/// What a store got wrong when it was tried; with such a store two clusters could lead at once.
package enum StoreProbeFailure: Error, Hashable, Sendable, CustomStringConvertible {
    case createsOverExisting
    case ignoresVersions
    case repeatsVersions
    case readsOtherThanWritten
    case listsOtherThanRead
    /// Other processes rewrote the probe object each time before it could be judged.
    case disturbed
    /// The store could not be asked.
    case unanswered(StoreError)

    package var description: String {
        switch self {
        case .createsOverExisting:
            "The store overwrites an object that must not exist yet. \(Self.unsafe)"
        case .ignoresVersions:
            "The store overwrites an object whose version is another than the one to replace. \(Self.unsafe)"
        case .repeatsVersions:
            "The store gives a new write the version of an older one. \(Self.unsafe)"
        case .readsOtherThanWritten:
            "The store does not read back what was just written: it is cached, or not linearizable. \(Self.unsafe)"
        case .listsOtherThanRead:
            "The store's list shows another version than a read, or none: it is cached, or not linearizable. "
                + Self.unsafe
        case .disturbed:
            "The object \(ObjectName.probe), with which the store is tried, keeps being rewritten by others. "
                + "Start again when fewer processes start at once."
        case .unanswered(.failed(let text)), .unanswered(.unclear(let text)):
            "The store could not be tried: \(text)"
        case .unanswered(.conflict):
            "The store could not be tried."
        }
    }

    private static let unsafe = "Two clusters could lead at once with it: use another store."
}

extension LeaseStore {
    /// Tries out whether the store keeps its contract, on the object `members/~probe`, which stays behind.
    ///
    /// Some services that speak a known protocol ignore its conditions, and nothing else would show it before
    /// two clusters lead. Several processes may do it at once. Writes once, and twice the first time ever.
    package func probe() async throws(StoreProbeFailure) {
        try await probe(pausing: .seconds(1))
    }

    /// - Parameter pause: before each write, once one had no clear answer: some stores take one write a second of an object.
    func probe(pausing pause: Duration) async throws(StoreProbeFailure) {
        var unclear: StoreProbeFailure?
        for attempt in 0..<8 {
            do throws(StoreProbeFailure) {
                if try await probeOnce(pausing: unclear == nil ? .zero : pause) { return }
                // Others try it, too: all begin again, at times that lie further and further apart. Cancelled meanwhile:
                // the next request fails for that.
                try? await Task.sleep(for: pause / 20 * (1 << attempt) * Double.random(in: 0...1), clock: .continuous)
            } catch {
                guard case .unanswered(.unclear) = error, attempt < 4, !Task.isCancelled else { throw error }
                unclear = error
            }
        }
        throw unclear ?? .disturbed
    }

    /// - Returns: false when another process's probe came in between, so that nothing is known.
    private func probeOnce(pausing pause: Duration) async throws(StoreProbeFailure) -> Bool {
        let before: ObjectVersion
        if let found = try await readProbe() {
            before = found.version
        } else {
            guard let created = try await writeProbe([], replacing: nil, after: pause) else { return false }
            before = created
        }
        let body = Array("try \(UInt64.random(in: .min ... .max))\n".utf8)
        guard let written = try await writeProbe(body, replacing: before, after: pause) else { return false }
        guard written != before else { throw .repeatsVersions }

        let read = try await readProbe()
        if read == nil || read?.version == before { throw .readsOtherThanWritten }
        guard read?.version == written else { return false }
        guard read?.body == body else { throw .readsOtherThanWritten }

        let listed: StoredObject?
        do throws(StoreError) {
            listed = try await list(ObjectName.probe.folder).first { $0.name == .probe }
        } catch {
            throw .unanswered(error)
        }
        if listed == nil || listed?.version == before { throw .listsOtherThanRead }
        guard listed?.version == written else { return false }
        guard listed?.body == body else { throw .listsOtherThanRead }

        if try await writeProbe(body, replacing: nil, after: pause) != nil { throw .createsOverExisting }
        if try await writeProbe(body, replacing: before, after: pause) != nil { throw .ignoresVersions }
        return true
    }

    private func readProbe() async throws(StoreProbeFailure) -> StoredObject? {
        do throws(StoreError) {
            return try await read(.probe)
        } catch {
            throw .unanswered(error)
        }
    }

    /// - Returns: nil when the store refused, as the object has another version.
    private func writeProbe(
        _ body: [UInt8], replacing version: ObjectVersion?, after pause: Duration
    ) async throws(StoreProbeFailure) -> ObjectVersion? {
        // Cancelled while it sleeps: the write itself then fails for that.
        if pause > .zero { try? await Task.sleep(for: pause, clock: .continuous) }
        do throws(StoreError) {
            return try await write(.probe, body, replacing: version)
        } catch {
            if error == .conflict { return nil }
            throw .unanswered(error)
        }
    }
}

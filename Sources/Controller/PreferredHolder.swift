package import Election
private import FoundationEssentials
package import Storage

/// The wish that a certain cluster should lead a namespace, as it stands in the lease record: what starts a planned
/// handover (protocol, "planned handover and preference").
package enum PreferredHolder {
    package enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
        /// No cluster competes for the namespace yet.
        case noRecord(namespace: String)
        case unreadable(namespace: String, RecordError)
        /// Each attempt met somebody else's write, or its answer was lost.
        case contested(namespace: String)
        case store(StoreError)

        package var description: String {
            switch self {
            case .noRecord(let namespace):
                "there is no lease record of \(namespace): no cluster competes for it yet. Run one that does, and check "
                    + "the spelling and --store"
            case .unreadable(let namespace, let error):
                "leases/\(namespace) is no lease record, and is left alone: \(error). Repair or delete the object"
            case .contested(let namespace):
                "leases/\(namespace) could not be changed in \(attemptsMax) attempts: each time somebody else wrote it "
                    + "first, or the answer was lost. Try again"
            case .store(.failed(let text)), .store(.unclear(let text)): text
            case .store(.conflict): "the store answered a read with a version conflict"
            }
        }
    }

    /// What ``set(_:of:in:)`` left behind.
    package struct Outcome: Hashable, Sendable {
        /// The record as it is now.
        package let record: LeaseRecord
        /// Whether every cluster was told to look; else each notices at its next re-list.
        package let isNoticed: Bool
    }

    /// A conflict means that somebody else's write got through; more of them in a row than clusters could cause is a fault.
    private static let attemptsMax = 20

    /// Changes only the wish, by compare-and-swap, and makes every cluster look.
    ///
    /// - Parameter target: a valid cluster name; nil: whoever leads goes on.
    package static func set(
        _ target: String?, of namespace: String, in store: any LeaseStore
    ) async throws(Failure) -> Outcome {
        let record = try await write(target, of: namespace, in: store)
        return Outcome(record: record, isNoticed: try await rewriteNotice(in: store))
    }

    /// Changes only the wish, by compare-and-swap; ``rewriteNotice(in:)`` then makes every cluster look, once for many.
    ///
    /// - Returns: the record as it is now.
    package static func write(
        _ target: String?, of namespace: String, in store: any LeaseStore
    ) async throws(Failure) -> LeaseRecord {
        for _ in 0..<attemptsMax {
            let (found, name, version) = try await read(namespace, in: store)
            var record = found
            // As wanted already: by an earlier request, or by a write of this one whose answer was lost.
            if record.preferredHolder != target {
                record.preferredHolder = target
                record.write = UUID().uuidString.lowercased()
                do throws(StoreError) {
                    _ = try await store.write(name, record.encoded(), replacing: version)
                } catch {
                    switch error {
                    case .conflict, .unclear: continue
                    case .failed: throw .store(error)
                    }
                }
            }
            return record
        }
        throw .contested(namespace: namespace)
    }

    /// The lease record as it is now.
    package static func record(of namespace: String, in store: any LeaseStore) async throws(Failure) -> LeaseRecord {
        try await read(namespace, in: store).record
    }

    private static func read(
        _ namespace: String, in store: any LeaseStore
    ) async throws(Failure) -> (record: LeaseRecord, name: ObjectName, version: ObjectVersion) {
        guard let name = ObjectName(.leases, namespace) else {
            preconditionFailure("every valid name is an object's name: \(namespace)")
        }
        let object: StoredObject?
        do throws(StoreError) { object = try await store.read(name) } catch { throw .store(error) }
        guard let object else { throw .noRecord(namespace: namespace) }
        do throws(RecordError) {
            return (try LeaseRecord(parsing: object.body), name, object.version)
        } catch {
            throw .unreadable(namespace: namespace, error)
        }
    }

    /// Makes every cluster list the leases.
    ///
    /// - Returns: whether it could be done; else each notices at its next re-list.
    package static func rewriteNotice(in store: any LeaseStore) async throws(Failure) -> Bool {
        for _ in 0..<attemptsMax {
            do throws(StoreError) {
                let version = try await store.read(.notice)?.version
                let body = "{\"write\":\"\(UUID().uuidString.lowercased())\"}\n"
                _ = try await store.write(.notice, Array(body.utf8), replacing: version)
                return true
            } catch {
                switch error {
                // Somebody else rewrote it after the lease record had changed, which serves as well.
                case .conflict: return true
                case .unclear: continue
                case .failed: throw .store(error)
                }
            }
        }
        return false
    }
}

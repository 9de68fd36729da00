internal import FoundationEssentials

/// `leases/<namespace>` of a ``RenewedLease``, with the fields that such records usually have. Times are nanoseconds
/// since 1970 on the holder's wall clock.
package struct RenewedLeaseRecord: Hashable, Sendable, Codable {
    package var holderIdentity: String
    package var leaseDurationSeconds: Int
    package var acquireTime: Int64
    package var renewTime: Int64
    /// Grows when the holder changes: the nearest that this record has to a term.
    package var leaderTransitions: Int

    package init(
        holderIdentity: String, leaseDurationSeconds: Int, acquireTime: Int64, renewTime: Int64, leaderTransitions: Int
    ) {
        self.holderIdentity = holderIdentity
        self.leaseDurationSeconds = leaseDurationSeconds
        self.acquireTime = acquireTime
        self.renewTime = renewTime
        self.leaderTransitions = leaderTransitions
    }

    /// - Throws: when this is no such record.
    package init(parsing body: [UInt8]) throws {
        self = try JSONDecoder().decode(RenewedLeaseRecord.self, from: Data(body))
    }

    package func encoded() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        do {
            return [UInt8](try encoder.encode(self))
        } catch {
            // Strings and integers only: the encoder has nothing to refuse.
            preconditionFailure("a record cannot be encoded: \(error)")
        }
    }
}

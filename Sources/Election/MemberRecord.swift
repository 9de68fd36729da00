internal import FoundationEssentials

/// `members/<cluster>`: a cluster's heartbeat.
package struct MemberRecord: Hashable, Sendable, Codable {
    package enum State: String, Hashable, Sendable, Codable {
        /// Takes part.
        case live
        /// This incarnation has left; another of the same cluster may take over at once.
        case handover
        /// Has left, and every lease of this cluster is free.
        case stopped
    }

    package var cluster: String
    /// Of the cluster's `kube-system` namespace, or kept in the state directory outside Kubernetes.
    package var uid: String
    /// Who writes the record now.
    package var incarnation: String
    /// Grows with every attempt to write, so that an attempt can be recognised later.
    package var sequence: UInt64
    package var state: State
    /// For how long after this record was replaced some agent of this cluster may still act on what came before.
    package var quietSeconds: Int
    /// Grows when this cluster changed a lease record, and at every take-over.
    package var leaseSequence: UInt64
    /// RFC 3339, for people.
    package var renewTime: String
    /// For people.
    package var renewIntervalSeconds: Double

    package init(
        cluster: String, uid: String, incarnation: String, sequence: UInt64, state: State, quietSeconds: Int,
        leaseSequence: UInt64, renewTime: String, renewIntervalSeconds: Double
    ) {
        self.cluster = cluster
        self.uid = uid
        self.incarnation = incarnation
        self.sequence = sequence
        self.state = state
        self.quietSeconds = quietSeconds
        self.leaseSequence = leaseSequence
        self.renewTime = renewTime
        self.renewIntervalSeconds = renewIntervalSeconds
    }

    /// Reads the record of `cluster`.
    ///
    /// - Throws: ``RecordError`` when this is not one: the object is then foreign and must not be overwritten.
    package init(parsing body: [UInt8], ofCluster cluster: String) throws(RecordError) {
        self = try RecordCoding.decode(MemberRecord.self, from: body)
        guard self.cluster == cluster else {
            throw RecordError("it says cluster \"\(self.cluster)\", under the name of \"\(cluster)\"")
        }
        guard !uid.isEmpty, !incarnation.isEmpty else { throw RecordError("uid or incarnation is empty") }
        guard max(sequence, leaseSequence) <= RecordCoding.counterMax else {
            throw RecordError("sequence \(sequence) or leaseSequence \(leaseSequence) cannot grow for ever")
        }
        quietSeconds = min(max(quietSeconds, 0), Timing.recordedDurations.upperBound)
    }

    package func encoded() -> [UInt8] { RecordCoding.encode(self) }
}

/// Why an object is not one of the protocol's records.
package struct RecordError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// JSON with sorted keys, so that people find their way and equal records have equal bytes.
enum RecordCoding {
    /// Far above any record of ours; a larger object is foreign.
    static let bytesMax = 64 * 1024
    /// Nobody gets here by counting; from here on no counter overflows within the life of the universe.
    static let counterMax = UInt64(1) << 62

    private static let decoder = JSONDecoder()
    private static let encoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()

    static func encode(_ record: some Encodable) -> [UInt8] {
        do {
            return [UInt8](try encoder.encode(record)) + [UInt8(ascii: "\n")]
        } catch {
            // Strings, integers and finite intervals only: the encoder has nothing to refuse.
            preconditionFailure("a record cannot be encoded: \(error)")
        }
    }

    static func decode<Record: Decodable>(_ type: Record.Type, from body: [UInt8]) throws(RecordError) -> Record {
        // What a store has but cannot read comes without a body.
        guard !body.isEmpty else { throw RecordError("it is empty, or the store cannot read it") }
        guard body.count <= bytesMax else { throw RecordError("\(body.count) bytes are more than any record has") }
        do {
            return try decoder.decode(type, from: Data(body))
        } catch DecodingError.keyNotFound(let key, _) {
            throw RecordError("the field \"\(key.stringValue)\" is missing")
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            throw RecordError(
                "the field \"\(context.codingPath.map(\.stringValue).joined(separator: "."))\" has a wrong type")
        } catch {
            throw RecordError("it is not a JSON object with the fields of a record")
        }
    }
}

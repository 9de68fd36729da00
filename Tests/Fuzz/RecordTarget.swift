import Election

/// Records of the store, and the times in them.
enum RecordTarget {
    static func runLease(_ bytes: [UInt8]) throws(Finding) {
        guard let record = try? LeaseRecord(parsing: bytes) else { return }
        try require(Timing.recordedDurations.contains(record.leaseDurationSeconds), "a duration out of bounds")
        try require(record.isFree || RecordName.isValid(record.holderIdentity), "a holder without a valid name")
        let again = try? LeaseRecord(parsing: record.encoded())
        try require(again == record, "written, it is another one")
    }

    static func runMember(_ bytes: [UInt8]) throws(Finding) {
        guard let record = try? MemberRecord(parsing: bytes, ofCluster: "east") else { return }
        try require((0...Timing.recordedDurations.upperBound).contains(record.quietSeconds), "a time out of bounds")
        let again = try? MemberRecord(parsing: record.encoded(), ofCluster: "east")
        try require(again == record, "written, it is another one")
    }

    static func runTimestamp(_ bytes: [UInt8]) throws(Finding) {
        guard let text = String(validating: bytes, as: UTF8.self), let time = Timestamp.parse(text) else { return }
        let written = Timestamp.format(microseconds: time)
        try require(written.utf8.count == 27, "\(text) becomes \(written)")
        // The year 9999 ends in the year 10000 by a leap second or a 31st of a shorter month, and only so.
        try require(Timestamp.parse(written) == time || text.hasPrefix("9999-12-31T23:59:60"), "\(text), \(written)")
    }
}

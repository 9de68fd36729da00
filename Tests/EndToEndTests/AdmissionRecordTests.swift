import Testing

/// That the judge of the other tests sees what it is there for.
struct AdmissionRecordTests {
    private let start = ContinuousClock.now

    /// Answers of these clusters, each asked and answered at these milliseconds.
    private func record(_ answers: (cluster: String, sent: Int, received: Int, isAdmitted: Bool)...) -> AdmissionRecord
    {
        var record = AdmissionRecord()
        for answer in answers {
            record.add(
                AdmissionDoor.Answer(
                    cluster: answer.cluster, kind: .webhook, sent: start + .milliseconds(answer.sent),
                    received: start + .milliseconds(answer.received),
                    verdict: answer.isAdmitted ? .admitted : .denied(code: 403, retryAfterSeconds: nil), text: ""))
        }
        return record
    }

    @Test func `tenures are told apart by when questions were put, in whatever order answers came`() {
        let record = record(
            ("west", 50, 60, true), ("east", 10, 20, true), ("east", 0, 40, true), ("west", 5, 25, false),
            ("east", 70, 80, true))
        #expect(record.tenures.map(\.cluster) == ["east", "west", "east"])
        #expect(record.tenures.map { ($0.last.received - start) / .milliseconds(1) } == [40, 60, 80])
        #expect(record.overlaps.isEmpty)
    }

    @Test func `an answer that admits after another cluster was asked and admitted is an overlap`() {
        // Asked before, answered after.
        let record = record(("east", 0, 40, true), ("west", 30, 60, true))
        #expect(record.overlaps.map { [$0.cluster, $1.cluster] } == [["east", "west"]])
        // As a leader that was deposed without noticing.
        let late = self.record(("east", 0, 10, true), ("west", 30, 40, true), ("east", 35, 45, true))
        #expect(late.overlaps.map { [$0.cluster, $1.cluster] } == [["west", "east"]])
        #expect(late.tenures.count == 3)
    }

    @Test func `an answer that took longer than the commit margin does not tell when it was decided`() {
        let record = record(("east", 0, 800, true), ("west", 700, 720, true))
        #expect(record.overlaps.isEmpty)
        #expect(record.tenures.count == 2)
    }
}

import Election
import Testing

@Suite struct TimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000000Z"), (1, "1970-01-01T00:00:00.000001Z"), (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_795_370_400_123_456, "2026-11-22T18:00:00.123456Z"),
            (-62_167_219_200_000_000, "0000-01-01T00:00:00.000000Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        ] as [(Int64, String)]) func `a time is written with microseconds and read back`(time: Int64, text: String)
    {
        #expect(Timestamp.format(microseconds: time) == text)
        #expect(Timestamp.parse(text) == time)
    }

    @Test func `a time in seconds is appended without a fraction`() {
        var text = Array("since ".utf8)
        Timestamp.append(seconds: 1_795_370_400, to: &text)
        #expect(String(decoding: text, as: UTF8.self) == "since 2026-11-22T18:00:00Z")
    }

    @Test(arguments: [Int64.min, .max]) func `a time that another cluster made up does no harm`(time: Int64) {
        #expect(Timestamp.format(microseconds: time).hasSuffix("Z"))
    }
}

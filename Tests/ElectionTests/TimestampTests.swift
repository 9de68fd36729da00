import Election
import Support
import Testing

struct TimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (951_868_800_000_000, "2000-03-01T00:00:00.000000Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (4_107_456_000_000_000, "2100-02-28T00:00:00.000000Z"),
            (1_767_323_045_000_001, "2026-01-02T03:04:05.000001Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
            (-62_167_219_200_000_000, "0000-01-01T00:00:00.000000Z"),
        ] as [(Int64, String)])
    func `edge dates are written and read`(microseconds: Int64, text: String) {
        #expect(Timestamp.format(microseconds: microseconds) == text)
        #expect(Timestamp.parse(text) == microseconds)
    }

    @Test func `what was written is read back`() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<20_000 {
            let time = random.within(-62_167_219_200_000_000...253_402_300_799_999_999)
            let text = Timestamp.format(microseconds: time)
            #expect(Timestamp.parse(text) == time)
            #expect(text.utf8.count == 27)
        }
    }

    @Test func `every day of four hundred years follows the one before`() {
        var previous = ""
        for day in Int64(0)..<146_097 {
            let text = Timestamp.format(microseconds: day * 86_400_000_000)
            #expect(text > previous && Timestamp.parse(text) == day * 86_400_000_000)
            previous = text
        }
        #expect(previous.hasPrefix("2369-12-31"))
    }

    @Test(arguments: [
        ("2026-01-02T03:04:05Z", 0), ("2026-01-02T03:04:05.5Z", 500_000), ("2026-01-02T03:04:05.000001Z", 1),
        ("2026-01-02T03:04:05.123456789Z", 123_456),
    ])
    func `any number of fraction digits up to nine is read`(text: String, fraction: Int64) {
        #expect(Timestamp.parse(text) == 1_767_323_045_000_000 + fraction)
    }

    @Test(arguments: [
        "", "Z", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05+00:00", "2026-01-02 03:04:05Z",
        "2026-13-02T03:04:05Z", "2026-00-02T03:04:05Z", "2026-01-32T03:04:05Z", "2026-01-00T03:04:05Z",
        "2026-01-02T24:04:05Z", "2026-01-02T03:60:05Z", "2026-01-02T03:04:61Z", "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05.1234567890Z", "2026-01-02T03:04:05,5Z", "x026-01-02T03:04:05Z", "2026-01-02T03:04:05.5z",
        "２０２６-01-02T03:04:05Z", "-026-01-02T03:04:05Z", "2026-01-02T03:04:05.-5Z",
    ])
    func `anything else is not a time`(text: String) { #expect(Timestamp.parse(text) == nil) }

    @Test func `a time in seconds is appended without a fraction`() {
        var text = Array("since ".utf8)
        Timestamp.append(seconds: 1_795_370_400, to: &text)
        #expect(String(decoding: text, as: UTF8.self) == "since 2026-11-22T18:00:00Z")
    }

    @Test func `no time makes it crash`() {
        for time in [Int64.min, .min + 1, .max, .max - 1] { _ = Timestamp.format(microseconds: time) }
    }
}

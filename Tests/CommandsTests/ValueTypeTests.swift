import Testing

@testable import Commands

struct DurationTests {
    @Test(arguments: [
        ("15s", Duration.seconds(15)), ("500ms", .milliseconds(500)), ("2m", .seconds(120)), ("1h", .seconds(3600)),
        ("15", .seconds(15)), ("0.5", .milliseconds(500)), ("1.5s", .milliseconds(1500)), ("250us", .microseconds(250)),
        ("1m30s", .seconds(90)), ("1h0m0s", .seconds(3600)), ("0", .zero), ("0s", .zero),
        ("999999999h", .seconds(999_999_999 * 3600)),
    ])
    func `reads durations with a unit, several units, or in plain seconds`(text: String, value: Duration) {
        #expect(DurationText.parse(text) == value)
    }

    @Test(arguments: [
        "", "s", "15 s", "15S", "15sec", "-1s", "+1s", "1e3", "1.s", ".5s", "1s2m", "1s1s", "1m30", "٣s", "1,5s", "inf",
        "9999999999s", "0.0000000001s", "15s ", "\u{FF11}",
    ])
    func `refuses what is no duration`(text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test(arguments: [
        (Duration.seconds(15), "15s"), (.milliseconds(500), "500ms"), (.seconds(90), "1m30s"), (.seconds(120), "2m"),
        (.seconds(3600), "1h"), (.milliseconds(1500), "1.5s"), (.microseconds(250), "0.25ms"), (.zero, "0s"),
        (.seconds(3661), "1h1m1s"), (.milliseconds(60_500), "1m0.5s"), (.seconds(86_400), "24h"),
    ])
    func `writes durations as they can be read back`(value: Duration, text: String) {
        #expect(DurationText.format(value) == text)
        #expect(DurationText.parse(text) == value)
    }
}

struct ValueTypeTests {
    @Test(arguments: [("1%", 10_000), ("0.5%", 5_000), ("0%", 0), ("10%", 100_000), ("0.0001%", 1)])
    func `reads percentages in parts per million`(text: String, value: Int) {
        let type = ValueType<Int>.percent(0...100_000)
        #expect(type.parse(text) == value)
        #expect(type.parse(type.format(value)) == value)
    }

    @Test(arguments: ["1", "", "%", "10.0001%", "11%", "-1%", "0.00001%", "1%%", "0.01 %"])
    func `refuses what is no percentage in range`(text: String) {
        #expect(ValueType<Int>.percent(0...100_000).parse(text) == nil)
    }

    @Test(arguments: [("1s", 1), ("15", 15), ("5m", 300), ("1000ms", 1)])
    func `reads whole seconds`(text: String, value: Int) {
        #expect(ValueType<Int>.wholeSeconds(1...300).parse(text) == value)
    }

    @Test(arguments: ["0", "1.5s", "301s", "500ms", "x"])
    func `refuses seconds that are not whole or not in range`(text: String) {
        #expect(ValueType<Int>.wholeSeconds(1...300).parse(text) == nil)
    }

    @Test(arguments: ["0", "-1", "101", "1.0", "", "99999999999999999999", "٣", "1_0"])
    func `refuses integers out of range`(text: String) {
        #expect(ValueType<Int>.integer(1...100).parse(text) == nil)
    }

    @Test func `takes the bounds of a range`() {
        #expect(ValueType<Int>.integer(1...100).parse("1") == 1)
        #expect(ValueType<Int>.integer(1...100).parse("100") == 100)
        let type = ValueType<Duration>.duration(.milliseconds(10)...(.seconds(10)))
        #expect(type.parse("10ms") == .milliseconds(10))
        #expect(type.parse("10s") == .seconds(10))
        #expect(type.parse("9ms") == nil)
        #expect(type.parse("10.001s") == nil)
    }
}

struct SpellingTests {
    static let flags = ["lease-duration", "store", "store-timeout", "cluster", "mode"]

    @Test(arguments: [
        ("lease-duratoin", "lease-duration"), ("leaseduration", "lease-duration"), ("clutser", "cluster"),
        ("lease", "lease-duration"), ("stor", "store"), ("mod", "mode"),
    ])
    func `guesses what was meant`(given: String, meant: String) {
        #expect(Spelling.nearest(to: given, among: Self.flags) == meant)
    }

    @Test(arguments: ["", "verbose", "xyz", "namespace"])
    func `guesses nothing when nothing is near`(given: String) {
        #expect(Spelling.nearest(to: given, among: Self.flags) == nil)
    }
}

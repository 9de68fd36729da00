/// Durations as people type them: `15s`, `500ms`, `2m`, `1m30s`, or plain seconds (`15`, `0.5`).
enum DurationText {
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000),
    ]

    /// - Returns: nil when `text` is not a duration, or not one of whole nanoseconds below some thousands of years.
    static func parse(_ text: String) -> Duration? {
        if let seconds = DecimalText.parse(text[...], scale: 9) { return .nanoseconds(seconds) }
        var total = Duration.zero
        var rest = text[...]
        // Units go from long to short, each at most once, as Go writes durations.
        var unitsLeft = units[...]
        repeat {
            let number = rest.prefix { !$0.isLetter }
            let unit = rest.dropFirst(number.count).prefix { $0.isLetter }
            guard let position = unitsLeft.firstIndex(where: { $0.name == unit }),
                let value = DecimalText.parse(number, scale: 9)
            else { return nil }
            total += .nanoseconds(value) * (units[position].nanoseconds / 1000) / 1_000_000
            unitsLeft = unitsLeft[(position + 1)...]
            rest = rest.dropFirst(number.count + unit.count)
        } while !rest.isEmpty
        return total
    }

    /// The shortest text that ``parse(_:)`` reads back as `duration`, which is not negative.
    static func format(_ duration: Duration) -> String {
        if duration == .zero { return "0s" }
        if duration < .seconds(1) {
            return DecimalText.format(Int(duration / .nanoseconds(1)), scale: 6) + "ms"
        }
        var text = ""
        var seconds = duration.components.seconds
        for (name, length) in [("h", Int64(3600)), ("m", 60)] where seconds >= length {
            text += "\(seconds / length)\(name)"
            seconds %= length
        }
        let fraction = Int(duration.components.attoseconds / 1_000_000_000)
        if seconds > 0 || fraction > 0 {
            text += DecimalText.format(Int(seconds) * 1_000_000_000 + fraction, scale: 9) + "s"
        }
        return text
    }
}

/// Decimal numbers as integers of a power of ten, so that no binary fraction rounds what was typed.
enum DecimalText {
    /// `1.5` with scale 3 is 1500.
    ///
    /// - Returns: nil unless the text is digits with at most one point between digits, at most nine before it and at
    ///   most `scale` behind it.
    static func parse(_ text: Substring, scale: Int) -> Int? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, (1...9).contains(parts[0].count),
            parts.count == 1 || (1...scale).contains(parts[1].count),
            parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } })
        else { return nil }
        let fraction = parts.count == 2 ? String(parts[1]) : ""
        return Int(parts[0] + fraction + String(repeating: "0", count: scale - fraction.count))
    }

    static func format(_ value: Int, scale: Int) -> String {
        let digits = String(value)
        let padded = String(repeating: "0", count: max(0, scale + 1 - digits.count)) + digits
        var fraction = padded.suffix(scale)
        while fraction.last == "0" { fraction.removeLast() }
        return padded.dropLast(scale) + (fraction.isEmpty ? "" : "." + fraction)
    }
}

extension Duration {
    /// With as many digits as a person needs: `300 ms`, `2.5 s`, `14 s`.
    package var forPeople: String {
        let (seconds, attoseconds) = components
        if seconds >= 10 { return "\(attoseconds >= 500_000_000_000_000_000 ? seconds + 1 : seconds) s" }
        let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        if milliseconds < 1000 { return "\(milliseconds) ms" }
        let tenths = milliseconds % 1000 / 100
        return tenths == 0 ? "\(seconds) s" : "\(seconds).\(tenths) s"
    }

    package var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

extension Int {
    /// In groups of three digits: `10,000`.
    package var forPeople: String {
        var (rest, groups) = (magnitude, [String]())
        repeat {
            let (higher, group) = rest.quotientAndRemainder(dividingBy: 1000)
            let digits = String(group)
            groups.append(higher == 0 ? digits : String(repeating: "0", count: 3 - digits.utf8.count) + digits)
            rest = higher
        } while rest > 0
        return (self < 0 ? "-" : "") + groups.reversed().joined(separator: ",")
    }
}

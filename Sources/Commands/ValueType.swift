internal import Election

/// How the text of one kind of value is read, checked and shown.
struct ValueType<Value> {
    /// Stands for the value in help: `DURATION`.
    let placeholder: String
    /// What is allowed, to follow "allowed: " in an error.
    let allowed: String
    /// The bounds or choices in short, for help; nil when the placeholder says it all.
    let range: String?
    /// - Returns: nil when the text is not allowed.
    let parse: (String) -> Value?
    let format: (Value) -> String
    /// The words that are allowed, where there are few.
    var choices: [String] = []
}

extension ValueType where Value == String {
    /// A cluster's or a namespace's name.
    static func name(_ placeholder: String) -> ValueType {
        ValueType(
            placeholder: placeholder, allowed: "1 to 253 of a-z 0-9 - ., first and last a letter or digit", range: nil,
            parse: { RecordName.isValid($0) ? $0 : nil }, format: { $0 })
    }

    /// Any text but none at all.
    static func text(_ placeholder: String, allowed: String) -> ValueType {
        ValueType(
            placeholder: placeholder, allowed: allowed, range: nil, parse: { $0.isEmpty ? nil : $0 }, format: { $0 })
    }

    static var file: ValueType { text("FILE", allowed: "the path of a file") }
    static var directory: ValueType { text("DIRECTORY", allowed: "the path of a directory") }
}

extension ValueType where Value == Int {
    static func integer(_ range: ClosedRange<Int>, _ placeholder: String = "NUMBER") -> ValueType {
        ValueType(
            placeholder: placeholder, allowed: "a whole number from \(range.lowerBound) to \(range.upperBound)",
            range: "\(range.lowerBound) to \(range.upperBound)",
            parse: { text in
                guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
                return Int(text).flatMap { range.contains($0) ? $0 : nil }
            },
            format: { String($0) })
    }

    /// A duration in whole seconds, as lease records carry it.
    static func wholeSeconds(_ range: ClosedRange<Int>) -> ValueType {
        let bounds =
            "\(DurationText.format(.seconds(range.lowerBound))) to \(DurationText.format(.seconds(range.upperBound)))"
        return ValueType(
            placeholder: "DURATION", allowed: "whole seconds from \(bounds), such as 15s", range: bounds,
            parse: { text in
                guard let duration = DurationText.parse(text), duration.components.attoseconds == 0 else { return nil }
                let seconds = Int(duration.components.seconds)
                return range.contains(seconds) ? seconds : nil
            },
            format: { DurationText.format(.seconds($0)) })
    }

    /// A percentage, kept in parts per million.
    static func percent(_ range: ClosedRange<Int>) -> ValueType {
        let bounds = "\(percentText(range.lowerBound)) to \(percentText(range.upperBound))"
        return ValueType(
            placeholder: "PERCENT", allowed: "a percentage from \(bounds), such as 1%", range: bounds,
            parse: { text in
                guard text.hasSuffix("%"), let value = DecimalText.parse(text.dropLast(), scale: 4) else { return nil }
                return range.contains(value) ? value : nil
            },
            format: percentText)
    }

    private static func percentText(_ partsPerMillion: Int) -> String {
        DecimalText.format(partsPerMillion, scale: 4) + "%"
    }
}

extension ValueType where Value == Duration {
    static func duration(_ range: ClosedRange<Duration>) -> ValueType {
        let bounds = "\(DurationText.format(range.lowerBound)) to \(DurationText.format(range.upperBound))"
        return ValueType(
            placeholder: "DURATION", allowed: "a duration from \(bounds), such as 500ms, 15s, 2m or plain seconds",
            range: bounds,
            parse: { DurationText.parse($0).flatMap { range.contains($0) ? $0 : nil } },
            format: DurationText.format)
    }
}

extension ValueType where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    static func choice(_ placeholder: String) -> ValueType {
        let names = Value.allCases.map(\.rawValue)
        return ValueType(
            placeholder: placeholder, allowed: "one of \(names.joined(separator: ", "))",
            range: names.joined(separator: "|"), parse: { Value(rawValue: $0) }, format: { $0.rawValue }, choices: names
        )
    }
}

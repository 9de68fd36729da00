private import Election
private import Glibc

/// One line an event to standard error, as text for people or JSON for machines. Any thread may call it.
///
/// Never hand it a secret: keys, tokens and object bodies do not belong in messages or fields.
package struct Log: Sendable {
    package enum Format: String, Sendable, CaseIterable {
        case text
        case json
    }

    package enum Level: String, Sendable, CaseIterable, Comparable {
        case debug
        case info
        case warning
        case error

        package static func < (one: Level, other: Level) -> Bool {
            allCases.firstIndex(of: one)! < allCases.firstIndex(of: other)!
        }
    }

    private let format: Format
    private let level: Level
    private let write: @Sendable (String) -> Void

    /// - Parameter write: gets each finished line, with its newline; for tests.
    package init(format: Format = .text, level: Level = .info, write: @escaping @Sendable (String) -> Void = Log.stderr)
    {
        self.format = format
        self.level = level
        self.write = write
    }

    package func debug(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        line(.debug, message, fields)
    }
    package func info(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) { line(.info, message, fields) }
    package func warning(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        line(.warning, message, fields)
    }
    package func error(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        line(.error, message, fields)
    }

    private func line(_ level: Level, _ message: String, _ fields: KeyValuePairs<String, String>) {
        guard level >= self.level else { return }
        let time = Timestamp.format(microseconds: Reading.now().realtime / 1000)
        switch format {
        case .text:
            let label = level.rawValue.uppercased()
            let details = fields.map { " \($0.key)=\(Self.plain($0.value))" }.joined()
            let padding = String(repeating: " ", count: 7 - label.utf8.count)
            write("\(time) \(label)\(padding) \(Self.oneLine(message))\(details)\n")
        case .json:
            let all =
                [("time", time), ("level", level.rawValue), ("message", message)] + fields.map { ($0.key, $0.value) }
            write("{\(all.map { "\(Self.quoted($0)):\(Self.quoted($1))" }.joined(separator: ","))}\n")
        }
    }

    // A message may quote what a peer sent: control characters would let it forge lines.
    private static func oneLine(_ text: String) -> String {
        text.unicodeScalars.contains { $0.properties.generalCategory == .control }
            ? String(quoted(text).dropFirst().dropLast()) : text
    }

    private static func plain(_ text: String) -> String {
        let safe = text.utf8.allSatisfy {
            $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "=")
        }
        return safe && !text.isEmpty ? text : quoted(text)
    }

    /// `text` as a JSON string, quotes included (RFC 8259, section 7).
    package static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.properties.generalCategory == .control:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// Writes a line to standard error in one write(2), so that lines of several threads do not mix.
    @Sendable package static func stderr(_ line: String) {
        var line = line
        line.withUTF8 { bytes in
            var written = 0
            while written < bytes.count {
                let count = unsafe Glibc.write(2, bytes.baseAddress! + written, bytes.count - written)
                if count < 0 && errno == EINTR { continue }
                // Nobody is left to tell when standard error itself is gone.
                guard count > 0 else { return }
                written += count
            }
        }
    }
}

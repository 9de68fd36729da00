private import Platform

/// A command line that cannot be followed; the program says so in one line and exits with ``ExitCode/usage``.
package struct UsageError: Error, Hashable {
    /// One line: names the flag, what was given and what is allowed.
    let message: String

    init(_ message: String) {
        self.message = message
    }
}

/// Reads a command's arguments and environment by its table of flags.
struct FlagParser<Options: FlagOptions> {
    enum Outcome {
        /// `--help` was given, anywhere.
        case help
        case options(Options, operands: [String])
    }

    let flags: [Flag<Options>]

    /// Flags win over the environment. Arguments that are no flags are operands, as is everything behind `--`.
    func parse(_ arguments: [String], environment: [String: String]) throws(UsageError) -> Outcome {
        var given: [String: [String]] = [:]
        var operands: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                operands += rest
                break
            }
            if argument == "--help" || argument == "-h" { return .help }
            // A lone dash is standard input.
            guard argument.hasPrefix("-"), argument != "-" else {
                operands.append(argument)
                continue
            }
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let flag = try flag(parts[0])
            if parts.count == 2 {
                given[flag.name, default: []].append(String(parts[1]))
            } else if flag.placeholder == nil {
                given[flag.name, default: []].append("true")
            } else {
                // The next flag is no value: whoever means a value that begins with dashes joins it with "=".
                guard let value = rest.first, !value.hasPrefix("--") else {
                    throw UsageError("--\(flag.name) got no value; allowed: \(flag.allowed)")
                }
                rest.removeFirst()
                given[flag.name, default: []].append(value)
            }
        }
        return .options(try options(given, environment), operands: operands)
    }

    private func options(_ given: [String: [String]], _ environment: [String: String]) throws(UsageError) -> Options {
        var options = Options()
        var missing: Flag<Options>?
        for flag in flags {
            if let values = given[flag.name] {
                if let refused = flag.apply(&options, values) {
                    throw UsageError("--\(flag.name) got \(Log.quoted(refused)); allowed: \(flag.allowed)")
                }
            } else if let values = environment[flag.variable].map(flag.values(ofVariable:)), !values.isEmpty {
                if let refused = flag.apply(&options, values) {
                    throw UsageError(
                        "\(flag.variable) (for --\(flag.name)) got \(Log.quoted(refused)); allowed: \(flag.allowed)")
                }
            } else if flag.isRequired {
                missing = missing ?? flag
            }
        }
        // Told last: what was given and is wrong is the nearer mistake.
        if let missing {
            throw UsageError("--\(missing.name) got nothing and has no default; allowed: \(missing.allowed)")
        }
        return options
    }

    private func flag(_ given: Substring) throws(UsageError) -> Flag<Options> {
        if given.hasPrefix("--"), let flag = flags.first(where: { $0.name == given.dropFirst(2) }) { return flag }
        let name = given.drop { $0 == "-" }
        let near = Spelling.nearest(to: String(name), among: flags.map(\.name) + ["help"])
        throw UsageError(
            "unknown flag \(Log.quoted(String(given)))"
                + (near.map { "; did you mean --\($0)?" } ?? "; --help lists the flags that are allowed"))
    }
}

/// Guesses what a mistyped word was meant to be.
enum Spelling {
    /// The candidate that differs least from `word`, unless that differs in more than about a third of its letters.
    static func nearest(to word: String, among candidates: [String]) -> String? {
        let near = candidates.map { (name: $0, distance: distance(Array(word.utf8), Array($0.utf8))) }
            .min { $0.distance < $1.distance }
        guard let near, near.distance <= (near.name.utf8.count + 1) / 3 else {
            // A word that was cut short or drawn out: "--lease" for "--lease-duration".
            let related = candidates.filter { !word.isEmpty && ($0.hasPrefix(word) || word.hasPrefix($0)) }
            return related.count == 1 ? related[0] : nil
        }
        return near.name
    }

    /// How many letters must be added, removed or replaced to make one word the other (Levenshtein).
    private static func distance(_ one: [UInt8], _ other: [UInt8]) -> Int {
        var row = Array(0...other.count)
        for (i, a) in one.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in other.enumerated() {
                let replaced = diagonal + (a == b ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
            }
        }
        return row[other.count]
    }
}

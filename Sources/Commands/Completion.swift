/// What a shell may offer for the last word of a command line, told by the tables that also parse it.
enum Completion {
    /// How shells ask: `leasehold __complete WORD...`, with the words behind the program's name, the last one unfinished.
    static let command = "__complete"

    /// What else the shell should offer (Cobra's numbers, which kubectl reads from the plugins' completion too).
    enum Directive: Int {
        case files = 0
        case nothing = 4
        case directories = 16
    }

    private typealias Candidate = (word: String, meaning: String)

    /// A line for each candidate, its meaning behind a tab, and the directive behind a colon.
    static func answer(_ words: [String]) -> String {
        let (candidates, directive) = complete(words.isEmpty ? [""] : words)
        return candidates.map { "\($0.word)\t\($0.meaning)\n" }.joined() + ":\(directive.rawValue)\n"
    }

    private static func complete(_ words: [String]) -> ([Candidate], Directive) {
        let current = words[words.count - 1]
        guard words.count > 1 else {
            let commands = Program.commands.map { ($0.name, $0.summary) } + [("--help", HelpCommand.summary)]
            return (commands.filter { $0.0.hasPrefix(current) }, .nothing)
        }
        guard let command = Program.command(named: words[0]) else { return ([], .nothing) }
        return complete(Array(words[1...].dropLast()), current, of: command)
    }

    private static func complete<C: Command>(
        _ before: [String], _ current: String, of command: C.Type
    ) -> ([Candidate], Directive) {
        let flags = C.flags.flatMap(\.flags)
        func flag(_ word: some StringProtocol) -> Flag<C.Options>? {
            word.hasPrefix("--") ? flags.first { $0.name == word.dropFirst(2) } : nil
        }
        let isBehindDashes = before.contains("--")
        if !isBehindDashes, let last = before.last, let flag = flag(last), flag.placeholder != nil {
            return values(of: flag, from: current, head: "")
        }
        if !isBehindDashes, current.hasPrefix("--"), let equals = current.firstIndex(of: "=") {
            let head = current[...equals]
            guard let flag = flag(head.dropLast()) else { return ([], .nothing) }
            return values(of: flag, from: current, head: String(head))
        }
        if !isBehindDashes, current.hasPrefix("-") { return (names(flags, before, current), .nothing) }
        let (candidates, directive) = operands(C.self, current)
        if candidates.isEmpty, directive == .nothing, current.isEmpty, !isBehindDashes {
            return (names(flags, before, current), .nothing)
        }
        return (candidates, directive)
    }

    /// The flags that may still be given.
    private static func names<Options>(
        _ flags: [Flag<Options>], _ before: [String], _ current: String
    ) -> [Candidate] {
        let given = before.filter { $0.hasPrefix("--") }.map { $0.dropFirst(2).prefix { $0 != "=" } }
        let left = flags.filter { $0.isRepeatable || !given.contains($0.name[...]) }
        return (left.map { ("--\($0.name)", $0.help) } + [("--help", "Explains the command and its flags.")])
            .filter { $0.0.hasPrefix(current) }
    }

    private static func values<Options>(
        of flag: Flag<Options>, from current: String, head: String
    ) -> ([Candidate], Directive) {
        switch flag.placeholder {
        case "FILE": ([], .files)
        case "DIRECTORY": ([], .directories)
        default: (flag.choices.map { (head + $0, "") }.filter { $0.0.hasPrefix(current) }, .nothing)
        }
    }

    private static func operands<C: Command>(_ command: C.Type, _ current: String) -> ([Candidate], Directive) {
        switch C.operands.first {
        case "FILE": ([], .files)
        case "[COMMAND]":
            (Program.commands.map { ($0.name, $0.summary) }.filter { $0.0.hasPrefix(current) }, .nothing)
        case "SHELL": (CompletionCommand.shells.map { ($0, "") }.filter { $0.0.hasPrefix(current) }, .nothing)
        default: ([], .nothing)
        }
    }
}

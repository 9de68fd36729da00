/// A command's help, and the reference of all commands, written from the tables of flags.
struct HelpText {
    /// Where the explanations of flags begin. The longest flag, with its value, just fits before it.
    private static let explanationColumn = 41

    let width: Int
    /// What the program was called.
    let program: String

    func program(_ commands: [any Command.Type]) -> String {
        var text = "\(program): one writer per namespace across many Kubernetes clusters\n\n"
        text += "Usage: \(program) COMMAND [--flag value | --flag=value]...\n\nCommands\n"
        for command in commands {
            text += entry("  \(command.name)", command.summary, column: 13)
        }
        text += "\n"
        text += paragraph(
            "\(program) COMMAND --help explains a command and lists its flags. Each flag --long-name has an environment "
                + "variable LEASEHOLD_LONG_NAME; the flag wins.")
        text += "\nExit codes\n" + exitCodes(ExitCode.shared)
        return text
    }

    func command<C: Command>(_ command: C.Type) -> String {
        var text = paragraph("\(program) \(C.name): \(C.summary)") + "\n"
        text += "Usage: \(usage(C.self))\n"
        for words in C.description { text += "\n" + paragraph(words) }
        if !C.examples.isEmpty {
            text += "\nExamples\n" + C.examples.map { "  \(called($0))\n" }.joined()
        }
        for group in C.flags {
            text += "\n\(group.title)\n"
            for flag in group.flags {
                text += entry("  \(title(flag))", explanation(flag), column: Self.explanationColumn)
            }
        }
        if !C.flags.isEmpty {
            text += "\n"
            text += paragraph(
                "Every flag also comes from the environment: --long-name from LEASEHOLD_LONG_NAME, with commas between "
                    + "the values of a flag that may be repeated. A flag wins over its variable; a variable that is "
                    + "empty counts as not set. Durations: 500ms, 15s, 2m, 1m30s or plain seconds.")
        }
        text += "\nExit codes\n" + exitCodes(ExitCode.all(of: C.self))
        return text
    }

    /// The reference of all flags as Markdown.
    func reference(_ commands: [any Command.Type]) -> String {
        var text = "# Command line\n\nWritten by `leasehold help --output markdown` from the program's own tables.\n"
        for command in commands { text += section(command) }
        return text
    }

    private func section<C: Command>(_ command: C.Type) -> String {
        var text =
            "\n## \(C.name)\n\n`\(usage(C.self))`\n\n\(C.summary.prefix(1).uppercased())\(C.summary.dropFirst()).\n"
        for words in C.description { text += "\n\(words)\n" }
        for group in C.flags {
            text += "\n### \(group.title)\n\n| flag | variable | allowed | default | |\n|---|---|---|---|---|\n"
            for flag in group.flags {
                let cells = [
                    "`\(title(flag))`", "`\(flag.variable)`", flag.allowed,
                    flag.isRequired ? "required" : flag.defaultText ?? "",
                    flag.help + (flag.isRepeatable ? " (repeatable)" : ""),
                ]
                // A bar inside a cell would end it.
                let row = cells.map {
                    $0.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
                }
                text += "| \(row.joined(separator: " | ")) |\n"
            }
        }
        text += "\nExit codes:\n\n"
        for code in ExitCode.all(of: C.self) { text += "- \(code.code): \(code.meaning)\n" }
        return text
    }

    private func usage<C: Command>(_ command: C.Type) -> String {
        let required = C.flags.flatMap(\.flags).filter(\.isRequired).map { " \(title($0))" }.joined()
        let operands = C.operands.map { " \($0)" }.joined()
        return "\(program) \(C.name)\(operands)\(required)\(C.flags.isEmpty ? "" : " [flags]")"
    }

    /// An example, by the name that the program was called.
    private func called(_ example: String) -> String {
        let name = "\(Program.name) "
        return example.hasPrefix(name) ? "\(program) \(example.dropFirst(name.count))" : example
    }

    private func title<Options>(_ flag: Flag<Options>) -> String {
        "--\(flag.name)\(flag.placeholder.map { " \($0)" } ?? "")"
    }

    private func explanation<Options>(_ flag: Flag<Options>) -> String {
        var notes: [String] = []
        if let range = flag.range { notes.append(range) }
        if flag.isRepeatable { notes.append("repeatable") }
        if flag.isRequired { notes.append("required") }
        if let value = flag.defaultText { notes.append("default \(value)") }
        return flag.help + (notes.isEmpty ? "" : " (\(notes.joined(separator: "; ")))")
    }

    private func exitCodes(_ codes: [ExitCode]) -> String {
        codes.map { entry("  \($0.code)", $0.meaning, column: 5) }.joined()
    }

    private func paragraph(_ words: String) -> String { lines(words, indent: 0, first: "") }

    /// `head`, then `words` wrapped behind `column`; on a line of their own when `head` is too long.
    private func entry(_ head: String, _ words: String, column: Int) -> String {
        guard head.count < column else { return head + "\n" + lines(words, indent: column, first: "") }
        return lines(words, indent: column, first: head)
    }

    private func lines(_ words: String, indent: Int, first: String) -> String {
        let margin = String(repeating: " ", count: indent)
        var text = ""
        var line = first + margin.dropFirst(first.count)
        var isEmpty = true
        for word in words.split(separator: " ") {
            if !isEmpty && line.count + 1 + word.count > width {
                text += line + "\n"
                line = margin
                isEmpty = true
            }
            line += (isEmpty ? "" : " ") + word
            isEmpty = false
        }
        return text + line + "\n"
    }
}

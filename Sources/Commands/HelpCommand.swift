private import Platform

/// `leasehold help`: the list of commands, one command's flags, or the reference of all.
enum HelpCommand: Command {
    enum Output: String, CaseIterable {
        case text
        case markdown
    }

    struct Options: FlagOptions {
        var output = Output.text
    }

    static let name = "help"
    static let summary = "explains the commands and their flags"
    static let operands = ["[COMMAND]"]
    static var flags: [FlagGroup<Options>] {
        [
            FlagGroup(
                "Output",
                [
                    Flag(
                        "output", \.output, .choice("FORMAT"),
                        "For people, or all commands and flags as one Markdown page.")
                ])
        ]
    }

    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32 {
        let help = HelpText(width: console.width, program: console.program)
        guard let name = operands.first else {
            console.out(
                options.output == .text ? help.program(Program.commands) : help.reference(Program.commands))
            return ExitCode.done
        }
        guard let command = Program.command(named: name) else {
            throw UsageError("unknown command \(Log.quoted(name)); allowed: \(Program.commandNames)")
        }
        console.out(options.output == .text ? help.command(command) : help.reference([command]))
        return ExitCode.done
    }
}

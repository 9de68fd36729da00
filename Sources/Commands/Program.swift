private import Glibc
private import Platform
private import TLS

/// The command line: finds the subcommand, parses its flags, runs it and says what went wrong.
package enum Program {
    package static let name = "leasehold"
    static let version = "0.1.0"
    /// Of each flag's environment variable.
    static let variablePrefix = "LEASEHOLD_"

    static var commands: [any Command.Type] {
        [
            RunCommand.self, ControllerCommand.self, WebhookCommand.self, CheckCommand.self, StatusCommand.self,
            TransferCommand.self, DrainCommand.self, DoctorCommand.self, CompletionCommand.self, VersionCommand.self,
            HelpCommand.self,
        ]
    }

    /// The whole life of the process; to be called by its main thread, first of all.
    package static func main() -> Never {
        // Before there is a secret.
        CoreDump.leaveOutMemory()
        // Whoever started this process may ignore it, and then nobody could wait for a child (wait(2)).
        signal(SIGCHLD, SIG_DFL)
        keepOpenSSLUntilTheEnd()
        let called = Called(CommandLine.arguments.first ?? name)
        let arguments = (called == .completion ? [Completion.command] : []) + CommandLine.arguments.dropFirst()
        let holdsSignals = arguments.first.flatMap(command(named:))?.holdsSignals == true
        let signals = holdsSignals ? Signals() : nil
        let console = Console.process(program: called.program, signals: signals?.stream)
        Task.detached { exit(await run(arguments, console: console)) }
        signals?.deliver()
        while true { pause() }
    }

    /// By what name the process was started; the binary is the same.
    enum Called {
        case itself
        /// A plugin of kubectl, which starts `kubectl-NAME` for `kubectl NAME`.
        case plugin
        /// What kubectl asks for the completion of a plugin's command line.
        case completion

        /// - Parameter path: the process's first argument.
        init(_ path: String) {
            switch path.split(separator: "/").last {
            case "kubectl-leasehold": self = .plugin
            case "kubectl_complete-leasehold": self = .completion
            default: self = .itself
            }
        }

        var program: String { self == .itself ? Program.name : "kubectl \(Program.name)" }
    }

    /// - Parameter arguments: without the program's own name.
    /// - Returns: the exit code.
    package static func run(_ arguments: [String], console: Console) async -> Int32 {
        guard let name = arguments.first else {
            console.err(
                "\(console.program): name a command: \(commandNames); \(console.program) --help explains them\n")
            return ExitCode.usage
        }
        let rest = Array(arguments.dropFirst())
        switch name {
        case Completion.command:
            console.out(Completion.answer(rest))
            return ExitCode.done
        case "--help", "-h":
            return await start(HelpCommand.self, rest, console)
        case "--version":
            return await start(VersionCommand.self, rest, console)
        default:
            guard let command = command(named: name) else {
                let near = Spelling.nearest(to: name, among: commands.map { $0.name })
                console.err(
                    "\(console.program): unknown command \(Log.quoted(name)); "
                        + (near.map { "did you mean \($0)?\n" } ?? "allowed: \(commandNames)\n"))
                return ExitCode.usage
            }
            return await start(command, rest, console)
        }
    }

    static func command(named name: String) -> (any Command.Type)? { commands.first { $0.name == name } }

    /// A sentence for each variable that looks like a flag's and is none of any command's: all processes of a cluster may
    /// share one list of settings, so this is no reason to refuse.
    static func unknownVariables(in environment: [String: String]) -> [String] {
        func variables<C: Command>(_ command: C.Type) -> [String] { C.flags.flatMap(\.flags).map(\.variable) }
        let prefix = variablePrefix
        let known = Set(commands.flatMap { variables($0) }.map { String($0.dropFirst(prefix.count)) })
        let given = environment.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
        return given.filter { !known.contains($0) }.sorted().map { name in
            "\(prefix)\(name) is set, and no flag has this variable"
                + (Spelling.nearest(to: name, among: known.sorted()).map { "; is it meant to be \(prefix)\($0)?" }
                    ?? ": it has no effect")
        }
    }

    static var commandNames: String { commands.map { $0.name }.joined(separator: ", ") }

    private static func start<C: Command>(_ command: C.Type, _ arguments: [String], _ console: Console) async -> Int32 {
        do {
            let parser = FlagParser(flags: C.flags.flatMap(\.flags))
            switch try parser.parse(arguments, environment: console.environment) {
            case .help:
                console.out(HelpText(width: console.width, program: console.program).command(C.self))
                return ExitCode.done
            case .options(let options, let operands):
                try check(operands, of: C.self, console.program)
                return try await C.run(options, operands: operands, console: console)
            }
        } catch let error as UsageError {
            console.err("\(console.program) \(C.name): \(TextTable.printable(error.message))\n")
            return ExitCode.usage
        } catch {
            // It may quote a record, and a record anything.
            console.err("\(console.program) \(C.name): \(TextTable.printable("\(error)"))\n")
            return (error as? CommandFailure)?.code ?? ExitCode.failed
        }
    }

    private static func check<C: Command>(
        _ operands: [String], of command: C.Type, _ program: String
    ) throws(UsageError) {
        if operands.count > C.operands.count, C.operands.last?.contains("...") != true {
            let allowed = C.operands.isEmpty ? "flags only" : C.operands.joined(separator: " ") + " and flags"
            throw UsageError("got \(Log.quoted(operands[C.operands.count])) as well; allowed: \(allowed)")
        }
        if operands.count < C.operands.filter({ !$0.hasPrefix("[") }).count {
            let missing = C.operands[operands.count...].joined(separator: " ")
            throw UsageError(
                "got no \(missing); allowed: \(program) \(C.name) \(C.operands.joined(separator: " ")) [flags]")
        }
    }
}

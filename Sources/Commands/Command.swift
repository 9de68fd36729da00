/// A subcommand: what it is called, what it takes, what it does.
protocol Command {
    associatedtype Options: FlagOptions

    static var name: String { get }
    /// What it does, in a few words.
    static var summary: String { get }
    /// The operands' names, in order; one in brackets may be left out, and the last may come several times (`NAME...`).
    static var operands: [String] { get }
    /// More for its help: paragraphs of plain text.
    static var description: [String] { get }
    static var flags: [FlagGroup<Options>] { get }
    /// What its exit codes mean, where that goes beyond ``ExitCode/shared``.
    static var exitCodes: [ExitCode] { get }
    static var examples: [String] { get }
    /// Whether it takes signals itself, from ``Console/signals``; else they end the process.
    static var holdsSignals: Bool { get }

    /// - Parameter operands: as many as ``operands`` names, less the ones left out.
    /// - Returns: the exit code.
    /// - Throws: ``UsageError``, or any other error that ends the command; its description is a sentence for people.
    static func run(_ options: Options, operands: [String], console: Console) async throws -> Int32
}

extension Command {
    static var operands: [String] { [] }
    static var description: [String] { [] }
    static var exitCodes: [ExitCode] { [] }
    static var examples: [String] { [] }
    static var holdsSignals: Bool { false }
}

/// What a command's end tells its caller.
package struct ExitCode {
    let code: Int32
    let meaning: String

    static let done: Int32 = 0
    static let failed: Int32 = 1
    static let usage: Int32 = 2

    /// The ones that all commands share.
    static let shared = [
        ExitCode(code: done, meaning: "done"),
        ExitCode(code: failed, meaning: "failed; the reason is the last line on standard error"),
        ExitCode(code: usage, meaning: "the command line or an environment variable is wrong"),
    ]

    /// Those of a command, in order; its own meaning of a shared code counts.
    static func all<C: Command>(of command: C.Type) -> [ExitCode] {
        let own = command.exitCodes
        let others = shared.filter { code in !own.contains { $0.code == code.code } }
        return (own + others).sorted { $0.code < $1.code }
    }
}

/// Why a command failed, as one sentence for people: what was tried, what happened, what to do.
struct CommandFailure: Error, Hashable, CustomStringConvertible {
    let description: String
    /// What the process ends with.
    let code: Int32

    init(_ description: String, code: Int32 = ExitCode.failed) {
        self.description = description
        self.code = code
    }
}

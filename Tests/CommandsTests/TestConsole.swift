import Platform

@testable import Commands

/// Collects what a command writes.
final class TestConsole: Sendable {
    private let written = Locked((out: "", err: ""))

    var out: String { written.withLock { $0.out } }
    var err: String { written.withLock { $0.err } }

    func console(
        program: String = Program.name, isTerminal: Bool = false, errorIsTerminal: Bool = false, width: Int = 100,
        environment: [String: String] = [:]
    ) -> Console {
        Console(
            program: program, out: { text in self.written.withLock { $0.out += text } },
            err: { text in self.written.withLock { $0.err += text } }, isTerminal: isTerminal,
            errorIsTerminal: errorIsTerminal, width: width,
            environment: environment)
    }
}

/// Runs a command line in this process.
func leasehold(
    _ arguments: String..., environment: [String: String] = [:]
) async -> (code: Int32, out: String, err: String) {
    let console = TestConsole()
    let code = await Program.run(arguments, console: console.console(environment: environment))
    return (code, console.out, console.err)
}

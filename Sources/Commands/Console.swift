private import FoundationEssentials
private import Glibc
private import Platform

/// Where a command's words go.
package struct Console: Sendable {
    /// Columns of help text when nobody knows the terminal's.
    private static let widthDefault = 100

    /// What the program was called: `leasehold`, or `kubectl leasehold`.
    package let program: String
    /// The answer: standard output. What is given is written as it is.
    package let out: @Sendable (String) -> Void
    /// Progress, warnings and errors: standard error.
    package let err: @Sendable (String) -> Void
    /// Whether ``out`` is a terminal.
    package let isTerminal: Bool
    /// Whether ``err`` is a terminal.
    package let errorIsTerminal: Bool
    /// Columns to wrap at, 80 to 100.
    package let width: Int
    /// The terminal's size at this moment, in characters, when known.
    package let size: @Sendable () -> (columns: Int, lines: Int)?
    package let environment: [String: String]
    /// What the process is told from outside; nil for commands that end by any signal.
    package let signals: AsyncStream<Signals.Signal>?

    package init(
        program: String = Program.name, out: @escaping @Sendable (String) -> Void,
        err: @escaping @Sendable (String) -> Void, isTerminal: Bool = false, errorIsTerminal: Bool = false,
        width: Int = 100, size: @escaping @Sendable () -> (columns: Int, lines: Int)? = { nil },
        environment: [String: String] = [:], signals: AsyncStream<Signals.Signal>? = nil
    ) {
        self.program = program
        self.out = out
        self.err = err
        self.isTerminal = isTerminal
        self.errorIsTerminal = errorIsTerminal
        self.width = width
        self.size = size
        self.environment = environment
        self.signals = signals
    }

    /// This process's own.
    package static func process(program: String, signals: AsyncStream<Signals.Signal>?) -> Console {
        Console(
            program: program, out: writeOut, err: Log.stderr, isTerminal: isatty(STDOUT_FILENO) == 1,
            errorIsTerminal: isatty(STDERR_FILENO) == 1,
            width: terminalSize().map { min(max($0.columns, 80), 100) } ?? widthDefault, size: terminalSize,
            environment: ProcessInfo.processInfo.environment, signals: signals)
    }

    /// Of the terminal that standard output is (ioctl_tty(2)); nil: it is none, or does not say.
    @Sendable private static func terminalSize() -> (columns: Int, lines: Int)? {
        var size = winsize()
        guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return nil
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    @Sendable private static func writeOut(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var written = 0
            while written < bytes.count {
                let count = unsafe Glibc.write(STDOUT_FILENO, bytes.baseAddress! + written, bytes.count - written)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else {
                    // An answer that went nowhere must not look like success.
                    Log.stderr("leasehold: standard output cannot be written: errno \(errno)\n")
                    exit(ExitCode.failed)
                }
                written += count
            }
        }
    }
}

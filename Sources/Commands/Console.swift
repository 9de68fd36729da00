private import FoundationEssentials
private import Glibc
private import Platform

/// Where a command's words go.
package struct Console: Sendable {
    /// Columns of help text when nobody knows the terminal's.
    private static let widthDefault = 100

    /// The answer: standard output. What is given is written as it is.
    package let out: @Sendable (String) -> Void
    /// Progress, warnings and errors: standard error.
    package let err: @Sendable (String) -> Void
    /// Whether ``out`` is a terminal.
    package let isTerminal: Bool
    /// Columns to wrap at, 80 to 100.
    package let width: Int
    /// Lines of the terminal, when known.
    package let height: Int?
    package let environment: [String: String]
    /// What the process is told from outside; nil for commands that end by any signal.
    package let signals: AsyncStream<Signals.Signal>?

    package init(
        out: @escaping @Sendable (String) -> Void, err: @escaping @Sendable (String) -> Void, isTerminal: Bool = false,
        width: Int = 100, height: Int? = nil,
        environment: [String: String] = [:], signals: AsyncStream<Signals.Signal>? = nil
    ) {
        self.out = out
        self.err = err
        self.isTerminal = isTerminal
        self.width = width
        self.height = height
        self.environment = environment
        self.signals = signals
    }

    /// This process's own.
    package static func process(signals: AsyncStream<Signals.Signal>?) -> Console {
        var size = winsize()
        let isTerminal = isatty(STDOUT_FILENO) == 1
        let isKnown = unsafe isTerminal && ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return Console(
            out: writeOut, err: Log.stderr, isTerminal: isTerminal,
            width: isKnown ? min(max(Int(size.ws_col), 80), 100) : widthDefault,
            height: isKnown ? Int(size.ws_row) : nil, environment: ProcessInfo.processInfo.environment, signals: signals
        )
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

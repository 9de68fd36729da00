private import Glibc

/// The signals that a server reacts to, taken one by one by a thread that does nothing else.
///
/// Handlers could do next to nothing safely (signal-safety(7)); a thread that waits may do anything.
enum Signals {
    enum Signal: Int32, CaseIterable, Sendable {
        case hangup = 1
        case interrupt = 2
        case terminate = 15
    }

    /// Keeps the signals of ``Signal`` from ending the process and SIGPIPE from doing anything, so that they wait until
    /// ``stream()`` takes them. Call it before there is a second thread: threads inherit it.
    static func hold() {
        var signals = set()
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        // A peer that went away is told by write(2)'s error.
        _ = signal(SIGPIPE, SIG_IGN)
    }

    /// The held signals as they come. Call it once in a process.
    static func stream() -> AsyncStream<Signal> {
        AsyncStream { continuation in
            let box = unsafe Unmanaged.passRetained(Box(continuation))
            var thread = pthread_t()
            let code = unsafe pthread_create(
                &thread, nil,
                { argument in
                    let box = unsafe Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
                    box.wait()
                    return nil
                }, unsafe box.toOpaque())
            precondition(code == 0, "no thread to wait for signals: error \(code)")
            pthread_detach(thread)
        }
    }

    private final class Box {
        private let continuation: AsyncStream<Signal>.Continuation

        init(_ continuation: AsyncStream<Signal>.Continuation) {
            self.continuation = continuation
        }

        /// Does not return.
        func wait() {
            var signals = Signals.set()
            var number: Int32 = 0
            while true {
                guard unsafe sigwait(&signals, &number) == 0, let signal = Signal(rawValue: number) else { continue }
                continuation.yield(signal)
            }
        }
    }

    private static func set() -> sigset_t {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in Signal.allCases { unsafe sigaddset(&signals, signal.rawValue) }
        return signals
    }
}

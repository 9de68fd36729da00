private import Glibc

/// The signals that a server reacts to, taken one by one by the main thread, which does nothing else then.
///
/// Handlers could do next to nothing safely (signal-safety(7)); a thread that waits may do anything.
package final class Signals: Sendable {
    package enum Signal: Int32, CaseIterable, Sendable {
        case hangup = 1
        case interrupt = 2
        case terminate = 15
    }

    /// The signals as they come; for one consumer.
    let stream: AsyncStream<Signal>
    private let continuation: AsyncStream<Signal>.Continuation

    /// Keeps the signals of ``Signal`` from ending the process and SIGPIPE from doing anything. To be made by the main
    /// thread before there is a second one: threads inherit which signals are held.
    init() {
        (stream, continuation) = AsyncStream.makeStream()
        var signals = Self.set()
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        // A peer that went away is told by write(2)'s error.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Hands the signals to ``stream``, for ever.
    ///
    /// The main thread must stay here: were it given to Dispatch (`dispatchMain`, an asynchronous `main`), it would end
    /// in a sigsuspend(2) that lets every signal through, and the first would end the process.
    func deliver() -> Never {
        var signals = Self.set()
        var number: Int32 = 0
        while true {
            guard unsafe sigwait(&signals, &number) == 0, let signal = Signal(rawValue: number) else { continue }
            continuation.yield(signal)
        }
    }

    private static func set() -> sigset_t {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in Signal.allCases { unsafe sigaddset(&signals, signal.rawValue) }
        return signals
    }
}

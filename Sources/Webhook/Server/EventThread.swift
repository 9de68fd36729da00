private import CLinux
private import Glibc

/// One POSIX thread. Any thread may call it.
final class EventThread: Sendable {
    /// What a new thread takes over from the one that starts it.
    private final class Start {
        let name: String
        let body: () -> Void

        init(name: String, body: @escaping () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private let thread: pthread_t

    /// What a crash on the thread itself raises. Blocked, it would kill the process without the handlers that report it.
    private static let crashes = [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGSYS]

    /// Starts a thread that runs `body`, with the signals blocked that are sent to the process: the main thread's.
    ///
    /// - Parameter name: as in `top -H`; the kernel keeps 15 bytes.
    init(name: String, body: sending @escaping () -> Void) throws(ServerError) {
        var thread = pthread_t()
        let start = unsafe Unmanaged.passRetained(Start(name: name, body: body))
        var blocked = sigset_t()
        var before = sigset_t()
        unsafe sigfillset(&blocked)
        for signal in Self.crashes { unsafe sigdelset(&blocked, signal) }
        // A new thread has the mask of the one that makes it.
        unsafe pthread_sigmask(SIG_SETMASK, &blocked, &before)
        let failed = unsafe pthread_create(&thread, nil, runThread, start.toOpaque())
        unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
        guard failed == 0 else {
            unsafe start.release()
            throw .system(doing: "start a thread", code: failed)
        }
        self.thread = thread
    }

    /// Waits until the thread has ended. Exactly one call.
    func join() {
        let failed = pthread_join(thread, nil)
        precondition(failed == 0, "pthread_join failed with error \(failed)")
    }

    /// The thread's first function; takes over the reference that `init` made.
    fileprivate static func run(_ argument: UnsafeMutableRawPointer) {
        let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        _ = unsafe pthread_setname_np(pthread_self(), String(start.name.prefix(15)))
        start.body()
    }
}

private func runThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    unsafe EventThread.run(argument!)
    return nil
}

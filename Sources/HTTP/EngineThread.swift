private import CCurl
private import CLinux
private import Glibc

/// The one thread of the engine (pthread_create(3)).
enum EngineThread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// What a crash on the thread itself raises. Blocked, it would kill the process without the handlers that report it.
    private static let crashes = [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGSYS]

    /// Starts a thread that runs `run`, with the signals blocked that are sent to the process: the main thread's.
    static func start(_ run: @escaping @Sendable () -> Void) throws(CurlError) {
        var thread = pthread_t()
        let body = unsafe Unmanaged.passRetained(Body(run))
        var blocked = sigset_t()
        var before = sigset_t()
        unsafe sigfillset(&blocked)
        for signal in crashes { unsafe sigdelset(&blocked, signal) }
        // A new thread has the mask of the one that makes it.
        unsafe pthread_sigmask(SIG_SETMASK, &blocked, &before)
        let failed = unsafe pthread_create(&thread, nil, runThread, body.toOpaque())
        unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
        guard failed == 0 else {
            unsafe body.release()
            throw CurlError(
                CURLE_FAILED_INIT, text: "no thread could be started: \(unsafe String(cString: strerror(failed)))")
        }
        pthread_detach(thread)
    }

    fileprivate static func run(_ argument: UnsafeMutableRawPointer) {
        let body = unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        _ = unsafe pthread_setname_np(pthread_self(), "http")
        body.run()
    }
}

private func runThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    unsafe EngineThread.run(argument!)
    return nil
}

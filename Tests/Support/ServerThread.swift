private import Glibc

/// A thread of its own, which nobody joins: handlers block, and the threads of Dispatch and of tasks are few.
enum ServerThread {
    private final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    static func start(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let start = unsafe Unmanaged.passRetained(Start(body)).toOpaque()
        let failed = unsafe pthread_create(&thread, nil, run, start)
        precondition(failed == 0, "pthread_create failed with error \(failed)")
        pthread_detach(thread)
    }

    private static let run: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
        unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
    }
}

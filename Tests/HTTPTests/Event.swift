import Dispatch

/// Something that happens once, for which tasks and threads wait.
final class Event: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    private let (stream, continuation) = AsyncStream.makeStream(of: Void.self)

    func happen() {
        semaphore.signal()
        continuation.finish()
    }

    /// Waits in a task.
    func happened() async {
        for await _ in stream {}
    }

    /// Waits on a thread of a server.
    func wait() {
        semaphore.wait()
        semaphore.signal()
    }
}

private import CLinux
private import Glibc

/// Wakes a loop from another thread (eventfd(2)). Any thread may call it.
final class WakeUp: Sendable {
    let descriptor: Int32

    init() throws(ServerError) {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else { throw .last(doing: "create an eventfd") }
    }

    deinit {
        close(descriptor)
    }

    func signal() {
        // Fails only when it is signalled already, 2^64 - 2 times.
        _ = eventfd_write(descriptor, 1)
    }

    /// Takes the signals, so that the descriptor is quiet again.
    func acknowledge() {
        var signals: eventfd_t = 0
        _ = unsafe eventfd_read(descriptor, &signals)
    }
}

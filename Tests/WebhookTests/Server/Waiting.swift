import Glibc

struct NeverHappened: Error {}

/// Waits for a condition that another thread brings about, and that nothing announces.
func waitUntil(_ condition: () -> Bool) throws {
    for _ in 0..<30_000 {
        if condition() { return }
        usleep(1000)
    }
    throw NeverHappened()
}

#if LEASEHOLD_TSAN
    private import Glibc
#else
    private import Synchronization
#endif

/// A value behind a lock that is held for nanoseconds: no I/O, no waiting and no calls out under it.
///
/// A `Mutex`, but a pthread lock when built for ThreadSanitizer (`-Xswiftc -DLEASEHOLD_TSAN`), which misreads `Mutex`.
/// Any thread may call it.
#if LEASEHOLD_TSAN
    @safe package final class Locked<Value>: @unchecked Sendable {
        // Touched only between lock and unlock.
        private var value: Value
        private let lock: UnsafeMutablePointer<pthread_mutex_t>

        package init(_ value: sending Value) {
            self.value = value
            unsafe lock = .allocate(capacity: 1)
            unsafe pthread_mutex_init(lock, nil)
        }

        deinit {
            unsafe pthread_mutex_destroy(lock)
            unsafe lock.deallocate()
        }

        /// Runs `body` with the value, alone. Never call the same lock from inside `body`.
        package func withLock<Result, Failure: Error>(
            _ body: (inout Value) throws(Failure) -> Result
        ) throws(Failure) -> Result {
            unsafe pthread_mutex_lock(lock)
            defer { unsafe pthread_mutex_unlock(lock) }
            return try body(&value)
        }
    }
#else
    package final class Locked<Value>: Sendable {
        private let mutex: Mutex<Value>

        package init(_ value: sending Value) {
            mutex = Mutex(value)
        }

        /// Runs `body` with the value, alone. Never call the same lock from inside `body`.
        package func withLock<Result, Failure: Error>(
            _ body: (inout sending Value) throws(Failure) -> sending Result
        ) throws(Failure) -> sending Result {
            try mutex.withLock(body)
        }
    }
#endif

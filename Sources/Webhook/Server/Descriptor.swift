private import Glibc

/// Owns a file descriptor: it is closed when this goes.
struct Descriptor: ~Copyable {
    let number: Int32

    /// - Parameter number: an open descriptor that nothing else closes.
    init(owning number: Int32) {
        self.number = number
    }

    deinit {
        close(number)
    }

    /// Hands the descriptor to another owner.
    consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }
}

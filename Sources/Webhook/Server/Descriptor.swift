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

    /// Sets an option of a socket (setsockopt(2)).
    func set(_ level: Int32, _ option: Int32, _ value: Int32, doing task: String) throws(ServerError) {
        var value = value
        guard unsafe setsockopt(number, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
            throw .last(doing: task)
        }
    }
}

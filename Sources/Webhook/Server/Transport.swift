internal import CLinux
private import Glibc

/// A connected socket, with TLS on it or without. Never waits. Confined to one loop.
struct Transport: ~Copyable {
    enum Transfer {
        case moved(Int)
        case wantsRead
        case wantsWrite
        /// The peer sends no more.
        case closed
        /// The connection is of no further use.
        case failed
    }

    private let socket: Descriptor

    init(_ socket: consuming Descriptor) {
        self.socket = socket
    }

    var descriptor: Int32 { socket.number }

    /// Takes received bytes.
    mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        unsafe receive(into: buffer)
    }

    /// Whether received bytes wait in here, for which the socket will not become readable again.
    var hasPending: Bool {
        false
    }

    /// Whether a read that leaves room in its buffer has taken everything that had arrived.
    var emptiesByShortRead: Bool { true }

    /// Sends bytes, possibly fewer than given. After `wantsRead` or `wantsWrite`, call it again with the same bytes and
    /// possibly more after them.
    mutating func write(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        while true {
            let count = unsafe send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL.rawValue))
            if count >= 0 { return .moved(count) }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wantsWrite : .failed
        }
    }

    /// Says that no more will be sent, as far as that goes without waiting.
    mutating func endOutput() {
        _ = Glibc.shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Takes what still arrives, undecrypted, for the sake of taking it.
    func discard(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        unsafe receive(into: buffer)
    }

    private func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        while true {
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .moved(count) }
            if count == 0 { return .closed }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wantsRead : .failed
        }
    }
}

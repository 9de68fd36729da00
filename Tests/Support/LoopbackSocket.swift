private import CLinux
private import Glibc

/// Sockets of 127.0.0.1.
package enum LoopbackSocket {
    static let backlog: Int32 = 1024

    struct Failure: Error {
        let text: String
    }

    static func listen(port: UInt16) throws -> (descriptor: Int32, port: UInt16) {
        let (first, port) = try bound(to: port)
        // The kernel takes a port that it chose itself away from a socket that stops listening, but leaves it one that was
        // asked for. While neither listens, both may have it.
        defer { close(first) }
        let (descriptor, _) = try bound(to: port)
        guard Glibc.listen(descriptor, backlog) == 0 else {
            let code = errno
            close(descriptor)
            throw Failure(text: "127.0.0.1:\(port) cannot be listened on: errno \(code)")
        }
        return (descriptor, port)
    }

    private static func bound(to port: UInt16) throws -> (descriptor: Int32, port: UInt16) {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_INET, kind, 0)
        guard descriptor >= 0 else { throw Failure(text: "socket: errno \(errno)") }
        var on: Int32 = 1
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
        var address = address(port)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let failed = unsafe withUnsafeMutablePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe bind(descriptor, address, length) != 0 || getsockname(descriptor, address, &length) != 0
            }
        }
        guard !failed else {
            let code = errno
            close(descriptor)
            throw Failure(text: "127.0.0.1:\(port) cannot be had: errno \(code)")
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    private static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    // MARK: - Connections

    /// A connection to a port of 127.0.0.1; nil: nobody listens there. Blocks until it is there.
    package static func connect(to port: UInt16) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        let failed = unsafe withUnsafePointer(to: address(port)) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) != 0
            }
        }
        guard failed else { return descriptor }
        close(descriptor)
        return nil
    }

    static func sendAtOnce(_ descriptor: Int32) {
        var on: Int32 = 1
        _ = unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    }

    static func resetAtEnd(_ descriptor: Int32) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    }

    /// Blocks until all is sent.
    ///
    /// - Returns: no: the other side does not take it.
    static func send(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}

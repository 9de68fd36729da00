private import CLinux
private import Glibc

/// Where a server listens: `IP:PORT`, `[IPv6]:PORT`, or `:PORT` for all addresses of the machine.
package struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// A numeric address without brackets; empty for all.
    package let host: String
    package let port: UInt16

    /// How many clients may wait to be accepted on one socket. The kernel lowers it to net.core.somaxconn.
    static let queueMax = 4096

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// - Throws: ``ServerError/badAddress(_:)`` when `text` has no port, or its host is no numeric address.
    package init(_ text: String) throws(ServerError) {
        guard let colon = text.lastIndex(of: ":"), let port = Self.port(text[text.index(after: colon)...]) else {
            throw .badAddress(text)
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { throw .badAddress(text) }
        } else if host.contains(":") {
            throw .badAddress(text)
        }
        self.init(host: String(host), port: port)
        let isKnown = unsafe withSocketAddress { unsafe $0 != nil }
        guard host.isEmpty || isKnown else { throw .badAddress(text) }
    }

    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    private static func port(_ text: Substring) -> UInt16? {
        text.utf8.allSatisfy { $0.isDigit } ? UInt16(text) : nil
    }

    /// A listening socket at this address, bound but with no queue yet: see ``listen(_:)``.
    ///
    /// - Parameter joining: whether other sockets of this server are bound to the same port already. The first is bound
    ///   without SO_REUSEPORT, and gets it only then: a port that another process holds is refused, even when that
    ///   process is a server of the same kind, which would otherwise get a share of our connections in silence.
    func bind(joining: Bool) throws(ServerError) -> Descriptor {
        if host.isEmpty {
            // "::" with IPV6_V6ONLY off takes IPv4 too; a kernel without IPv6 leaves "0.0.0.0".
            do {
                return try SocketAddress(host: "::", port: port).bind(joining: joining)
            } catch .system(_, EAFNOSUPPORT), .system(_, EADDRNOTAVAIL) {
                return try SocketAddress(host: "0.0.0.0", port: port).bind(joining: joining)
            }
        }
        let task = "listen on \(self)"
        let isIPv6 = host.contains(":")
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let number = socket(isIPv6 ? AF_INET6 : AF_INET, type, 0)
        guard number >= 0 else { throw .last(doing: task) }
        let socket = Descriptor(owning: number)
        // Without it, connections of an earlier run that are not forgotten yet would keep the port for a minute.
        try socket.set(SOL_SOCKET, SO_REUSEADDR, 1, doing: task)
        if isIPv6 { try socket.set(Int32(IPPROTO_IPV6), IPV6_V6ONLY, host == "::" ? 0 : 1, doing: task) }
        if joining { try socket.set(SOL_SOCKET, SO_REUSEPORT, 1, doing: task) }
        let bound = unsafe withSocketAddress { address in
            guard let (address, length) = unsafe address else { return Int32(-1) }
            return unsafe Glibc.bind(number, address, length)
        }
        guard bound == 0 else { throw .last(doing: task) }
        if !joining { try socket.set(SOL_SOCKET, SO_REUSEPORT, 1, doing: task) }
        return socket
    }

    /// Lets clients connect to a bound socket. Their connections take over its options (Linux: `inet_csk_clone_lock`).
    ///
    /// - Parameter patience: how long the kernel keeps what a client does not take, also of connections that are closed.
    func listen(_ socket: borrowing Descriptor, patience: Duration) throws(ServerError) {
        let task = "listen on \(self)"
        // Answers are written whole, so there is nothing to collect (RFC 9293, section 3.7.4).
        try socket.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1, doing: task)
        try socket.set(SOL_SOCKET, SO_SNDBUF, Int32(Limits.sendBufferBytes), doing: task)
        let milliseconds = Int32(clamping: patience.components.seconds * 1000 + 1000)
        try socket.set(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, milliseconds, doing: task)
        guard Glibc.listen(socket.number, Int32(Self.queueMax)) == 0 else { throw .last(doing: task) }
    }

    /// The same host with the port that the kernel has chosen for `socket`.
    func bound(_ socket: borrowing Descriptor) throws(ServerError) -> SocketAddress {
        var storage = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let failed = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(socket.number, $0, &length)
            }
        }
        guard failed == 0 else { throw .last(doing: "ask for the port of \(self)") }
        // The port lies at the same place in sockaddr_in and sockaddr_in6.
        return SocketAddress(host: host, port: UInt16(bigEndian: storage.sin6_port))
    }

    /// Whom a connected socket leads to, for people.
    static func peer(of socket: Int32) -> String {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let failed = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe getpeername(socket, address, &length) != 0
                    || getnameinfo(address, length, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST) != 0
            }
        }
        // The connection may be gone already.
        return failed
            ? "a client that has gone" : String(decoding: host.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
    }

    /// Lends the address as the kernel wants it, or nil when the host is not numeric.
    private func withSocketAddress<Result>(_ body: ((UnsafePointer<sockaddr>, socklen_t)?) -> Result) -> Result {
        var v6 = sockaddr_in6()
        v6.sin6_family = sa_family_t(AF_INET6)
        v6.sin6_port = port.bigEndian
        var v4 = sockaddr_in()
        v4.sin_family = sa_family_t(AF_INET)
        v4.sin_port = port.bigEndian
        if unsafe inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 {
            return unsafe withUnsafePointer(to: v6) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe body(($0, socklen_t(MemoryLayout<sockaddr_in6>.size)))
                }
            }
        }
        if unsafe inet_pton(AF_INET, host, &v4.sin_addr) == 1 {
            return unsafe withUnsafePointer(to: v4) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe body(($0, socklen_t(MemoryLayout<sockaddr_in>.size)))
                }
            }
        }
        return body(nil)
    }
}

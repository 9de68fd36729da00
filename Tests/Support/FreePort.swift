private import CLinux
private import Glibc
private import Platform

/// Ports of 127.0.0.1 for servers that must be told theirs, and keep it when they are started again.
package enum FreePort {
    /// Below the ports that the kernel gives to clients (32768 and up), so that none of those takes the port while its
    /// server is down.
    private static let range: Range<UInt16> = 20_000..<32_000

    private static let given = Locked<Set<UInt16>>([])

    /// A port that nobody listens on right now, and another each time. Another program may be faster: be ready to try again
    /// with a new one.
    package static func any() throws -> UInt16 {
        for _ in 0..<100 {
            let port = UInt16.random(in: range)
            if isFree(port), given.withLock({ $0.insert(port).inserted }) { return port }
        }
        throw ChildProcess.Failure("no free port found in \(range) at 127.0.0.1; end what listens there")
    }

    private static func isFree(_ port: UInt16) -> Bool {
        unsafe withSocket(port) { unsafe bind($0, $1, $2) == 0 }
    }

    /// Whether somebody listens on the port.
    package static func isServed(_ port: UInt16) -> Bool {
        unsafe withSocket(port) { unsafe connect($0, $1, $2) == 0 }
    }

    private static func withSocket(
        _ port: UInt16, _ body: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Bool
    ) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        unsafe inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        return unsafe withUnsafePointer(to: address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

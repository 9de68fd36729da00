private import Glibc

/// How a connection notices that its peer has vanished without a word (tcp(7)).
enum KeepAlive {
    /// Seconds of silence after which the peer is asked, and then between two questions.
    private static let idleSeconds: Int32 = 15
    private static let intervalSeconds: Int32 = 5
    /// How long sent bytes or questions may stay without an acknowledgement until the connection counts as lost.
    private static let unansweredMilliseconds: Int32 = 20_000

    /// Without one of these, which a sandboxed kernel may lack, a vanished peer is only noticed by a time-out.
    static func apply(to socket: Int32) {
        set(socket, SOL_SOCKET, SO_KEEPALIVE, 1)
        set(socket, Int32(IPPROTO_TCP), TCP_KEEPIDLE, idleSeconds)
        set(socket, Int32(IPPROTO_TCP), TCP_KEEPINTVL, intervalSeconds)
        set(socket, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, unansweredMilliseconds)
    }

    private static func set(_ socket: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        _ = unsafe setsockopt(socket, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}

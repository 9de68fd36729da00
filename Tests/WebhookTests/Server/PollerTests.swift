import Glibc
import Testing

@testable import Webhook

struct PollerTests {
    /// Where a socket has room but the kernel takes nothing, a loop would turn without end.
    @Test func `room to write is reported once, and again when there is more of it`() throws {
        var sockets: [Int32] = [0, 0]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        try #require(unsafe socketpair(AF_UNIX, kind, 0, &sockets) == 0)
        defer { for socket in sockets { close(socket) } }
        var poller = try Poller(batch: 4)
        var tokens: [UInt64] = []
        try poller.add(sockets[0], .output, token: 7)
        poller.wait(10_000, tokens: &tokens)
        #expect(tokens == [7])
        poller.wait(0, tokens: &tokens)
        #expect(tokens.isEmpty)

        var bytes = [UInt8](repeating: 0, count: 64 * 1024)
        while unsafe send(sockets[0], bytes, bytes.count, 0) > 0 {}
        #expect(errno == EAGAIN)
        while unsafe recv(sockets[1], &bytes, bytes.count, 0) > 0 {}
        poller.wait(10_000, tokens: &tokens)
        #expect(tokens == [7])
    }
}

private import CLinux
private import Glibc
internal import TLS

/// The server's end of one connection of ``ScriptedAPIServer``, of which a thread of its own takes care: HTTP/1.1, plain or in TLS.
final class ScriptedWire {
    private let socket: Int32
    private var tls: TLSConnection?
    private var received: [UInt8] = []

    init(_ socket: Int32, _ context: ServerContext?) throws {
        self.socket = socket
        guard let context else { return }
        var connection = try TLSConnection(context, descriptor: socket)
        while true {
            switch connection.handshake() {
            case .done:
                tls = consume connection
                return
            case .wantsRead: wait(POLLIN)
            case .wantsWrite: wait(POLLOUT)
            case .closed, .failed: throw ScriptedAPIServer.Failure(description: "no handshake")
            }
        }
    }

    /// nil: the client has gone.
    func request() -> ScriptedAPIServer.Request? {
        while true {
            if let end = received.firstRange(of: Array("\r\n\r\n".utf8)) {
                let head = String(decoding: received[..<end.lowerBound], as: UTF8.self)
                received.removeFirst(end.upperBound)
                return request(head)
            }
            guard receive() else { return nil }
        }
    }

    private func request(_ head: String) -> ScriptedAPIServer.Request? {
        let lines = head.split(separator: "\r\n")
        let first = lines[0].split(separator: " ")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
        }
        let bodyBytes = headers["content-length"].flatMap { Int($0) } ?? 0
        while received.count < bodyBytes { guard receive() else { return nil } }
        let body = String(decoding: received.prefix(bodyBytes), as: UTF8.self)
        received.removeFirst(bodyBytes)
        let target = first[1].split(separator: "?", maxSplits: 1)
        var query: [String: String] = [:]
        for pair in target.dropFirst().first?.split(separator: "&") ?? [] {
            let parts = pair.split(separator: "=", maxSplits: 1)
            query[String(parts[0])] = Self.decoded(parts.dropFirst().first ?? "")
        }
        return .init(
            method: String(first[0]), path: String(target[0]), query: query, headers: headers, body: body)
    }

    private static func decoded(_ text: Substring) -> String {
        let parts = text.split(separator: "%", omittingEmptySubsequences: false)
        let bytes = parts.dropFirst().flatMap { [UInt8($0.prefix(2), radix: 16)!] + Array($0.dropFirst(2).utf8) }
        return String(decoding: Array(parts[0].utf8) + bytes, as: UTF8.self)
    }

    /// - Returns: whether the connection goes on.
    func send(_ answer: ScriptedAPIServer.Answer) -> Bool {
        switch answer {
        case .none: return false
        case .json(let status, let body, let headers):
            let lines = headers.map { "\($0): \($1)\r\n" }.joined()
            return write(
                "HTTP/1.1 \(status) S\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n"
                    + "\(lines)\r\n\(body)")
        case .stream(let feed):
            guard write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            else {
                return false
            }
            return stream(feed)
        }
    }

    private func stream(_ feed: Feed) -> Bool {
        while true {
            switch waitForFeed(feed) {
            case nil:
                feed.closed.put(())
                return false
            case .say(let text)?:
                guard write(String(text.utf8.count, radix: 16) + "\r\n\(text)\r\n") else {
                    feed.closed.put(())
                    return false
                }
            case .end?: return write("0\r\n\r\n")
            case .breakOff?: return false
            }
        }
    }

    /// nil: the client has closed the connection.
    private func waitForFeed(_ feed: Feed) -> Feed.Order? {
        while true {
            var polled = [
                pollfd(fd: feed.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: socket, events: Int16(POLLIN), revents: 0),
            ]
            _ = unsafe poll(&polled, 2, -1)
            if polled[0].revents != 0 { return feed.take() }
            if polled[1].revents != 0, !receive() { return nil }
        }
    }

    // MARK: Bytes

    /// false: no more will come.
    private func receive() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            var count = 0
            if tls == nil {
                count = unsafe recv(socket, &buffer, buffer.count, 0)
            } else {
                switch unsafe buffer.withUnsafeMutableBytes({ unsafe tls!.read(into: $0) }) {
                case .moved(let moved): count = moved
                case .wantsRead:
                    wait(POLLIN)
                    continue
                case .wantsWrite:
                    wait(POLLOUT)
                    continue
                case .closed, .failed: return false
                }
            }
            guard count > 0 else { return false }
            received += buffer[..<count]
            return true
        }
    }

    private func write(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            var count = 0
            if tls == nil {
                count = unsafe rest.withUnsafeBytes {
                    unsafe Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
            } else {
                switch unsafe rest.withUnsafeBytes({ unsafe tls!.write($0) }) {
                case .moved(let moved): count = moved
                case .wantsRead:
                    wait(POLLIN)
                    continue
                case .wantsWrite:
                    wait(POLLOUT)
                    continue
                case .closed, .failed: return false
                }
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private func wait(_ event: Int32) {
        var polled = pollfd(fd: socket, events: Int16(event), revents: 0)
        _ = unsafe poll(&polled, 1, -1)
    }
}

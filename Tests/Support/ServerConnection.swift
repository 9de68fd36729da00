private import CLinux
private import Glibc
internal import Platform
package import TLS

/// The server's end of one connection. Used by its thread; ``abort()`` by any.
package final class ServerConnection: @unchecked Sendable {
    package struct Closed: Error {}

    /// A request as it came.
    package struct Request {
        package var head: String
        package var body: [UInt8]
        package var line: Substring { head.prefix { $0 != "\r\n" } }
    }

    // The thread of the connection uses all of this alone, but for the number of the socket under its lock.
    private let socket: Int32
    private let isOpen = Locked(true)
    private let context: ServerContext?
    private var tls: TLSConnection?
    private var received: [UInt8] = []

    init(_ socket: Int32, _ context: ServerContext?) {
        self.socket = socket
        self.context = context
    }

    /// The name of the client, if it has proved one.
    package var clientName: String? { tls?.peerCertificate?.subject }

    /// Breaks the connection, from another thread.
    package func abort() {
        isOpen.withLock { isOpen in
            if isOpen { shutdown(socket, Int32(SHUT_RDWR)) }
        }
    }

    /// Closes the connection as the last thing.
    package func finish() {
        _ = tls?.shutdown()
        tls = nil
        isOpen.withLock { isOpen in
            isOpen = false
            close(socket)
        }
    }

    /// Carries out the TLS handshake, if there is one.
    func open() throws {
        if let context { try startTLS(context) }
    }

    /// Goes over to TLS, as after a CONNECT.
    package func startTLS(_ context: ServerContext) throws {
        var connection = try TLSConnection(context, descriptor: socket)
        while true {
            switch connection.handshake() {
            case .done:
                tls = consume connection
                return
            case .wantsRead: try wait(POLLIN)
            case .wantsWrite: try wait(POLLOUT)
            case .closed, .failed: throw Closed()
            }
        }
    }

    /// What comes first, whatever it is.
    package func firstBytes() throws -> [UInt8] {
        try receive()
        return received
    }

    /// - Throws: when the client has closed the connection.
    package func request() throws -> Request {
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let range = received.firstRange(of: end) {
                let head = String(decoding: received[..<range.lowerBound], as: UTF8.self)
                received.removeSubrange(..<range.upperBound)
                let length = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
                let count = length.flatMap { Int($0.dropFirst(15).filter { $0 != " " }) } ?? 0
                while received.count < count { try receive() }
                defer { received.removeFirst(count) }
                return Request(head: head, body: Array(received.prefix(count)))
            }
            try receive()
        }
    }

    /// Answers with a whole body.
    package func respond(_ status: String = "200 OK", _ headers: [String] = [], body: String = "") throws {
        let lines = ["HTTP/1.1 \(status)", "Content-Length: \(body.utf8.count)"] + headers
        try send(lines.map { "\($0)\r\n" }.joined() + "\r\n" + body)
    }

    /// Begins an answer without an announced end.
    package func respondInPieces(_ status: String = "200 OK", _ headers: [String] = []) throws {
        try send("HTTP/1.1 \(status)\r\nTransfer-Encoding: chunked\r\n\(headers.map { "\($0)\r\n" }.joined())\r\n")
    }

    /// One piece; an empty one ends the answer.
    package func sendPiece(_ text: String) throws {
        try send("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n")
    }

    package func send(_ text: String) throws {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty { bytes = bytes.dropFirst(try sendSome(bytes)) }
    }

    /// Waits until the client closes the connection. Whatever it sends is dropped.
    package func waitForClose() {
        while (try? receive()) != nil { received = [] }
    }

    /// Whether the connection takes bytes within a fifth of a second. A slow machine may say no for a while.
    package var isWritable: Bool {
        var entry = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
        return unsafe poll(&entry, 1, 200) == 1
    }

    private func receive() throws {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = try unsafe buffer.withUnsafeMutableBytes { try unsafe receive(into: $0) }
        received += buffer.prefix(count)
    }

    private func receive(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard tls != nil else {
            let count = unsafe recv(socket, buffer.baseAddress, buffer.count, 0)
            guard count > 0 else { throw Closed() }
            return count
        }
        while true {
            switch unsafe tls!.read(into: buffer) {
            case .moved(let count): return count
            case .wantsRead: try wait(POLLIN)
            case .wantsWrite: try wait(POLLOUT)
            case .closed, .failed: throw Closed()
            }
        }
    }

    private func sendSome(_ bytes: ArraySlice<UInt8>) throws -> Int {
        try unsafe bytes.withUnsafeBytes { bytes in
            guard tls != nil else {
                let count = unsafe Glibc.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
                guard count > 0 else { throw Closed() }
                return count
            }
            while true {
                switch unsafe tls!.write(bytes) {
                case .moved(let count): return count
                case .wantsRead: try wait(POLLIN)
                case .wantsWrite: try wait(POLLOUT)
                case .closed, .failed: throw Closed()
                }
            }
        }
    }

    private func wait(_ events: Int32) throws {
        var entry = pollfd(fd: socket, events: Int16(events), revents: 0)
        guard unsafe poll(&entry, 1, -1) == 1 else { throw Closed() }
    }
}

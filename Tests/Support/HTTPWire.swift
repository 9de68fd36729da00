private import CLinux
private import Glibc

/// One connection of ``LoopbackServer``: requests out of bytes, bytes out of answers. Confined to one thread.
struct HTTPWire {
    /// Longer requests end the connection.
    private static let requestBytesMax = 64 << 20
    private static let headBytesMax = 64 << 10

    private let descriptor: Int32
    /// What came in and was not used yet.
    private var pending: [UInt8] = []

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// - Returns: nil at the end of the connection, or when what came in is no request.
    mutating func readRequest() -> LoopbackServer.Request? {
        guard let headEnd = readHead() else { return nil }
        let head = String(decoding: pending[..<headEnd], as: UTF8.self)
        pending.removeSubrange(..<(headEnd + 4))
        var lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
        let first = lines.removeFirst().split(separator: " ")
        guard first.count == 3 else { return nil }
        var headers: [String: String] = [:]
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            headers[line[..<colon].lowercased()] = String(value)
        }
        guard headers["transfer-encoding"] == nil, let body = readBody(headers) else { return nil }
        let target = first[1].split(separator: "?", maxSplits: 1)
        var query: [String: String] = [:]
        for pair in (target.count > 1 ? target[1] : "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            query[Self.decoded(parts[0])] = parts.count > 1 ? Self.decoded(parts[1]) : ""
        }
        return LoopbackServer.Request(
            method: String(first[0]), path: String(target.first ?? "/"), query: query, headers: headers, body: body)
    }

    /// - Returns: whether the connection goes on.
    func write(_ reply: LoopbackServer.Reply) -> Bool {
        switch reply {
        case .answer(let answer):
            return send(Self.head(answer) + answer.body)
        case .cut(let answer):
            _ = send(Self.head(answer) + answer.body.prefix(answer.body.count / 2))
            return false
        case .close:
            // With a reset instead of an orderly end, as when a process is killed.
            var option = linger(l_onoff: 1, l_linger: 0)
            _ = unsafe setsockopt(
                descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
            return false
        }
    }

    private static func head(_ answer: LoopbackServer.Answer) -> [UInt8] {
        var text = "HTTP/1.1 \(answer.status) \(reasons[answer.status] ?? "Status")\r\n"
        for (name, value) in answer.headers { text += "\(name): \(value)\r\n" }
        return Array("\(text)Content-Length: \(answer.body.count)\r\n\r\n".utf8)
    }

    private static let reasons = [
        200: "OK", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
        412: "Precondition Failed", 429: "Too Many Requests", 503: "Service Unavailable",
    ]

    // MARK: - Bytes

    private mutating func readHead() -> Int? {
        var searched = 0
        while true {
            if let end = Self.headEnd(pending, from: searched) { return end }
            searched = max(0, pending.count - 3)
            guard pending.count <= Self.headBytesMax, receive() else { return nil }
        }
    }

    private static func headEnd(_ bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in start..<max(start, bytes.count - 3)
        where bytes[index] == 13 && bytes[index + 1] == 10 && bytes[index + 2] == 13 && bytes[index + 3] == 10 {
            return index
        }
        return nil
    }

    private mutating func readBody(_ headers: [String: String]) -> [UInt8]? {
        guard let length = Int(headers["content-length"] ?? "0"), 0...Self.requestBytesMax ~= length else { return nil }
        if headers["expect"]?.lowercased() == "100-continue", pending.count < length {
            guard send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) else { return nil }
        }
        while pending.count < length {
            guard receive() else { return nil }
        }
        let body = Array(pending[..<length])
        pending.removeSubrange(..<length)
        return body
    }

    private mutating func receive() -> Bool {
        let count = unsafe withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 1) { buffer in
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { unsafe pending.append(contentsOf: buffer[..<count]) }
            return count
        }
        return count > 0
    }

    private func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// Without its percent-encoding (RFC 3986).
    ///
    /// - Parameter isForm: whether `+` stands for a space, as in a query or a form.
    static func decoded(_ text: Substring, isForm: Bool = true) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let value = UInt8(String(rest.prefix(2)) ?? "", radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(isForm && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

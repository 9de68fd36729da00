import Platform

@testable import Webhook

extension Server {
    /// A server on a free port of 127.0.0.1 that answers `POST /validate` with what it got, and `GET /page`.
    static func forTests(
        _ wire: Wire = .plain, limits: Limits = Limits(), loops: Int = 1, routes: [Route] = [.echo, .page],
        log: Log = Log(write: { _ in })
    ) throws -> Server {
        let address = SocketAddress(host: "127.0.0.1", port: 0)
        switch wire {
        case .plain:
            return try Server("test", at: address, routes: routes, limits: limits, loops: loops, log: log)
        case .tls:
            return try Server("test", at: address, routes: routes, limits: limits, loops: loops, log: log) {
                TestIdentity.shared.server
            }
        }
    }
}

extension Limits {
    static func with(_ change: (inout Limits) -> Void) -> Limits {
        var limits = Limits()
        change(&limits)
        return limits
    }
}

extension Route {
    /// Answers with the length and the digest of the body, and refuses an empty one as the real handler does.
    static let echo = Route(.post, "/validate") {
        { body, query, answer in
            guard !body.isEmpty else {
                answer.append("The body is missing.\n")
                return Answer(.badRequest, Answer.text)
            }
            var digest: UInt64 = 0xCBF2_9CE4_8422_2325
            for index in 0..<body.count { digest = (digest ^ UInt64(body[index])) &* 0x100_0000_01B3 }
            answer.append("\(body.count) \(digest)")
            for index in 0..<query.count { answer.append(query[index]) }
            return Answer(.ok, "application/json")
        }
    }

    /// What ``echo`` answers to `body`.
    static func echoed(_ body: [UInt8], query: String = "") -> String {
        var digest: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in body { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return "\(body.count) \(digest)\(query)"
    }

    /// As quick as can be.
    static let tiny = Route(.post, "/validate") {
        { _, _, answer in
            answer.append("tiny")
            return Answer(.ok, Answer.text)
        }
    }

    /// More than a kernel keeps of an answer that nobody takes.
    static let long = Route(.post, "/long") {
        { _, _, answer in
            answer.append(String(repeating: "x", count: 8 * 1024 * 1024))
            return Answer(.ok, Answer.text)
        }
    }

    static let page = Route(.get, "/page") {
        { _, _, answer in
            answer.append("a page\n")
            return Answer(.ok, Answer.text)
        }
    }
}

/// `POST /validate` with `body`.
func post(_ body: String, _ headers: String = "", to path: String = "/validate") -> String {
    "POST \(path) HTTP/1.1\r\nHost: h\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
}

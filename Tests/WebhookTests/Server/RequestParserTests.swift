import Support
import Testing

@testable import Webhook

/// What parsing a stream of bytes comes to.
private struct Parsed: Equatable, CustomStringConvertible {
    var requests: [String] = []
    var refusal: Refusal?
    var description: String { "\(requests)\(refusal.map { " \($0)" } ?? "")" }
}

/// Parses requests from bytes that arrive in the given pieces, as a connection does.
private func parse(_ pieces: [[UInt8]], bodyBytesMax: Int = 100_000) -> Parsed {
    var result = Parsed()
    var buffer: [UInt8] = []
    var parser = RequestParser(bodyBytesMax: bodyBytesMax)
    for piece in pieces {
        buffer += piece
        while !buffer.isEmpty {
            var kept = 0
            do throws(Refusal) {
                var span = buffer.mutableSpan
                guard try parser.parse(&span) else {
                    kept = parser.closeGap(in: &span)
                    buffer.removeLast(buffer.count - kept)
                    break
                }
            } catch {
                result.refusal = error
                return result
            }
            func text(_ range: Range<Int>) -> String { String(decoding: buffer[range], as: UTF8.self) }
            let head = parser.head
            result.requests.append(
                "\(head.method) \(text(head.path)) \(text(head.query)) \(head.keepsAlive) \(text(parser.body))")
            buffer.removeFirst(parser.position)
            parser = RequestParser(bodyBytesMax: bodyBytesMax)
        }
    }
    return result
}

private func parse(_ text: String, bodyBytesMax: Int = 100_000) -> Parsed {
    parse([Array(text.utf8)], bodyBytesMax: bodyBytesMax)
}

struct RequestParserTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let what: String
        let request: String
        var testDescription: String { what }
    }

    struct Refused: CustomTestStringConvertible, Sendable {
        let what: String
        let request: String
        let refusal: Refusal
        var testDescription: String { what }
        init(_ what: String, _ request: String, _ refusal: Refusal) {
            (self.what, self.request, self.refusal) = (what, request, refusal)
        }
    }

    private static let long = String(repeating: "x", count: 20_000)

    static let refused: [Refused] = [
        Refused("no version", "GET /\r\n\r\n", .badRequestLine),
        Refused("two spaces", "GET  / HTTP/1.1\r\n\r\n", .badRequestLine),
        Refused("a space in the target", "GET /a b HTTP/1.1\r\n\r\n", .badRequestLine),
        Refused("a space at the end", "GET / HTTP/1.1 \r\n\r\n", .badRequestLine),
        Refused("a leading space", " GET / HTTP/1.1\r\n\r\n", .badRequestLine),
        Refused("a method that is no token", "G@T / HTTP/1.1\r\n\r\n", .badRequestLine),
        Refused("a version in lower case", "GET / http/1.1\r\n\r\n", .badRequestLine),
        Refused("a version with letters", "GET / HTTP/1.x\r\n\r\n", .badRequestLine),
        Refused("TLS sent to a plain port", "\u{16}\u{3}\u{1}\u{2}", .controlByte),
        Refused("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .unknownVersion),
        Refused("HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", .unknownVersion),
        Refused("a target that is no path", "GET page HTTP/1.1\r\nHost: h\r\n\r\n", .badTarget),
        Refused("a target of another scheme", "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", .badTarget),
        Refused("a target without a host", "GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n", .badTarget),
        Refused("letters beyond ASCII in the target", "GET /é HTTP/1.1\r\nHost: h\r\n\r\n", .badTarget),
        Refused("a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", .badRequestLine),
        Refused("bare LF after the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", .bareLineFeed),
        Refused("bare LF after a header", "GET / HTTP/1.1\r\nHost: h\n\r\n", .bareLineFeed),
        Refused("bare LF at the end of the headers", "GET / HTTP/1.1\r\nHost: h\r\n\n", .bareLineFeed),
        Refused("bare CR in a header", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", .controlByte),
        Refused("NUL in a header", "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", .controlByte),
        Refused("DEL in a header", "GET / HTTP/1.1\r\nHost: a\u{7F}b\r\n\r\n", .controlByte),
        Refused("ESC in the target", "GET /\u{1B} HTTP/1.1\r\nHost: h\r\n\r\n", .controlByte),
        Refused("a folded header", "GET / HTTP/1.1\r\nHost: h\r\n more\r\n\r\n", .foldedHeader),
        Refused("a header folded with a tab", "GET / HTTP/1.1\r\nHost: h\r\n\tmore\r\n\r\n", .foldedHeader),
        Refused("a folded first header", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", .foldedHeader),
        Refused("a space before the colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", .spaceBeforeColon),
        Refused("a tab before the colon", "GET / HTTP/1.1\r\nHost\t: h\r\n\r\n", .spaceBeforeColon),
        Refused("a header without a colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", .badHeader),
        Refused("a header without a name", "GET / HTTP/1.1\r\n: h\r\n\r\n", .badHeader),
        Refused("a header name that is no token", "GET / HTTP/1.1\r\nHo(st: h\r\n\r\n", .badHeader),
        Refused("no Host in HTTP/1.1", "GET / HTTP/1.1\r\n\r\n", .hostMissing),
        Refused("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", .hostRepeated),
        Refused("an empty length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", .badLength),
        Refused("a negative length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", .badLength),
        Refused("a signed length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n", .badLength),
        Refused("a hexadecimal length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\n", .badLength),
        Refused("a list of lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n", .badLength),
        Refused(
            "conflicting lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            .lengthRepeated),
        Refused(
            "a length beyond 64 bits",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999999\r\n\r\n", .bodyTooLarge),
        Refused(
            "a length over the limit", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100001\r\n\r\n", .bodyTooLarge),
        Refused(
            "length and chunks",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            .lengthAndEncoding),
        Refused(
            "chunks and length",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            .lengthAndEncoding),
        Refused(
            "chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", .encodingBefore11
        ),
        Refused(
            "another encoding", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            .unknownEncoding),
        Refused(
            "an encoding that only looks chunked",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", .unknownEncoding),
        Refused(
            "chunks twice",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            .encodingRepeated),
        Refused(
            "another expectation", "POST / HTTP/1.1\r\nHost: h\r\nExpect: the-best\r\n\r\n", .unknownExpectation),
        Refused("a chunk without a size", chunked("\r\n"), .badChunk),
        Refused("a chunk size that is no number", chunked("x\r\n"), .badChunk),
        Refused("a chunk size with a sign", chunked("-1\r\n"), .badChunk),
        Refused("a chunk size with a space behind", chunked("5 \r\nhello\r\n0\r\n\r\n"), .badChunk),
        Refused("a chunk size with something behind", chunked("5 5\r\nhello\r\n0\r\n\r\n"), .badChunk),
        Refused("a chunk longer than its size", chunked("4\r\nhello\r\n0\r\n\r\n"), .badChunk),
        Refused("a chunk that ends with LF", chunked("5\r\nhello\n0\r\n\r\n"), .badChunk),
        Refused("a chunk size that ends with LF", chunked("5\nhello\r\n0\r\n\r\n"), .bareLineFeed),
        Refused("a control byte in a chunk extension", chunked("5;\u{1}\r\nhello\r\n0\r\n\r\n"), .controlByte),
        Refused("a chunk size beyond 64 bits", chunked("FFFFFFFFFFFFFFFFFF\r\n"), .bodyTooLarge),
        Refused("a chunk over the limit", chunked("186A1\r\n"), .bodyTooLarge),
        Refused("a long chunk extension", chunked("5;\(long)\r\nhello\r\n0\r\n\r\n"), .chunkLineTooLong),
        Refused("long trailers", chunked("0\r\nA: \(long)\r\n\r\n"), .headTooLarge),
        Refused("a bad trailer", chunked("0\r\nnothing\r\n\r\n"), .badHeader),
        Refused("a folded trailer", chunked("0\r\n A: b\r\n\r\n"), .foldedHeader),
        Refused("a long request line", "GET /\(long) HTTP/1.1\r\nHost: h\r\n\r\n", .headTooLarge),
        Refused("a long header", "GET / HTTP/1.1\r\nHost: h\r\nA: \(long)\r\n\r\n", .headTooLarge),
        Refused(
            "many headers", "GET / HTTP/1.1\r\nHost: h\r\n\(String(repeating: "A: b\r\n", count: 3000))\r\n",
            .headTooLarge),
        Refused("empty lines without end", String(repeating: "\r\n", count: 10_000), .headTooLarge),
    ]

    private static func chunked(_ body: String) -> String {
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\(body)"
    }

    @Test(arguments: refused) func `refuses what could be understood in two ways`(request: Refused) {
        #expect(parse(request.request) == Parsed(refusal: request.refusal))
    }

    @Test(arguments: refused) func `refuses for the same reason when bytes come one by one`(request: Refused) {
        #expect(parse(request.request.utf8.map { [$0] }) == Parsed(refusal: request.refusal))
    }

    @Test func `every refusal has a test, a status and a sentence`() {
        let tested = Set(Self.refused.map(\.refusal))
        for refusal in Refusal.allCases {
            // That one is not for what the request is.
            if refusal != .outOfMemory { #expect(tested.contains(refusal), "\(refusal)") }
            #expect(refusal.status.rawValue >= 400)
            #expect(refusal.sentence.hasSuffix(".\n"))
        }
    }

    @Test func `takes path and query from every form of target`() {
        #expect(
            parse("POST /validate?timeout=5s HTTP/1.1\r\nHost: h\r\n\r\n").requests == [
                "post /validate timeout=5s true "
            ])
        #expect(
            parse("GET http://host:80/a/b?c?d HTTP/1.1\r\nHost: h\r\n\r\n").requests == ["get /a/b c?d true "])
        #expect(parse("HEAD HTTPS://host/ HTTP/1.1\r\nHost: h\r\n\r\n").requests == ["head /  true "])
        #expect(parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").requests == ["other *  true "])
        #expect(parse("get / HTTP/1.1\r\nHost: h\r\n\r\n").requests == ["other /  true "])
    }

    @Test func `header names and options are the same in any case`() {
        #expect(
            parse("POST / HTTP/1.1\r\nhOST:h\r\ncONTENT-lENGTH:\t 2 \t\r\nconnection: Foo , CLOSE\r\n\r\nhi").requests
                == ["post /  false hi"])
    }

    @Test func `HTTP 1.0 ends unless keep-alive is asked for`() {
        #expect(parse("GET / HTTP/1.0\r\n\r\n").requests == ["get /  false "])
        #expect(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").requests == ["get /  true "])
        #expect(parse("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").requests == ["get /  false "])
        #expect(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").requests == ["get /  false "])
        #expect(parse("GET / HTTP/1.2\r\nHost: h\r\n\r\n").requests == ["get /  true "])
    }

    @Test func `ignores empty lines before a request`() {
        #expect(parse("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").requests == ["get /  true "])
    }

    @Test func `joins chunks and skips extensions and trailers`() {
        let request = Self.chunked("5;a=b\r\nhello\r\n1 ;c=\"d\"\r\n \r\n00005\r\nworld\r\n000\r\nA: b\r\nC: d\r\n\r\n")
        #expect(parse(request + request).requests == ["post /  true hello world", "post /  true hello world"])
    }

    @Test func `takes a body up to the limit to the byte`() {
        let body = String(repeating: "b", count: 100)
        let fixed = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n\(body)"
        #expect(parse(fixed, bodyBytesMax: 100).requests == ["post /  true \(body)"])
        #expect(parse(fixed, bodyBytesMax: 99).refusal == .bodyTooLarge)
        let chunks = Self.chunked("32\r\n\(body.prefix(50))\r\n32\r\n\(body.prefix(50))\r\n0\r\n\r\n")
        #expect(parse(chunks, bodyBytesMax: 100).requests == ["post /  true \(body)"])
        #expect(parse(chunks, bodyBytesMax: 99).refusal == .bodyTooLarge)
    }

    @Test func `takes headers up to the limit to the byte`() {
        let start = "GET / HTTP/1.1\r\nHost: h\r\nA: "
        let filler = RequestParser.headBytesMax - start.utf8.count - 4
        #expect(parse(start + String(repeating: "a", count: filler) + "\r\n\r\n").requests == ["get /  true "])
        #expect(parse(start + String(repeating: "a", count: filler + 1) + "\r\n\r\n").refusal == .headTooLarge)
    }

    @Test func `a long chunked body keeps no bytes between its chunks`() throws {
        var parser = RequestParser(bodyBytesMax: 100_000)
        var buffer = Array(Self.chunked("").utf8)
        for round in 1...1000 {
            buffer += Array("1;\(String(repeating: "e", count: 200))\r\nx\r\n".utf8)
            var span = buffer.mutableSpan
            #expect(try !parser.parse(&span))
            let kept = parser.closeGap(in: &span)
            buffer.removeLast(buffer.count - kept)
            #expect(buffer.count < 200 + round)
        }
    }

    @Test(arguments: UInt64(0)..<200) func `the same bytes give the same requests however they are split`(
        seed: UInt64
    ) {
        var random = SeededRandom(seed: seed)
        var stream: [UInt8] = []
        for _ in 0..<1 + random.below(6) {
            let body = String(repeating: "0123456789", count: random.below(40))
            switch random.below(5) {
            case 0: stream += Array("GET /page?\(seed) HTTP/1.1\r\nHost: h\r\n\r\n".utf8)
            case 1: stream += Array(post(body, "X-Filler: \(body)\r\n").utf8)
            case 2:
                stream += Array("\r\n\(Self.chunked("\(String(body.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"))".utf8)
            case 3: stream += Array(Self.chunked("3\r\nabc\r\n4;x\r\ndefg\r\n0\r\nT: u\r\n\r\n").utf8)
            default: stream += Array(Self.refused[random.below(Self.refused.count)].request.utf8)
            }
        }
        // A mutation may make anything of it; it must still be the same however it is split.
        if random.below(3) == 0 {
            for _ in 0..<3 { stream[random.below(stream.count)] = UInt8(random.below(256)) }
        }
        let whole = parse([stream])
        #expect(parse(stream.map { [$0] }) == whole)
        for _ in 0..<5 {
            var pieces: [[UInt8]] = []
            var start = 0
            while start < stream.count {
                let end = min(stream.count, start + 1 + random.below(1 + random.below(2000)))
                pieces.append(Array(stream[start..<end]))
                start = end
            }
            #expect(parse(pieces) == whole)
        }
    }
}

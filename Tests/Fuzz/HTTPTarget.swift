@testable import Webhook

/// Requests, one behind the other, as a connection reads them: however they are cut, they mean the same.
enum HTTPTarget {
    private static let bodyBytesMax = 2048

    private struct Request: Equatable {
        var head: RequestHead
        var path: [UInt8]
        var query: [UInt8]
        var body: [UInt8]
    }

    private struct Outcome: Equatable {
        var requests: [Request] = []
        var refusal: Refusal?
        var expectsMore = false
    }

    static func run(_ bytes: [UInt8]) throws(Finding) {
        let whole = try read(bytes, [0..<bytes.count])
        let pieces = try read(bytes, bytes.pieces)
        try require(whole == pieces, "all at once \(whole), in pieces \(pieces)")
        // Each line is looked at again for each byte, so this is for short ones.
        guard bytes.count <= 64 else { return }
        let single = try read(bytes, bytes.indices.map { $0..<$0 + 1 })
        try require(whole == single, "all at once \(whole), byte by byte \(single)")
    }

    private static func read(_ bytes: [UInt8], _ pieces: [Range<Int>]) throws(Finding) -> Outcome {
        var outcome = Outcome()
        var buffer: [UInt8] = []
        buffer.reserveCapacity(bytes.count)
        var parser = RequestParser(bodyBytesMax: bodyBytesMax)
        for piece in pieces {
            buffer += bytes[piece]
            while !buffer.isEmpty {
                let used: Int?
                do throws(Refusal) { used = try step(&parser, &buffer) } catch {
                    outcome.refusal = error
                    outcome.expectsMore = false
                    return outcome
                }
                if let used {
                    buffer.removeLast(buffer.count - used)
                    outcome.expectsMore = !buffer.isEmpty
                    break
                }
                outcome.requests.append(try request(parser, buffer))
                outcome.expectsMore = false
                buffer.removeFirst(parser.position)
                parser = RequestParser(bodyBytesMax: bodyBytesMax)
            }
        }
        return outcome
    }

    /// - Returns: how many bytes are still in use while the request is not complete; nil: it is.
    private static func step(_ parser: inout RequestParser, _ buffer: inout [UInt8]) throws(Refusal) -> Int? {
        var span = buffer.mutableSpan
        if try parser.parse(&span) { return nil }
        return parser.closeGap(in: &span)
    }

    private static func request(_ parser: RequestParser, _ buffer: [UInt8]) throws(Finding) -> Request {
        let bounds = 0..<parser.position + 1
        try require(
            parser.position > 0 && parser.position <= buffer.count && bounds.contains(parser.body.upperBound)
                && bounds.contains(parser.head.path.upperBound) && bounds.contains(parser.head.query.upperBound),
            "ranges beyond the request")
        try require(parser.body.count <= bodyBytesMax, "a body over the limit")
        try require(!(parser.head.isChunked && parser.head.length != nil), "two lengths")
        var request = Request(
            head: parser.head, path: Array(buffer[parser.head.path]), query: Array(buffer[parser.head.query]),
            body: Array(buffer[parser.body]))
        // Where empty lines before a request came in a piece of their own, offsets count from behind them.
        request.head.path = 0..<0
        request.head.query = 0..<0
        return request
    }
}

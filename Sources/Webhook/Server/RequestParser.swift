/// Parses one HTTP/1.1 request (RFC 9112) in place, from a buffer to which bytes are appended as they arrive.
///
/// A value without I/O: the same bytes give the same result however they are split. All offsets count from the
/// request's first byte, so the buffer may move between calls. A line that has not arrived in full is looked at again
/// from its start; everything before it is not.
struct RequestParser {
    /// Request line and headers together, and the trailers of a chunked body, in bytes.
    static let headBytesMax = 16 * 1024
    /// A chunk's size line with its extensions, in bytes.
    static let chunkLineBytesMax = 1024

    private enum Stage {
        case requestLine
        case fields
        case fixedBody
        case chunkSize
        case chunkData
        case chunkEnd
        case trailers
        case complete
    }

    /// Valid once ``hasHead``.
    private(set) var head = RequestHead()
    /// Where the body lies; all of it once the request is complete.
    private(set) var body = 0..<0
    /// Offset of the first byte that is not understood yet; of the next request, once this one is complete.
    private(set) var position = 0

    private let bodyBytesMax: Int
    private var stage = Stage.requestLine
    private var chunkRemaining = 0
    private var trailerBytes = 0

    init(bodyBytesMax: Int) {
        self.bodyBytesMax = bodyBytesMax
    }

    /// Whether request line and headers are parsed.
    var hasHead: Bool {
        switch stage {
        case .requestLine, .fields: false
        case .fixedBody, .chunkSize, .chunkData, .chunkEnd, .trailers, .complete: true
        }
    }

    /// Takes `bytes` as far as possible, and says whether the request is complete.
    ///
    /// Chunks are joined to one body in place, which leaves a gap behind the body: see ``closeGap(in:)``.
    /// - Parameter bytes: the request from its first byte, and whatever follows it.
    mutating func parse(_ bytes: inout MutableSpan<UInt8>) throws(Refusal) -> Bool {
        while true {
            switch stage {
            case .requestLine:
                guard let end = try line(in: bytes.span, until: Self.headBytesMax, else: .headTooLarge) else {
                    return false
                }
                // An empty line before a request is ignored (RFC 9112, section 2.2).
                if end > position {
                    try parseRequestLine(bytes.span.extracting(0..<end))
                    stage = .fields
                }
                position = end + 2
            case .fields:
                guard let end = try line(in: bytes.span, until: Self.headBytesMax, else: .headTooLarge) else {
                    return false
                }
                let isEmpty = end == position
                if !isEmpty { try parseField(bytes.span.extracting(0..<end)) }
                position = end + 2
                if isEmpty { try finishHead() }
            case .fixedBody:
                guard bytes.count >= body.upperBound else { return false }
                position = body.upperBound
                stage = .complete
            case .chunkSize:
                let limit = position + Self.chunkLineBytesMax
                guard let end = try line(in: bytes.span, until: limit, else: .chunkLineTooLong) else { return false }
                chunkRemaining = try chunkSize(bytes.span.extracting(position..<end))
                position = end + 2
                guard chunkRemaining <= bodyBytesMax - body.count else { throw .bodyTooLarge }
                stage = chunkRemaining == 0 ? .trailers : .chunkData
            case .chunkData:
                let count = min(chunkRemaining, bytes.count - position)
                move(count, to: body.upperBound, in: &bytes)
                body = body.lowerBound..<body.upperBound + count
                chunkRemaining -= count
                guard chunkRemaining == 0 else { return false }
                stage = .chunkEnd
            case .chunkEnd:
                guard bytes.count > position else { return false }
                guard bytes[position] == .carriageReturn else { throw .badChunk }
                guard bytes.count > position + 1 else { return false }
                guard bytes[position + 1] == .lineFeed else { throw .badChunk }
                position += 2
                stage = .chunkSize
            case .trailers:
                let limit = position + Self.headBytesMax - trailerBytes
                guard let end = try line(in: bytes.span, until: limit, else: .headTooLarge) else { return false }
                let isEmpty = end == position
                if !isEmpty { _ = try field(in: bytes.span.extracting(0..<end)) }
                trailerBytes += end + 2 - position
                position = end + 2
                if isEmpty { stage = .complete }
            case .complete:
                return true
            }
        }
    }

    /// Moves what is not understood yet down to the end of the joined chunks, so that a long chunked body does not keep
    /// the bytes between its chunks. Call it before waiting for more.
    /// - Returns: how many of `bytes` are still in use.
    mutating func closeGap(in bytes: inout MutableSpan<UInt8>) -> Int {
        switch stage {
        case .requestLine, .fields, .fixedBody, .complete:
            return bytes.count
        case .chunkSize, .chunkData, .chunkEnd, .trailers:
            let rest = bytes.count - position
            move(rest, to: body.upperBound, in: &bytes)
            position = body.upperBound
            return body.upperBound + rest
        }
    }

    /// Moves `count` bytes at `position` down to `target`, and `position` behind them.
    private mutating func move(_ count: Int, to target: Int, in bytes: inout MutableSpan<UInt8>) {
        if target != position {
            for offset in 0..<count { bytes[target + offset] = bytes[position + offset] }
        }
        position += count
    }

    // MARK: Lines

    /// The offset of the CRLF that ends the line at `position`, or nil while it has not arrived.
    ///
    /// Control bytes are refused here, for every kind of line, so that no later step can be led astray by one.
    /// - Parameter limit: the offset that the line and its CRLF must not pass, or `refusal` is thrown.
    private func line(
        in bytes: Span<UInt8>, until limit: Int, else refusal: Refusal
    ) throws(Refusal) -> Int? {
        let end = min(bytes.count, limit)
        var index = position
        while index < end {
            let byte = bytes[index]
            if byte < 0x20 || byte == 0x7F {
                switch byte {
                case .carriageReturn:
                    guard index + 1 < end else { break }
                    guard bytes[index + 1] == .lineFeed else { throw .controlByte }
                    return index
                case .lineFeed: throw .bareLineFeed
                case .tab: break
                default: throw .controlByte
                }
            }
            index += 1
        }
        if bytes.count >= limit { throw refusal }
        return nil
    }

    /// Parses `METHOD SP TARGET SP HTTP/1.x` (RFC 9112, section 3), from `position` to the end of `bytes`.
    private mutating func parseRequestLine(_ bytes: Span<UInt8>) throws(Refusal) {
        var index = position
        while index < bytes.count, bytes[index].isToken { index += 1 }
        let method = bytes.extracting(position..<index)
        guard !method.isEmpty, index < bytes.count, bytes[index] == .space else { throw .badRequestLine }
        if method.equals("POST") {
            head.method = .post
        } else if method.equals("GET") {
            head.method = .get
        } else if method.equals("HEAD") {
            head.method = .head
        }

        let target = index + 1
        index = target
        var query: Int?
        while index < bytes.count, bytes[index] != .space {
            guard bytes[index] > 0x20, bytes[index] < 0x7F else { throw .badTarget }
            if bytes[index] == UInt8(ascii: "?"), query == nil { query = index }
            index += 1
        }
        let end = index
        guard end > target, end < bytes.count else { throw .badRequestLine }
        head.path = try path(in: bytes, target: target..<(query ?? end))
        head.query = query.map { $0 + 1..<end } ?? end..<end

        let version = bytes.extracting(end + 1..<bytes.count)
        guard version.count == 8, version.extracting(0..<5).equals("HTTP/"), version[5].isDigit,
            version[6] == UInt8(ascii: "."), version[7].isDigit
        else { throw .badRequestLine }
        guard version[5] == UInt8(ascii: "1") else { throw .unknownVersion }
        head.isHTTP10 = version[7] == UInt8(ascii: "0")
    }

    /// The path of a target in origin form (`/validate`), absolute form (`https://host/validate`) or asterisk form.
    private func path(in bytes: Span<UInt8>, target: Range<Int>) throws(Refusal) -> Range<Int> {
        if bytes[target.lowerBound] == UInt8(ascii: "/") { return target }
        let text = bytes.extracting(target)
        if text.equals("*") { return target }
        let authority: Int
        if text.count > 7, text.extracting(0..<7).equalsIgnoringCase("http://") {
            authority = target.lowerBound + 7
        } else if text.count > 8, text.extracting(0..<8).equalsIgnoringCase("https://") {
            authority = target.lowerBound + 8
        } else {
            throw .badTarget
        }
        var index = authority
        while index < target.upperBound, bytes[index] != UInt8(ascii: "/") { index += 1 }
        guard index > authority else { throw .badTarget }
        return index..<target.upperBound
    }

    /// Splits the header line from `position` to the end of `bytes` (RFC 9112, section 5).
    private func field(in bytes: Span<UInt8>) throws(Refusal) -> (name: Range<Int>, value: Range<Int>) {
        guard !bytes[position].isBlank else { throw .foldedHeader }
        var colon = position
        while colon < bytes.count, bytes[colon].isToken { colon += 1 }
        guard colon > position, colon < bytes.count else { throw .badHeader }
        guard bytes[colon] == UInt8(ascii: ":") else {
            throw bytes[colon].isBlank ? .spaceBeforeColon : .badHeader
        }
        var start = colon + 1
        var end = bytes.count
        while start < end, bytes[start].isBlank { start += 1 }
        while end > start, bytes[end - 1].isBlank { end -= 1 }
        return (position..<colon, start..<end)
    }

    private mutating func parseField(_ bytes: Span<UInt8>) throws(Refusal) {
        let (nameRange, valueRange) = try field(in: bytes)
        let name = bytes.extracting(nameRange)
        let value = bytes.extracting(valueRange)
        switch name.count {
        case 4 where name.equalsIgnoringCase("host"):
            guard !head.hasHost else { throw .hostRepeated }
            head.hasHost = true
        case 6 where name.equalsIgnoringCase("expect"):
            guard value.equalsIgnoringCase("100-continue") else { throw .unknownExpectation }
            head.expectsContinue = true
        case 10 where name.equalsIgnoringCase("connection"):
            parseConnection(value)
        case 14 where name.equalsIgnoringCase("content-length"):
            guard head.length == nil else { throw .lengthRepeated }
            head.length = try decimal(value)
        case 17 where name.equalsIgnoringCase("transfer-encoding"):
            guard !head.isChunked else { throw .encodingRepeated }
            guard value.equalsIgnoringCase("chunked") else { throw .unknownEncoding }
            head.isChunked = true
        default:
            break
        }
    }

    /// Takes the options of a Connection header: a list of words between commas, of which two matter.
    private mutating func parseConnection(_ value: Span<UInt8>) {
        var start = 0
        while start <= value.count {
            var end = start
            while end < value.count, value[end] != UInt8(ascii: ",") { end += 1 }
            var first = start
            var last = end
            while first < last, value[first].isBlank { first += 1 }
            while last > first, value[last - 1].isBlank { last -= 1 }
            let option = value.extracting(first..<last)
            if option.equalsIgnoringCase("close") { head.asksClose = true }
            if option.equalsIgnoringCase("keep-alive") { head.asksKeepAlive = true }
            start = end + 1
        }
    }

    /// Decides what follows the headers (RFC 9112, section 6.3). Strict where a proxy in front could see it otherwise.
    private mutating func finishHead() throws(Refusal) {
        guard head.hasHost || head.isHTTP10 else { throw .hostMissing }
        if head.isHTTP10 { head.expectsContinue = false }
        if head.isChunked {
            guard head.length == nil else { throw .lengthAndEncoding }
            guard !head.isHTTP10 else { throw .encodingBefore11 }
            body = position..<position
            stage = .chunkSize
        } else {
            let length = head.length ?? 0
            guard length <= bodyBytesMax else { throw .bodyTooLarge }
            body = position..<position + length
            stage = .fixedBody
        }
    }

    // MARK: Numbers

    /// A number of digits only; `Int.max` when it does not fit, which is over every limit.
    private func decimal(_ text: Span<UInt8>) throws(Refusal) -> Int {
        guard !text.isEmpty else { throw .badLength }
        var result = 0
        for index in 0..<text.count {
            guard text[index].isDigit else { throw .badLength }
            let (tens, overflow) = result.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(Int(text[index] - UInt8(ascii: "0")))
            result = overflow || carry ? .max : sum
        }
        return result
    }

    /// The hexadecimal size before a chunk's extensions; `Int.max` when it does not fit.
    private func chunkSize(_ text: Span<UInt8>) throws(Refusal) -> Int {
        var result = 0
        var index = 0
        while index < text.count, let digit = text[index].hexadecimalValue {
            result = result > Int.max >> 4 ? .max : result << 4 | digit
            index += 1
        }
        guard index > 0 else { throw .badChunk }
        let sizeEnd = index
        while index < text.count, text[index].isBlank { index += 1 }
        // Blanks may only lead to an extension, which says nothing to this server.
        let isExtended = index < text.count && text[index] == UInt8(ascii: ";")
        guard isExtended || sizeEnd == text.count else { throw .badChunk }
        return result
    }
}

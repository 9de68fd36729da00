internal import CCurl

/// One call while libcurl works on it. Confined to the thread of the engine.
///
/// # When libcurl sends again by itself
/// It sends a request once more, on a new connection, when a connection that it took from its cache broke before the first
/// byte of the answer, and when an HTTP/2 server refused the stream (`Curl_retry_request`, called from three places of
/// multi.c in 7.88). The server may have acted on the first sending. Each sending begins with ``beginSending()``, which
/// lets a second one pass only for a GET, or when not one byte of the first had left; all others end as
/// ``HTTPError/unclear(_:)``. So nothing that writes is sent twice.
final class Transfer {
    let call: Call
    let easy: EasyHandle
    /// When to give up; nil: never, as long as the consumer of a stream keeps the transfer waiting.
    private(set) var deadline: ContinuousClock.Instant?
    /// Whether the server may have got any of the request.
    var isSent: Bool { hasBegunSending && easy.number(CURLINFO_REQUEST_SIZE) > sentBefore }
    /// Whether the whole head of the answer, or of a stream's answer, is there.
    private(set) var hasHead = false

    private var hasBegunSending = false
    // What the request's size counted before: a proxy's CONNECT.
    private var sentBefore = 0
    private var head = AnswerHead()
    private var headBytes = 0
    private var isPaused = false
    // Why a callback broke the transfer off.
    private var reason: String?

    /// All header fields of one answer together. Kubernetes and Google stay under 16 KiB.
    private static let headBytesMax = 256 << 10

    /// - Throws: when libcurl does not take the request.
    init(_ call: Call, now: ContinuousClock.Instant, age: Distrust.Age) throws(CurlError) {
        self.call = call
        deadline = now + call.request.timeout
        let target = try Target(call.request.url, serverName: call.options.serverName)
        easy = try EasyHandle(headers: Self.headerLines(call.request, target), connectTo: target.connectTo)
        try easy.setCallbacks(self)
        try easy.apply(call.request, target)
        try easy.apply(call.options, target)
        try easy.apply(age, isStream: call.idleTimeout != nil, isEncrypted: target.isEncrypted)
    }

    private static func headerLines(_ request: HTTPRequest, _ target: Target) -> [String] {
        func has(_ name: String) -> Bool { request.headers.contains { $0.name.lowercased() == name } }
        var lines = request.headers.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
        // Without a value: libcurl adds these by itself otherwise. It would wait for "100 Continue" with a large body.
        lines.append("Expect:")
        if !has("content-type") { lines.append("Content-Type:") }
        if let host = target.hostHeader, !has("host") { lines.append("Host: \(host)") }
        return lines
    }

    // MARK: Callbacks

    /// A connection is there, and the request is about to go out on it.
    ///
    /// - Returns: false to break the transfer off.
    func beginSending() -> Bool {
        if !hasBegunSending {
            hasBegunSending = true
            sentBefore = easy.number(CURLINFO_REQUEST_SIZE)
            return true
        }
        if call.request.method == .get || !isSent { return true }
        reason = "the connection broke before the answer"
        return false
    }

    /// - Returns: how many bytes were taken; anything but all of them breaks the transfer off.
    func receiveHeader(_ bytes: UnsafeRawBufferPointer) -> Int {
        // After the head, only trailers come, which nobody here reads.
        if hasHead { return bytes.count }
        headBytes += bytes.count
        guard headBytes <= Self.headBytesMax else {
            reason = "the head of the answer has more than \(Self.headBytesMax >> 10) KiB"
            return 0
        }
        let line = unsafe String(decoding: bytes, as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            // Also after "100 Continue" and the like.
            head = AnswerHead(status: easy.number(CURLINFO_RESPONSE_CODE))
        } else if line == "\r\n" || line == "\n" {
            if head.status >= 200 { beginBody() }
        } else if let header = HTTPRequest.Header(line: line) {
            head.headers.append(header)
        }
        return bytes.count
    }

    private func beginBody() {
        hasHead = true
        if call.idleTimeout != nil { extendDeadline() }
        call.sink.begin(head)
    }

    /// - Returns: how many bytes were taken: all, none to break off, or libcurl's mark for a pause.
    func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        if call.idleTimeout != nil { extendDeadline() }
        switch unsafe call.sink.accept(bytes) {
        case .taken:
            return bytes.count
        case .later:
            isPaused = true
            // It is the consumer who is slow, not the server.
            deadline = nil
            return Int(CURL_WRITEFUNC_PAUSE)
        case .tooLong:
            reason = "the answer has more than \(call.request.responseBytesMax) bytes"
            // One more than there are is never right, even where libcurl hands over an empty piece.
            return bytes.count + 1
        }
    }

    private func extendDeadline() {
        guard let idleTimeout = call.idleTimeout else { return }
        deadline = .now + idleTimeout
    }

    // MARK: For the engine

    /// Takes the bytes that were put off, and what follows them.
    func resume() throws(CurlError) {
        guard isPaused else { return }
        isPaused = false
        extendDeadline()
        try easy.resume()
    }

    /// What libcurl's result means for the caller; nil: the answer is complete.
    func error(_ result: CURLcode) -> HTTPError? {
        guard result != CURLE_OK else {
            return hasHead ? nil : error("the answer has no head")
        }
        let error = easy.error(result)
        return self.error(reason ?? error.text, advice: reason == nil ? error.advice : nil)
    }

    /// The error of a transfer whose time is over.
    func timeoutError() -> HTTPError {
        let seconds = (hasHead ? call.idleTimeout : nil) ?? call.request.timeout
        let event =
            if !hasBegunSending { "no connection" } else if hasHead && call.idleTimeout != nil { "no byte" } else {
                "no complete answer"
            }
        return error("\(event) within \(seconds)")
    }

    func error(_ reason: String, advice: String? = nil) -> HTTPError {
        HTTPError(call.request, isSent: isSent, reason: reason, advice: advice)
    }
}

extension HTTPRequest.Header {
    /// A field line of an answer (RFC 9112, section 5); nil if it is none.
    init?(line: String) {
        guard let colon = line.firstIndex(of: ":") else { return nil }
        let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        let end = value.lastIndex { !$0.isWhitespace }
        self.init(String(line[..<colon]), end.map { String(value[...$0]) } ?? "")
    }
}

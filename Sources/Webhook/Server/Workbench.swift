internal import Platform

/// What all connections of one loop share: its routes, its buffers and its clock. Confined to the loop.
final class Workbench {
    /// The server's name.
    let name: String
    let limits: Limits
    let counters: ServerCounters
    let notices: ServerNotices
    private let routes: [Route]
    private let handlers: [Route.Handler]

    /// Where a connection without a buffer of its own receives: most requests arrive whole, and are answered from here.
    /// Empty whenever a connection's turn begins.
    let input: ByteBuffer
    /// Answers not sent yet. Empty whenever a connection's turn begins.
    var output: [UInt8] = []
    private var answer: [UInt8] = []
    var pool: BufferPool
    var timeouts: Timeouts
    /// Milliseconds of CLOCK_MONOTONIC when this turn of the loop began.
    var now: Int64 = 0
    /// Whether the server is about to stop: each connection ends with its next answer.
    var isEnding = false
    /// Whether the server is going away: each connection is closed after the request that it has begun.
    var isStopping = false

    init(
        _ name: String, routes: [Route], limits: Limits, counters: ServerCounters, notices: ServerNotices
    ) {
        self.routes = routes
        self.name = name
        self.limits = limits
        self.counters = counters
        self.notices = notices
        guard let input = ByteBuffer(capacity: 64 * 1024, counters: counters) else {
            fatalError("out of memory for the first buffer")
        }
        self.input = input
        pool = BufferPool(counters: counters, bytesMax: limits.bufferBytesMax)
        handlers = routes.map { $0.makeHandler() }
        timeouts = Timeouts { kind in
            switch kind {
            case .request: limits.requestTimeout
            case .idle: limits.idleTimeout
            case .linger: Limits.lingerTimeout
            }
        }
        output.reserveCapacity(Limits.collectedBytesMax)
        answer.reserveCapacity(ByteBuffer.smallestCapacity)
    }

    private enum Target {
        case found(Int)
        case wrongMethod(allow: String)
        case unknown
    }

    private func target(_ request: Span<UInt8>, _ head: RequestHead) -> Target {
        let path = request.extracting(head.path)
        for index in routes.indices where path.equals(routes[index].path) {
            switch (routes[index].method, head.method) {
            case (.post, .post), (.get, .get), (.get, .head): return .found(index)
            case (.post, _): return .wrongMethod(allow: "POST")
            case (.get, _): return .wrongMethod(allow: "GET, HEAD")
            }
        }
        return .unknown
    }

    /// Whether a handler waits for this request; if not, its body need not be asked for.
    func hasHandler(for request: Span<UInt8>, _ head: RequestHead) -> Bool {
        if case .found = target(request, head) { true } else { false }
    }

    /// Adds the answer to a request to ``output``.
    ///
    /// - Parameter closing: whether the connection ends after it.
    func respond(to request: Span<UInt8>, _ head: RequestHead, body: Range<Int>, closing: Bool) {
        answer.empty()
        let result: Route.Answer
        var allow: String?
        switch target(request, head) {
        case .found(let index):
            result = handlers[index](request.extracting(body), request.extracting(head.query), &answer)
        case .wrongMethod(let methods):
            answer.append("This path takes another method: see the header Allow.\n")
            result = Route.Answer(.methodNotAllowed, Route.Answer.text)
            allow = methods
        case .unknown:
            answer.append("Nothing is served at this path.\n")
            result = Route.Answer(.notFound, Route.Answer.text)
        }
        addHead(result, allow: allow, closing: closing, keepsHTTP10Alive: head.isHTTP10)
        if head.method != .head { output.append(contentsOf: answer) }
    }

    /// Adds the answer to a request that cannot be understood, or is too large, to ``output``.
    func refuse(_ refusal: Refusal) {
        answer.empty()
        answer.append(refusal.sentence)
        addHead(
            Route.Answer(refusal.status, Route.Answer.text), allow: nil, closing: true, keepsHTTP10Alive: false,
            retryAfter: refusal == .outOfMemory)
        output.append(contentsOf: answer)
    }

    private func addHead(
        _ result: Route.Answer, allow: String?, closing: Bool, keepsHTTP10Alive: Bool, retryAfter: Bool = false
    ) {
        counters.answered(result.status)
        output.append(result.status.line)
        output.append("Content-Type: ")
        output.append(result.contentType)
        output.append("\r\nContent-Length: ")
        output.append(decimal: UInt64(answer.count))
        if let allow {
            output.append("\r\nAllow: ")
            output.append(allow)
        }
        // API servers then ask again by themselves, up to ten times (Kubernetes' client-go, rest.Request).
        if retryAfter { output.append("\r\nRetry-After: 1") }
        if closing {
            output.append("\r\nConnection: close")
        } else if keepsHTTP10Alive {
            output.append("\r\nConnection: keep-alive")
        }
        output.append("\r\n\r\n")
    }
}

extension [UInt8] {
    /// Removes all bytes, and gives the memory back only if it was large.
    mutating func empty() {
        removeAll(keepingCapacity: capacity <= Limits.keptBytesMax)
    }
}

extension Span<UInt8> {
    fileprivate func equals(_ other: [UInt8]) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count where self[index] != other[index] { return false }
        return true
    }
}

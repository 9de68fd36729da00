internal import Platform

/// One request on its way through the engine: what the task that made it and the engine's thread share.
final class Call: Sendable {
    /// What the task wants of the engine, until the engine has looked.
    struct Orders {
        fileprivate var isQueued = false
        var isCancelled = false
        /// There is room again for the bytes that ``AnswerSink/accept(_:)`` has put off.
        var hasRoom = false
    }

    let request: HTTPRequest
    let options: HTTPClient.Options
    let sink: any AnswerSink
    /// How long a stream may be silent; nil: the answer is taken whole.
    let idleTimeout: Duration?
    private let orders = Locked(Orders())

    init(_ request: HTTPRequest, _ options: HTTPClient.Options, sink: any AnswerSink, idleTimeout: Duration? = nil) {
        self.request = request
        self.options = options
        self.sink = sink
        self.idleTimeout = idleTimeout
    }

    /// Notes an order. Any thread may call it.
    ///
    /// - Returns: whether the engine has yet to be told, so that a call waits there at most once.
    func order(_ change: (inout Orders) -> Void) -> Bool {
        orders.withLock { orders in
            change(&orders)
            defer { orders.isQueued = true }
            return !orders.isQueued
        }
    }

    /// Takes the orders. A cancellation stays.
    func takeOrders() -> Orders {
        orders.withLock { orders in
            let taken = orders
            orders.isQueued = false
            orders.hasRoom = false
            return taken
        }
    }
}

/// Where an answer goes. The engine's thread calls it: at most one head, then bytes, then exactly one end.
protocol AnswerSink: Sendable {
    func begin(_ head: AnswerHead)
    func accept(_ bytes: UnsafeRawBufferPointer) -> Acceptance
    /// - Parameter error: nil: the answer is complete.
    func end(_ error: HTTPError?)
}

struct AnswerHead: Sendable {
    var status = 0
    var headers: [HTTPRequest.Header] = []
}

/// What a sink says to bytes.
enum Acceptance {
    case taken
    /// No room now. The same bytes come again after ``Call/Orders/hasRoom``.
    case later
    /// More than the caller allows: the transfer is broken off.
    case tooLong
}

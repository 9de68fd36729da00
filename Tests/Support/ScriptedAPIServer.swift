private import CLinux
private import Dispatch
private import Glibc
private import Platform
package import TLS

/// An API server by a script, on 127.0.0.1: answers each request by a function, over HTTP or HTTPS.
package final class ScriptedAPIServer: Sendable {
    package struct Request: Sendable, CustomStringConvertible {
        package let method: String
        /// Without the query.
        package let path: String
        /// Decoded.
        package let query: [String: String]
        /// By their names in small letters.
        package let headers: [String: String]
        package let body: String

        package var isWatch: Bool { query["watch"] == "1" }
        package var description: String { "\(method) \(path)\(isWatch ? " (watch)" : "")" }
    }

    package enum Answer: Sendable {
        case json(Int, String, headers: [String: String] = [:])
        /// 200, and what the feed says.
        case stream(Feed)
        /// The connection ends without an answer.
        case none

        package static func status(_ code: Int, _ reason: String, _ message: String = "no", _ rest: String = "")
            -> Answer
        {
            .json(
                code,
                #"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"\#(reason)","message":"\#(message)","#
                    + #""code":\#(code)\#(rest)}"#)
        }
    }

    package let url: String
    package let port: Int
    /// Every request, in the order in which they came.
    package let requests = Inbox<Request>()
    /// How many connections have come.
    package var connections: Int { accepted.withLock { $0 } }

    private let listener: Int32
    private let accepted = Locked(0)
    private let answer: @Sendable (Request) -> Answer

    /// - Parameter answer: called by several threads.
    package init(_ context: ServerContext? = nil, answer: @escaping @Sendable (Request) -> Answer) throws {
        self.answer = answer
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let failed = unsafe withUnsafeMutablePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(listener, $0, length) != 0 || listen(listener, 64) != 0
                    || getsockname(listener, $0, &length) != 0
            }
        }
        self.listener = listener
        guard !failed else { throw Failure(description: "cannot listen: error \(errno)") }
        port = Int(UInt16(bigEndian: address.sin_port))
        url = "\(context == nil ? "http" : "https")://127.0.0.1:\(port)"
        DispatchQueue(label: "leasehold.test.listener").async { [accepted, requests, answer] in
            while true {
                let socket = accept(listener, nil, nil)
                guard socket >= 0 else { break }
                accepted.withLock { $0 += 1 }
                DispatchQueue(label: "leasehold.test.connection").async {
                    defer { close(socket) }
                    guard let wire = try? ScriptedWire(socket, context) else { return }
                    while let request = wire.request() {
                        requests.put(request)
                        guard wire.send(answer(request)) else { return }
                    }
                }
            }
            close(listener)
        }
    }

    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    /// The next request that is one.
    package func next(_ isOne: (Request) -> Bool = { _ in true }) async throws -> Request {
        while true {
            let request = try await requests.take()
            if isOne(request) { return request }
        }
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }
}

/// What a test says to one watch, piece by piece.
package final class Feed: Sendable {
    package enum Order: Sendable {
        case say(String)
        /// The answer is complete.
        case end
        /// The connection is closed in the middle of the answer.
        case breakOff
    }

    private let orders = Locked<[Order]>([])
    /// Counts the orders that nobody has taken.
    let descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_SEMAPHORE))
    /// When the client has closed the connection.
    package let closed = Inbox<Void>()

    deinit { close(descriptor) }

    package init(_ first: Order...) {
        for order in first { add(order) }
    }

    package func say(_ text: String) { add(.say(text)) }
    package func end() { add(.end) }
    package func breakOff() { add(.breakOff) }

    private func add(_ order: Order) {
        orders.withLock { $0.append(order) }
        eventfd_write(descriptor, 1)
    }

    func take() -> Order {
        var count = eventfd_t()
        unsafe eventfd_read(descriptor, &count)
        return orders.withLock { $0.removeFirst() }
    }
}

/// Things that happen elsewhere, to be waited for one after the other.
package final class Inbox<Item: Sendable>: Sendable {
    private let stream: AsyncStream<Item>
    private let source: AsyncStream<Item>.Continuation

    package init() { (stream, source) = AsyncStream.makeStream() }

    package func put(_ item: Item) { source.yield(item) }

    /// - Throws: when the test was cancelled, by its time limit.
    package func take() async throws -> Item {
        for await item in stream { return item }
        throw CancellationError()
    }
}

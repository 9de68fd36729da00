private import CLinux
private import Dispatch
private import Glibc
private import TLS

/// The API servers' part: a few connections that ask, get their answers, and ask again a moment later.
package final class GoodClients: @unchecked Sendable {
    // Its owner has it ask once at a time, and whichever thread does that has the clients to itself.
    package static let count = 25
    /// Between an answer and the next question.
    private static let pauseMilliseconds: Int32 = 10
    /// Bounds only what fails.
    private static let patienceMilliseconds: Int32 = 60_000

    /// Milliseconds from a question to its answer, for each question.
    package struct Latencies: Sendable {
        fileprivate var values: [Double] = []

        package init() {}

        package static func += (sum: inout Latencies, more: Latencies) { sum.values += more.values }

        /// At least one has to be there.
        package func percentile(_ share: Double) -> Double {
            let sorted = values.sorted()
            return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
        }
    }

    private final class Client {
        let socket: Int32
        var tls: TLSConnection
        var received: [UInt8] = []
        var asked: Double?

        init(port: UInt16, _ context: ClientContext) throws {
            guard let socket = LoopbackSocket.connect(to: port) else {
                throw ChildProcess.Failure("no connection to 127.0.0.1:\(port): errno \(errno)")
            }
            self.socket = socket
            LoopbackSocket.sendAtOnce(socket)
            tls = try TLSConnection(context, serverName: "127.0.0.1", descriptor: socket)
            while true {
                let progress = tls.handshake()
                switch progress {
                case .done: return
                case .wantsRead: try wait(POLLIN)
                case .wantsWrite: try wait(POLLOUT)
                case .closed, .failed: throw ChildProcess.Failure("handshake: \(progress)")
                }
            }
        }

        deinit { close(socket) }

        func wait(_ events: Int32) throws {
            var entry = pollfd(fd: socket, events: Int16(events), revents: 0)
            guard unsafe poll(&entry, 1, GoodClients.patienceMilliseconds) > 0 else {
                throw ChildProcess.Failure("the server is silent")
            }
        }

        func ask(_ question: [UInt8]) throws {
            var sent = 0
            while sent < question.count {
                switch unsafe question.withUnsafeBytes({
                    unsafe tls.write(UnsafeRawBufferPointer(rebasing: $0[sent...]))
                }) {
                case .moved(let count): sent += count
                case .wantsRead: try wait(POLLIN)
                case .wantsWrite: try wait(POLLOUT)
                case let other: throw ChildProcess.Failure("a good client's question: \(other)")
                }
            }
        }

        /// - Returns: whether the answer is there as a whole.
        func take(_ answer: [UInt8]) throws -> Bool {
            var buffer = [UInt8](repeating: 0, count: 16 * 1024)
            while true {
                switch unsafe buffer.withUnsafeMutableBytes({ unsafe tls.read(into: $0) }) {
                case .moved(let count): received += buffer[..<count]
                case .wantsRead, .wantsWrite: return false
                case let other: throw ChildProcess.Failure("a good client's answer: \(other)")
                }
                guard received.count >= answer.count else { continue }
                guard received == answer else {
                    throw ChildProcess.Failure("a wrong answer: \(String(decoding: received, as: UTF8.self))")
                }
                received = []
                return true
            }
        }
    }

    private let clients: [Client]
    private let question: [UInt8]
    private let answer: [UInt8]

    /// Connects, and asks once for the answer that all others have to be like.
    ///
    /// - Parameter authority: a PEM file.
    package init(port: UInt16, authority: String, review: [UInt8]) throws {
        let context = try ClientContext(authorities: Certificate.all(file: authority))
        let head = "POST /validate HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(review.count)\r\n\r\n"
        question = [UInt8](head.utf8) + review
        clients = try (0..<Self.count).map { _ in try Client(port: port, context) }
        let first = clients[0]
        try first.ask(question)
        var whole: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        while !String(decoding: whole, as: UTF8.self).hasSuffix("}\n") {
            switch unsafe buffer.withUnsafeMutableBytes({ unsafe first.tls.read(into: $0) }) {
            case .moved(let count): whole += buffer[..<count]
            case .wantsRead: try first.wait(POLLIN)
            case let other: throw ChildProcess.Failure("the first answer: \(other)")
            }
        }
        guard String(decoding: whole, as: UTF8.self).contains(#""allowed":true"#) else {
            throw ChildProcess.Failure(String(decoding: whole, as: UTF8.self))
        }
        answer = whole
    }

    /// Has each of them ask so often.
    ///
    /// - Throws: when a connection ends, an answer is another than the first was, or none comes for long.
    package func ask(_ times: Int) async throws -> Latencies {
        let result: Result<Latencies, any Error> = await withCheckedContinuation { continuation in
            DispatchQueue(label: "leasehold.test.good").async {
                continuation.resume(returning: Result { try self.askAll(times) })
            }
        }
        return try result.get()
    }

    private static func now() -> Double {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) * 1000 + Double(time.tv_nsec) / 1_000_000
    }

    private func askAll(_ times: Int) throws -> Latencies {
        var latencies = Latencies()
        var left = clients.map { _ in times }
        // Not all at the same time.
        var next = clients.indices.map { Self.now() + Double($0) * Double(Self.pauseMilliseconds) / Double(Self.count) }
        var lastAnswer = Self.now()
        while left.contains(where: { $0 > 0 }) {
            var entries: [pollfd] = []
            var now = Self.now()
            for (index, client) in clients.enumerated() where left[index] > 0 {
                if client.asked == nil, now >= next[index] {
                    client.asked = Self.now()
                    try client.ask(question)
                }
                if client.asked != nil { entries.append(pollfd(fd: client.socket, events: Int16(POLLIN), revents: 0)) }
            }
            _ = unsafe poll(&entries, nfds_t(entries.count), 1)
            let ready = Set(entries.filter { $0.revents != 0 }.map(\.fd))
            for (index, client) in clients.enumerated() {
                guard ready.contains(client.socket), let asked = client.asked, try client.take(answer) else { continue }
                now = Self.now()
                latencies.values.append(now - asked)
                client.asked = nil
                left[index] -= 1
                next[index] = now + Double(Self.pauseMilliseconds)
                lastAnswer = now
            }
            guard Self.now() - lastAnswer < Double(Self.patienceMilliseconds) else {
                throw ChildProcess.Failure("no answer came for a minute")
            }
        }
        return latencies
    }
}

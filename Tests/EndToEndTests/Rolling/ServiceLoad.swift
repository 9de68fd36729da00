import Chaos
import Dispatch
import FoundationEssentials
import Glibc
import Platform
import Support
import TLS

/// The guarded writes of a cluster whose API server asks webhooks by way of a Service, and what becomes of each.
///
/// A new connection leads to the next of the Service's ready endpoints and is kept alive, whatever becomes of the endpoint
/// meanwhile. What cannot be asked is not asked again: with `failurePolicy: Fail` the write fails.
final class ServiceLoad: Sendable {
    enum Verdict: Hashable, Sendable {
        case admitted
        case denied(code: Int, retryAfterSeconds: Int?)
        /// Nobody took the connection.
        case unreachable
        /// The connection ended without an answer.
        case unanswered
    }

    struct Answer: Sendable {
        /// Before the first byte left.
        let sent: ContinuousClock.Instant
        /// After the last byte had come.
        let received: ContinuousClock.Instant
        let verdict: Verdict
    }

    /// A write by a client as client-go is, which tries again when it is told to.
    struct Write: Sendable {
        let begun: ContinuousClock.Instant
        let ended: ContinuousClock.Instant
        let tries: Int
        let verdict: Verdict
    }

    private let context: ClientContext
    private let review: [UInt8]
    private let endpoints: Locked<(ports: [UInt16], next: Int)>
    private let answers = Locked<[Answer]>([])
    private let writes = Locked<[Write]>([])
    private let isStopping = Locked(false)
    private let running = DispatchGroup()

    /// Threads that ask; as many write.
    private static let threads = 3
    /// Each thread has so many connections, and uses one after the other, so that each idles in between.
    private static let connections = 4
    private static let pauseMicroseconds: UInt32 = 10_000
    /// As client-go.
    private static let triesMax = 10

    /// - Parameter authority: a PEM file of who signed the webhooks' certificate.
    init(_ ports: [UInt16], authority: String) throws {
        context = try ClientContext(authorities: Certificate.all(file: authority))
        let fixture = ControlPlane.projectFile("Tests/WebhookTests/Fixtures/01-create-guestbooks.json")
        review = [UInt8](try Data(contentsOf: URL(filePath: fixture)))
        endpoints = Locked((ports, 0))
        for number in 0..<Self.threads * 2 {
            DispatchQueue(label: "leasehold.test.load").async(group: running) {
                var caller = Caller(load: self)
                while !self.isStopping.withLock({ $0 }) {
                    if number < Self.threads { _ = caller.ask() } else { caller.write() }
                    usleep(Self.pauseMicroseconds)
                }
            }
        }
    }

    /// Where new connections lead.
    var ports: [UInt16] {
        get { endpoints.withLock { $0.ports } }
        set { endpoints.withLock { $0.ports = newValue } }
    }

    func stop() async {
        isStopping.withLock { $0 = true }
        await withCheckedContinuation { continuation in
            running.notify(queue: .global()) { continuation.resume() }
        }
    }

    func answers(since start: ContinuousClock.Instant) -> [Answer] {
        answers.withLock { $0.filter { $0.sent >= start } }.sorted { $0.received < $1.received }
    }

    func writes(since start: ContinuousClock.Instant) -> [Write] {
        writes.withLock { $0.filter { $0.begun >= start } }
    }

    /// Waits until what is asked from now on is admitted.
    func untilAdmitted() async throws {
        let start = ContinuousClock.now
        try await eventually("a write is admitted") { answers(since: start).contains { $0.verdict == .admitted } }
    }

    /// One thread's part.
    private struct Caller {
        let load: ServiceLoad
        var connections: [ServiceConnection] = []

        mutating func ask() -> Verdict {
            let sent = ContinuousClock.now
            let verdict = verdict()
            load.answers.withLock { $0.append(Answer(sent: sent, received: .now, verdict: verdict)) }
            return verdict
        }

        mutating func write() {
            let begun = ContinuousClock.now
            for number in 1...ServiceLoad.triesMax + 1 {
                let verdict = ask()
                guard case .denied(_, let seconds?) = verdict, number <= ServiceLoad.triesMax else {
                    let write = Write(begun: begun, ended: .now, tries: number, verdict: verdict)
                    return load.writes.withLock { $0.append(write) }
                }
                sleep(UInt32(seconds))
            }
        }

        private mutating func verdict() -> Verdict {
            connections.removeAll { !$0.isOpen }
            let connection: ServiceConnection
            if connections.count < ServiceLoad.connections {
                let port = load.endpoints.withLock { endpoints in
                    endpoints.next += 1
                    return endpoints.ports[endpoints.next % endpoints.ports.count]
                }
                guard let new = try? ServiceConnection(port: port, trusting: load.context) else { return .unreachable }
                connection = new
            } else {
                connection = connections.removeFirst()
            }
            guard let (status, body, isKept) = try? connection.post(load.review, to: "/validate?timeout=10s") else {
                return .unanswered
            }
            if isKept { connections.append(connection) }
            guard status == 200, let answer = ReviewAnswer(parsing: body) else {
                return .denied(code: status, retryAfterSeconds: nil)
            }
            return answer.isAllowed
                ? .admitted : .denied(code: answer.code, retryAfterSeconds: answer.retryAfterSeconds)
        }
    }
}

package import Platform
internal import Synchronization

/// What one server has done, added up over its loops. Any thread may read it.
package final class ServerCounters: Sendable {
    let connectionsOpen = Atomic<Int>(0)
    let connectionsAccepted = Atomic<Int>(0)
    let connectionsRefused = Atomic<Int>(0)
    let acceptPauses = Atomic<Int>(0)
    let handshakeFailures = Atomic<Int>(0)
    let memoryRefusals = Atomic<Int>(0)
    /// What buffers have mapped, which ``Limits/bufferBytesMax`` bounds. Pages that were never filled take no memory, so it is
    /// no metric.
    let bufferBytes = Atomic<Int>(0)
    let bytesReceived = Atomic<Int>(0)
    let bytesSent = Atomic<Int>(0)
    private let timeouts: InlineArray<3, Atomic<Int>> = InlineArray { _ in Atomic(0) }
    private let answers: InlineArray<10, Atomic<Int>> = InlineArray { _ in Atomic(0) }

    func expired(_ kind: Timeouts.Kind) {
        timeouts[kind.rawValue].wrappingAdd(1, ordering: .relaxed)
    }

    /// How many connections were closed because a timeout of this kind was over.
    func timeouts(_ kind: Timeouts.Kind) -> Int {
        timeouts[kind.rawValue].load(ordering: .relaxed)
    }

    func answered(_ status: Status) {
        answers[status.ordinal].wrappingAdd(1, ordering: .relaxed)
    }

    /// How many requests were answered with `status`.
    package func answers(_ status: Status) -> Int {
        answers[status.ordinal].load(ordering: .relaxed)
    }

    /// - Parameter server: the value of the label `server`, which tells the servers of one process apart.
    package func families(server: String) -> [MetricFamily] {
        let label = [(name: "server", value: server)]
        func one(_ name: String, _ kind: MetricFamily.Kind, _ help: String, _ value: borrowing Atomic<Int>)
            -> MetricFamily
        {
            MetricFamily(name, kind, help: help, [.init(Double(value.load(ordering: .relaxed)), labels: label)])
        }
        return [
            one("leasehold_server_connections", .gauge, "Connections that are open.", connectionsOpen),
            one(
                "leasehold_server_connections_accepted_total", .counter, "Connections accepted since the start.",
                connectionsAccepted),
            one(
                "leasehold_server_connections_refused_total", .counter,
                "Connections refused because too many were open.", connectionsRefused),
            one(
                "leasehold_server_accept_pauses_total", .counter,
                "Times that new connections had to wait because no descriptor or memory was left.", acceptPauses),
            one(
                "leasehold_server_handshake_failures_total", .counter, "TLS handshakes that failed.", handshakeFailures),
            one(
                "leasehold_server_memory_refusals_total", .counter,
                "Requests refused, and answers given up, because the buffers of all connections were at their limit.",
                memoryRefusals),
            MetricFamily(
                "leasehold_server_timeouts_total", .counter,
                help: "Connections closed because a request or its answer took too long, or none came.",
                Timeouts.Kind.allCases.map { kind in
                    .init(Double(timeouts(kind)), labels: label + [("kind", "\(kind)")])
                }),
            one("leasehold_server_received_bytes_total", .counter, "Bytes of requests.", bytesReceived),
            one("leasehold_server_sent_bytes_total", .counter, "Bytes of answers.", bytesSent),
            MetricFamily(
                "leasehold_server_requests_total", .counter, help: "Requests answered, by status code.",
                Status.allCases.map { status in
                    .init(Double(answers(status)), labels: label + [("code", String(status.rawValue))])
                }),
        ]
    }
}

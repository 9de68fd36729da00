/// Remembers at which servers a request has run out of time, so that the next ones take new connections.
///
/// A connection that a router on the way has forgotten stays silent for ever, and HTTP/2 would put every further request
/// on it: a leader would lose its leases although the server can be reached. Confined to the thread of the engine.
struct Distrust {
    /// Which connections a request may take.
    enum Age: Equatable {
        case any
        /// One made in the last so many seconds.
        case atMost(seconds: Int)
        /// A new one.
        case new
    }

    private struct Server {
        var timeout: ContinuousClock.Instant
        var hasAnswered = false
    }

    private var servers: [String: Server] = [:]

    /// Far more than any of our processes talks to. Beyond it all is forgotten, which costs at most another time-out.
    private static let serversMax = 64

    func age(_ url: String, now: ContinuousClock.Instant) -> Age {
        guard let server = servers[Self.server(url)] else { return .any }
        // libcurl counts whole seconds, rounded down, and 0 would mean no limit to it.
        let seconds = Int((now - server.timeout).components.seconds)
        return server.hasAnswered && seconds >= 1 ? .atMost(seconds: seconds) : .new
    }

    mutating func noteTimeout(_ url: String, now: ContinuousClock.Instant) {
        if servers.count >= Self.serversMax { servers = [:] }
        servers[Self.server(url)] = Server(timeout: now)
    }

    mutating func noteAnswer(_ url: String) {
        if !servers.isEmpty { servers[Self.server(url)]?.hasAnswered = true }
    }

    /// Scheme, host and port as the URL spells them.
    private static func server(_ url: String) -> String {
        var slashes = 0
        return String(
            url.prefix {
                if $0 == "/" { slashes += 1 }
                return slashes < 3
            })
    }
}

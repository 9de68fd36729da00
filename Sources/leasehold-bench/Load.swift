private import CLinux
private import Glibc
private import TLS

/// Sends one request again and again at a given rate, whether or not the answers keep up (an open loop), and measures how
/// long each took since the moment at which it was due: a server that stalls is charged for all that should have been
/// sent meanwhile, where a generator that waits for answers would not even notice (coordinated omission).
///
/// It never sleeps, so it needs a processor of its own.
struct Load {
    private let request: [UInt8]
    private let connections: [ClientConnection]

    init(port: UInt16, path: String, body: [UInt8], certificate: String, connections count: Int) throws {
        let head =
            "POST \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.count)\r\n\r\n"
        request = Array(head.utf8) + body
        let context = try ClientContext(authorities: Certificate.all(file: certificate))
        connections = try (0..<count).map { _ in try ClientConnection(port: port, context) }
    }

    /// The first part of a run, in which buffers and caches fill, does not count.
    private static let warmUpPart = 0.1

    /// - Parameters:
    ///   - rate: requests a second.
    ///   - seed: of the gaps between requests, which are exponentially distributed, as those of many independent clients
    ///     are. The same seed gives the same gaps.
    func run(rate: Double, seconds: Double, seed: UInt64) throws {
        let poller = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poller >= 0 else { throw Failure("epoll_create1: \(Failure.last())") }
        defer { close(poller) }
        for (index, connection) in connections.enumerated() {
            var event = unsafe epoll_event()
            unsafe event.events = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLET.rawValue
            unsafe event.data.u64 = UInt64(index)
            guard unsafe epoll_ctl(poller, EPOLL_CTL_ADD, connection.socket, &event) == 0 else {
                throw Failure("epoll_ctl: \(Failure.last())")
            }
        }

        var gaps = Gaps(rate: rate, seed: seed)
        let start = Self.now() + 10_000_000
        let (counted, end) = (start + Int64(seconds * Self.warmUpPart * 1e9), start + Int64(seconds * 1e9))
        var next = start
        var idle = Array(connections.indices)
        /// When the request under way was due, for each connection; nil: there is none.
        var due = [Int64?](repeating: nil, count: connections.count)
        var latencies: [Int64] = []
        /// How much later than due a request was sent although a connection was free: the generator's own error.
        var delays: [Int64] = []
        latencies.reserveCapacity(Int(rate * seconds * 1.5))
        delays.reserveCapacity(Int(rate * seconds * 1.5))
        unsafe try withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 64) { events in
            func proceed(_ index: Int) throws {
                guard let since = due[index], try connections[index].proceed(request) else { return }
                due[index] = nil
                idle.append(index)
                if since >= counted { latencies.append(Self.now() - since) }
            }
            var wasFree = true
            while next < end || idle.count < connections.count {
                let now = Self.now()
                guard now < end + 30_000_000_000 else { throw Failure("requests are without an answer for 30 s") }
                while next < end, next <= now, let index = idle.popLast() {
                    if wasFree, next >= counted { delays.append(now - next) }
                    due[index] = next
                    next += gaps.next()
                    connections[index].begin()
                    try proceed(index)
                }
                wasFree = !idle.isEmpty
                let count = unsafe epoll_wait(poller, events.baseAddress, 64, 0)
                for number in 0..<max(0, Int(count)) { try proceed(Int(unsafe events[number].data.u64)) }
            }
        }
        print(Self.summary(latencies, delays, seconds: seconds * (1 - Self.warmUpPart)))
    }

    private static func summary(_ latencies: [Int64], _ delays: [Int64], seconds: Double) -> String {
        let (latencies, delays) = (latencies.sorted(), delays.sorted())
        func microseconds(_ values: [Int64], _ part: Double) -> Double {
            values.isEmpty ? 0 : Double(values[min(values.count - 1, Int(Double(values.count) * part))]) / 1000
        }
        return "{\"requests\": \(latencies.count), \"rate\": \(Double(latencies.count) / seconds), "
            + "\"p50_us\": \(microseconds(latencies, 0.5)), \"p90_us\": \(microseconds(latencies, 0.9)), "
            + "\"p99_us\": \(microseconds(latencies, 0.99)), \"p999_us\": \(microseconds(latencies, 0.999)), "
            + "\"max_us\": \(microseconds(latencies, 1)), \"late_p99_us\": \(microseconds(delays, 0.99))}"
    }

    private static func now() -> Int64 {
        var time = timespec()
        let failed = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        precondition(failed == 0, "clock_gettime refused CLOCK_MONOTONIC")
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// Times between requests, in nanoseconds.
private struct Gaps {
    private let mean: Double
    private var state: UInt64

    init(rate: Double, seed: UInt64) {
        mean = 1e9 / rate
        state = seed
    }

    mutating func next() -> Int64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 31
        let uniform = (Double(bits >> 11) + 0.5) / Double(1 << 53)
        return Int64(-log(uniform) * mean)
    }
}

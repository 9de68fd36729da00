import FoundationEssentials
import Glibc
import HTTP
import Support
import Testing

/// Whoever reaches the webhook's port may do with it what they like: those who mean it well are answered, rightly.
///
/// `make abuse` runs these with 10,000 connections, and measures.
@Suite(.serialized) struct AbuseTests {
    private static let environment = ProcessInfo.processInfo.environment
    /// Connections that stay, of each kind.
    private static let crowd = environment["LEASEHOLD_ABUSE"].flatMap { Int($0) } ?? 400
    private static let isMeasuring = environment["LEASEHOLD_ABUSE"] != nil
    /// Questions of each good client at a time.
    private static let questions = 40
    private static let turns = isMeasuring ? 20 : 1
    /// Connections at once of those that come and go.
    private static let visitors = 50

    /// A process of cluster east that leads team-a and serves admissions.
    private struct Webhook {
        let process: ChildProcess
        let directory: TemporaryDirectory
        var port: UInt16 { process.port("admissions") ?? 0 }
        var authority: String { directory.file("clusters/east/tls/ca.crt") }

        /// - Parameter limits: of the shell, before the process begins.
        init(_ arguments: [String] = [], limits: String = "true") async throws {
            directory = try TemporaryDirectory()
            let binary = try environment["LEASEHOLD_ABUSE_BINARY"] ?? ChildProcess.leasehold()
            process = try ChildProcess(
                "/bin/sh",
                [
                    "-c", "\(limits) && exec \"$0\" \"$@\"", binary, "run", "--cluster", "east", "--namespace",
                    "team-a",
                    "--bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0",
                    "--metrics-bind-address", "127.0.0.1:0",
                ] + arguments, environment: ["LEASEHOLD_STATE_DIRECTORY": directory.path], in: directory)
            let (process, authority) = (self.process, self.authority)
            try await eventually("it admits") {
                guard !process.hasExited else { throw ChildProcess.Failure(process.err) }
                guard process.port("metrics") != nil, let port = process.port("admissions") else { return false }
                return try AdmissionClient(port: port, authority: authority).post(Cluster.review()).body
                    .contains(#""allowed":true"#)
            }
        }

        func goodClients() throws -> GoodClients {
            try GoodClients(port: port, authority: authority, review: Cluster.review())
        }

        func crowd(_ conduct: Crowd.Conduct, _ count: Int) throws -> Crowd {
            try Crowd(conduct, count, port: port, authority: authority)
        }

        /// A metric of the webhook's port; with all of `labels` among its own.
        func metric(_ name: String, _ labels: String = "") async throws -> Int {
            let page = try await HTTPClient().send(
                HTTPRequest(.get, "http://127.0.0.1:\(process.port("metrics") ?? 0)/metrics"))
            let lines = String(decoding: page.body, as: UTF8.self).split(separator: "\n")
            let line = lines.first {
                $0.hasPrefix("\(name){") && $0.contains(#"server="webhook""#) && $0.contains(labels)
            }
            return try #require(line?.split(separator: " ").last.flatMap { Double($0) }.map { Int($0) }, "\(name)")
        }

        func connections() async throws -> Int { try await metric("leasehold_server_connections") }

        func memory() throws -> Int { try process.status.residentBytes >> 20 }

        func end() async {
            process.send(SIGTERM)
            #expect(await process.exitCode() == 0, "\(process.err)")
        }
    }

    // MARK: Crowds

    @Test(arguments: Crowd.Conduct.allCases)
    func `good clients are answered rightly beside a crowd of`(conduct: Crowd.Conduct) async throws {
        Self.raiseDescriptorLimit()
        // Time enough for a large crowd to gather; that slow clients are closed is a test of its own.
        let patience = ["--request-timeout", "10m", "--idle-timeout", "10m"]
        let webhook = try await Webhook(patience)
        let good = try webhook.goodClients()
        _ = try await good.ask(10)
        // Who asks for metrics keeps a connection, too.
        #expect(try await webhook.connections() == GoodClients.count)
        let before = try webhook.process.status
        let memory = try webhook.memory()
        // One without a crowd, asked in turn with the other: what else the machine does meets both alike.
        let other = Self.isMeasuring ? try await Webhook(patience) : nil
        let clients = try [good] + [other?.goodClients()].compactMap(\.self)
        let alone = try await Self.ask([good])[0]

        // Memory bounds some, not their number.
        let most = conduct == .hoarding || conduct == .slowReader ? min(Self.crowd, 1000) : Self.crowd
        let count = conduct.stays ? most - GoodClients.count : Self.visitors
        let crowd = try webhook.crowd(conduct, count)
        if conduct == .hoarding {
            try await eventually("some are refused") { crowd.refused > 0 }
        } else if conduct.stays {
            try await eventually("all are there") { crowd.held == count }
            try await eventually("the server has them") {
                try await webhook.connections() == count + GoodClients.count
            }
        } else {
            try await eventually("some have come and gone") { crowd.finished > 100 }
        }
        // Connections that stay may still be busy with their arrival: what they cost then is what those cost that come and go.
        if other != nil { _ = try await Self.ask([good]) }
        let latencies = try await Self.ask(clients)
        let (peak, open) = (try webhook.memory(), try webhook.process.status.descriptors)
        if conduct.stays, conduct != .hoarding {
            #expect(crowd.held == count && crowd.ended == 0)
            #expect(open >= before.descriptors + count - 4)
        }
        switch conduct {
        case .hoarding:
            let refused = crowd.refused
            let refusals = try await webhook.metric("leasehold_server_memory_refusals_total")
            #expect(refusals >= refused && refusals > 0)
            // 128 MiB of buffers, and the rest of a process with TLS for a thousand connections.
            if !Sanitizer.isPresent { #expect(peak - memory < 128 + 100, "\(peak) MiB") }
        case .garbage, .oversized:
            #expect(try await webhook.metric("leasehold_server_handshake_failures_total") > 0)
        case .idle, .slowHead, .slowBody, .silent, .halfHandshake, .slowReader, .reset, .close, .handshakes,
            .halfClosed:
            break
        }
        let finished = crowd.finished
        await crowd.stop()
        try await eventually("all are gone") { try await webhook.connections() == GoodClients.count }
        _ = try await good.ask(10)
        // The election beside the webhook opens files now and then.
        try await eventually("descriptors and threads are given back") {
            let now = try webhook.process.status
            return try now.descriptors <= before.descriptors && now.threads <= before.threads + 1
        }
        if !Sanitizer.isPresent {
            try await eventually("memory is given back") { try webhook.memory() <= memory + 32 + Self.crowd / 100 }
        }
        if let other {
            try AbuseReport.add(
                .init(
                    crowd: conduct.rawValue, connections: count, finished: finished, alone: alone,
                    beside: latencies[0], elsewhere: latencies[1], memoryMiB: memory, memoryPeakMiB: peak,
                    memoryAfterMiB: try webhook.memory()))
            await other.end()
        }
        await webhook.end()
    }

    /// Has each of them ask in its turn.
    private static func ask(_ clients: [GoodClients]) async throws -> [GoodClients.Latencies] {
        var latencies = clients.map { _ in GoodClients.Latencies() }
        for _ in 0..<turns {
            for (index, each) in clients.enumerated() { latencies[index] += try await each.ask(questions) }
        }
        return latencies
    }

    @Test(arguments: [Crowd.Conduct.slowHead, .slowBody, .silent, .halfHandshake, .slowReader])
    func `whoever is slow is closed and counted`(conduct: Crowd.Conduct) async throws {
        let webhook = try await Webhook(["--request-timeout", "2s"])
        let good = try webhook.goodClients()
        let crowd = try webhook.crowd(conduct, 40)
        try await eventually("as many are closed") { crowd.ended >= 40 }
        #expect(try await webhook.metric("leasehold_server_timeouts_total", #"kind="request""#) >= 40)
        _ = try await good.ask(10)
        await crowd.stop()
        await webhook.end()
    }

    @Test func `beyond the most connections new ones are refused, and old ones served`() async throws {
        let webhook = try await Webhook(["--max-connections", "60", "--request-timeout", "10m"])
        let good = try webhook.goodClients()
        let held = try webhook.crowd(.idle, 35)
        try await eventually("all are there") { held.held == 35 }
        let more = try webhook.crowd(.idle, 20)
        try await eventually("others are refused") {
            try await webhook.metric("leasehold_server_connections_refused_total") > 50
        }
        _ = try await good.ask(Self.questions)
        #expect(held.held == 35 && held.ended == 0)
        #expect(more.held == 0)
        await more.stop()
        await held.stop()
        try await eventually("all are gone") { try await webhook.connections() == GoodClients.count }
        let late = try webhook.crowd(.idle, 35)
        try await eventually("there is room again") { late.held == 35 }
        await late.stop()
        await webhook.end()
    }

    // MARK: Little room

    @Test func `with few descriptors new clients wait, old ones and probes are served, and the process lives`()
        async throws
    {
        let webhook = try await Webhook(limits: "ulimit -n 100")
        let good = try webhook.goodClients()
        let crowd = try webhook.crowd(.idle, 200)
        try await eventually("clients wait") { try await webhook.metric("leasehold_server_accept_pauses_total") > 5 }
        _ = try await good.ask(Self.questions)
        // What no connection may take.
        #expect(try webhook.process.status.descriptors < 100 - 8)
        for label in ["health", "metrics"] {
            let page = label == "health" ? "healthz" : "metrics"
            let answer = try await HTTPClient().send(
                HTTPRequest(.get, "http://127.0.0.1:\(webhook.process.port(label) ?? 0)/\(page)"))
            #expect(answer.status == 200)
        }
        await crowd.stop()
        let later = AdmissionClient(port: webhook.port, authority: webhook.authority)
        #expect(try later.post(Cluster.review()).body.contains(#""allowed":true"#))
        await webhook.end()
    }

    @Test func `with little address space large bodies are refused, and the process lives`() async throws {
        let webhook = try await Webhook(["--request-timeout", "10m", "--threads", "2"])
        let good = try webhook.goodClients()
        // What it has now and 48 MiB more.
        let bytes = try webhook.process.status.virtualBytes + (48 << 20)
        let limiter = try ChildProcess(
            "/usr/bin/prlimit", ["--pid", "\(webhook.process.pid)", "--as=\(bytes)"], in: webhook.directory)
        #expect(await limiter.exitCode() == 0, "\(limiter.err)")
        let crowd = try webhook.crowd(.hoarding, 20)
        try await eventually("some are refused") { crowd.refused > 0 }
        _ = try await good.ask(Self.questions)
        await crowd.stop()
        _ = try await good.ask(Self.questions)
        await webhook.end()
    }

    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        _ = unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

import CLinux
import Glibc
import Platform
import Testing

@testable import Webhook

/// What must not grow. Each test runs in a process of its own, where descriptors, threads and memory are nobody else's.
struct EnduranceTests {
    @Test func `nothing is left of 5,000 connections, and nothing grows over 200,000 requests`() async {
        await #expect(processExitsWith: .success) {
            let servers = try Wire.allCases.map {
                (wire: $0, server: try Server.forTests($0, loops: 2, routes: [.tiny]))
            }
            let request = Array(post(String(repeating: "x", count: 300)).utf8)
            let batch = Array(repeatElement(request, count: 100).joined())
            let answerBytes = try TestClient(servers[0].server.address).sizeOfAnswer(to: request)

            func serve(batches: Int) throws {
                for (wire, server) in servers {
                    let clients = try (0..<4).map { _ in try TestClient(server.address, wire) }
                    for _ in 0..<batches {
                        for client in clients { try client.send(batch) }
                        for client in clients { try client.skip(100 * answerBytes) }
                    }
                }
            }
            func connect(_ count: Int) throws {
                for number in 0..<count {
                    // Every tenth with TLS: that many handshakes take a while without optimization.
                    let (wire, server) = servers[number % 10 == 0 ? 1 : 0]
                    let client = try TestClient(server.address, wire)
                    try client.send(request)
                    try client.skip(answerBytes)
                    if number % 3 == 0 { client.reset() }
                }
                for (_, server) in servers {
                    try waitUntil { server.counters.connectionsOpen.load(ordering: .relaxed) == 0 }
                }
            }

            // Warm first: each loop has served and each reused buffer has its size.
            try serve(batches: 20)
            try connect(500)
            let before = Resources()
            try serve(batches: 250)
            try connect(5000)
            let after = Resources()

            let answers = servers.reduce(0) { $0 + $1.server.counters.answers(.ok) }
            #expect(answers == 1 + 2 * 4 * 100 * 270 + 5500)
            #expect(after.descriptors == before.descriptors)
            #expect(before.threads == 4 && after.threads == 4)
            // A byte lost for each request, or a few for each connection, would show; but not under a sanitizer, which
            // has its own memory and keeps what is freed.
            if Famine.isPossible {
                #expect(after.heapBytes - before.heapBytes < 128 * 1024, "\(before) \(after)")
                #expect(after.residentBytes - before.residentBytes < 2 * 1024 * 1024, "\(before) \(after)")
            }
        }
    }

    @Test func `when descriptors run out, new clients wait and old ones are served`() async {
        await #expect(processExitsWith: .success) {
            let server = try Server.forTests()
            let old = try TestClient(server.address)
            #expect(try old.request(post("x")).status == 200)
            let reserved = TestClient.makeSocket()

            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            let limited = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            #expect(limited == 0)
            // All but those that connections may not have: without any, Dispatch would end the process.
            var taken: [Int32] = []
            while case let descriptor = dup(0), descriptor >= 0 { taken.append(descriptor) }
            for _ in 0..<8 { close(taken.removeLast()) }

            let started = ContinuousClock.now
            let new = try TestClient(server.address, socket: reserved)
            try new.send(post("y"))
            try waitUntil { server.counters.acceptPauses.load(ordering: .relaxed) >= 3 }
            #expect(try old.request(post("x")).status == 200)
            // It asks again now and then, and does not spin: a pause takes 100 ms.
            let pauses = server.counters.acceptPauses.load(ordering: .relaxed)
            #expect(Duration.milliseconds(100) * (pauses - 1) <= ContinuousClock.now - started)

            for descriptor in taken { close(descriptor) }
            #expect(try new.answer().text == Route.echoed(Array("y".utf8)))
        }
    }

    @Test func `connections leave descriptors to the rest of the process`() async {
        await #expect(processExitsWith: .success) {
            // Dispatch ends the process (SIGILL) when work waits and it can open nothing to look at its threads with.
            let server = try Server.forTests(limits: .with { $0.descriptorsSpared = 10 })
            let sockets = (0..<64).map { _ in TestClient.makeSocket() }
            // Those of the clients are above all that the server gets.
            let moved = sockets.map { fcntl($0, F_DUPFD_CLOEXEC, 200) }
            for socket in sockets { close(socket) }
            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            let limited = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            #expect(limited == 0)
            let clients = try moved.map { try TestClient(server.address, socket: $0) }
            for client in clients { try client.send(post("x")) }
            try waitUntil { server.counters.acceptPauses.load(ordering: .relaxed) > 0 }
            var free: [Int32] = []
            while case let descriptor = dup(0), descriptor >= 0 { free.append(descriptor) }
            #expect(free.count == 10)
            for descriptor in free { close(descriptor) }
            #expect(try clients[0].answer().status == 200)
            // All have their turn as others go.
            for client in clients.dropFirst() {
                clients[0].drop()
                #expect(try client.answer().status == 200)
                client.drop()
            }
        }
    }

    @Test(arguments: Wire.allCases)
    func `large requests together take no more memory than they may, and small ones go on`(wire: Wire) throws {
        let limits = Limits.with { $0.bufferBytesMax = 4 * 1024 * 1024 }
        let server = try Server.forTests(wire, limits: limits, routes: [.tiny])
        let mapped = { server.counters.bufferBytes.load(ordering: .relaxed) }
        let good = try TestClient(server.address, wire)
        let head = "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"
        // Each waits for a last byte: that is more than three of them may have.
        let clients = try (0..<12).map { _ in try TestClient(server.address, wire) }
        for client in clients {
            try client.send(head)
            // A refusal ends the connection, possibly before all is sent.
            try? client.send([UInt8](repeating: 0x62, count: 999_999))
            #expect(try good.request(post("x")).text == "tiny")
            #expect(mapped() <= limits.bufferBytesMax + 20 * ByteBuffer.smallestCapacity)
        }
        let refusals = { server.counters.memoryRefusals.load(ordering: .relaxed) }
        try waitUntil { refusals() >= 9 }
        var taken = 0
        for client in clients {
            guard !client.hasInput else {
                let answer = try client.answer()
                #expect(answer.status == 503 && answer.headers["retry-after"] == "1")
                #expect(answer.headers["connection"] == "close")
                continue
            }
            try client.send([0x62])
            #expect(try client.answer().status == 200)
            taken += 1
        }
        #expect(taken > 0 && taken + refusals() == clients.count)
        #expect(try good.request(post(String(repeating: "x", count: 1_000_000))).status == 200)
    }

    @Test func `answers that nobody takes are given up when there is no memory for them`() throws {
        let limits = Limits.with { $0.bufferBytesMax = 64 * 1024 }
        let server = try Server.forTests(limits: limits, routes: [.long, .tiny])
        let client = try TestClient(server.address, receiveBufferBytes: 4096)
        // Until the kernel takes no more.
        let request = "POST /long HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
        do { for _ in 0..<100 { try client.send(request) } } catch {}
        client.waitForEnd()
        #expect(server.counters.memoryRefusals.load(ordering: .relaxed) == 1)
        #expect(try TestClient(server.address).request(post("x")).text == "tiny")
    }

    @Test(arguments: Wire.allCases)
    func `memory is given back after large bodies while their connections stay open`(wire: Wire) throws {
        let server = try Server.forTests(wire, routes: [.tiny])
        let clients = try (0..<6).map { _ in try TestClient(server.address, wire) }
        func mapped() -> Int { server.counters.bufferBytes.load(ordering: .relaxed) }
        let before = mapped()
        let body = [UInt8](repeating: 0x62, count: 4 * 1024 * 1024)
        for client in clients {
            try client.send("POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.count)\r\n\r\n")
            try client.send(Array(body.dropLast()))
        }
        try waitUntil { mapped() > clients.count * body.count }
        for client in clients {
            try client.send([0x62])
            #expect(try client.answer().status == 200)
        }
        try waitUntil { mapped() <= before + 8 * ByteBuffer.smallestCapacity }
        #expect(server.counters.connectionsOpen.load(ordering: .relaxed) == clients.count)
    }

    @Test func `a promised length takes no memory before its bytes arrive`() throws {
        let server = try Server.forTests(routes: [.tiny])
        let before = server.counters.bufferBytes.load(ordering: .relaxed)
        let clients = try (0..<20).map { _ in try TestClient(server.address) }
        for client in clients {
            // The first request shows by its answer that the second, behind it, has been looked at.
            try client.send(post("x") + "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Length: 8388608\r\n\r\n{")
            #expect(try client.answer().status == 200)
        }
        #expect(
            server.counters.bufferBytes.load(ordering: .relaxed)
                <= before + clients.count * ByteBuffer.smallestCapacity)
    }
}

/// What this process holds.
private struct Resources {
    let descriptors = Self.entries("/proc/self/fd")
    /// The threads of servers; a runtime may start and end others.
    let threads = Self.entries("/proc/self/task") { Self.line("\($0)/comm").hasPrefix("test-") }
    let heapBytes: Int
    let residentBytes: Int

    init() {
        malloc_trim(0)
        heapBytes = Int(mallinfo2().uordblks)
        residentBytes = Self.residentBytes()
    }

    private static func entries(_ path: String, where isCounted: (String) -> Bool = { _ in true }) -> Int {
        guard let directory = unsafe opendir(path) else { return -1 }
        defer { unsafe closedir(directory) }
        var count = 0
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if !name.hasPrefix("."), isCounted("\(path)/\(name)") { count += 1 }
        }
        return count
    }

    private static func residentBytes() -> Int {
        let pages = line("/proc/self/statm").split(separator: " ")
        return (Int(pages[1]) ?? -1) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// The first line of a file; empty when there is none.
    private static func line(_ path: String) -> String {
        guard let file = unsafe fopen(path, "r") else { return "" }
        defer { unsafe fclose(file) }
        var text = [CChar](repeating: 0, count: 200)
        guard unsafe fgets(&text, Int32(text.count), file) != nil else { return "" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

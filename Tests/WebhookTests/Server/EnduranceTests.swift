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
            var taken: [Int32] = []
            while case let descriptor = dup(0), descriptor >= 0 { taken.append(descriptor) }

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

import Dispatch
import FoundationEssentials
import Glibc
import Storage
import Support
import Testing

/// Several processes on one directory. Each child process is the body of an exit test.
@Suite struct FileStoreProcessTests {
    private static let lease = ObjectName(.leases, "team-a")!

    @Test func `no increment is lost when processes race`() async throws {
        let directory = try TemporaryDirectory()
        let store = try FileStore(directory.path, timeout: .seconds(60))
        _ = try await store.write(Self.lease, Array("0".utf8), replacing: nil)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    await #expect(processExitsWith: .success) { [path = directory.path as String] in
                        let store = try FileStore(path, timeout: .seconds(60))
                        for _ in 0..<100 { try await increment(Self.lease, in: store) }
                    }
                }
            }
        }
        #expect(try await store.read(Self.lease)?.body == Array("400".utf8))
    }

    /// A body that is torn when any part of it is missing.
    private static func body(_ number: Int) -> [UInt8] {
        Array("\(number) ".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: 200_000) + Array(" \(number)".utf8)
    }

    private static func number(_ body: [UInt8]) throws -> Int {
        let number = try #require(Int(String(decoding: body.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)))
        try #require(body == Self.body(number))
        return number
    }

    @Test func `a process killed at any moment loses no acknowledged write and leaves the store whole`() async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/store"
        let notes = "\(directory.path)/acknowledged"
        let store = try FileStore(path, timeout: .seconds(60))
        _ = try await store.write(Self.lease, Self.body(0), replacing: nil)
        for round in 0..<25 {
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [path = path as String, notes = notes as String, round = round as Int] in
                let store = try FileStore(path, timeout: .seconds(60))
                // Written to before the next write is sent: the kernel keeps it when the process dies.
                let log = unsafe open(notes, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
                var seen = try #require(try await store.read(Self.lease))
                var number = try Self.number(seen.body)
                var isDoomed = false
                while true {
                    let body = Self.body(number + 1)
                    let version = try await store.write(Self.lease, body, replacing: seen.version)
                    seen = StoredObject(name: Self.lease, version: version, body: body)
                    number += 1
                    let digits = Array("\(number)\n".utf8)
                    try #require(unsafe write(log, digits, digits.count) == digits.count)
                    guard !isDoomed else { continue }
                    isDoomed = true
                    // A few milliseconds are a few writes; the moments differ from round to round.
                    DispatchQueue.global().asyncAfter(deadline: .now() + .microseconds(round * 370)) {
                        kill(getpid(), SIGKILL)
                    }
                }
            }
            let log = try String(contentsOf: URL(filePath: notes), encoding: .utf8)
            let object = try #require(try await store.read(Self.lease))
            let number = try Self.number(object.body)
            let acknowledged = try #require(log.split(separator: "\n").last.flatMap { Int($0) })
            // The last write may have landed without an answer.
            #expect(number == acknowledged || number == acknowledged + 1)
            #expect(try await store.list(.leases) == [object])
        }
        let object = try #require(try await store.read(Self.lease))
        _ = try await store.write(Self.lease, Self.body(0), replacing: object.version)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(path)/leases") == ["team-a"])
    }

    @Test func `a write that does not fit on the disk fails and leaves the object as it was`() async throws {
        await #expect(processExitsWith: .success) {
            let directory = try TemporaryDirectory()
            let store = try FileStore(directory.path, timeout: .seconds(60))
            let version = try await store.write(Self.lease, [1], replacing: nil)
            // Stands for a full disk: write(2) stops in the middle of the file with an error.
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 8192, rlim_max: 8192)
            try #require(unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
            let text = try await failure {
                try await store.write(Self.lease, [UInt8](repeating: 2, count: 65536), replacing: version)
            }
            #expect(text.contains("\(directory.path)/leases/team-a was not written"))
            #expect(text.contains("File too large. Raise this process's limit on file sizes"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(directory.path)/leases") == ["team-a"])
            let object = StoredObject(name: Self.lease, version: version, body: [1])
            #expect(try await store.read(Self.lease) == object)
            _ = try await store.write(Self.lease, [3], replacing: version)
        }
    }

    @Test(.disabled(if: Sanitizer.isAddress, "its leak checker may not look at a process that became another user"))
    func `missing permissions are told, and hide nothing that can be read`() async throws {
        let directory = try TemporaryDirectory()
        try #require(unsafe chmod(directory.path, 0o777) == 0)
        await #expect(processExitsWith: .success) { [parent = directory.path as String] in
            // The superuser may do everything, so this process becomes somebody else for good.
            if geteuid() == 0 { try #require(setgid(65534) == 0 && setuid(65534) == 0) }
            let path = "\(parent)/store"
            let store = try FileStore(path, timeout: .seconds(60))
            let secret = ObjectName(.leases, "secret")!
            let version = try await store.write(Self.lease, [1], replacing: nil)
            _ = try await store.write(secret, [2], replacing: nil)

            try #require(unsafe chmod("\(path)/leases/secret", 0) == 0)
            let listed = try await store.list(.leases)
            #expect(listed.map(\.body) == [[], [1]])
            let text = try await failure { try await store.write(secret, [3], replacing: listed[0].version) }
            #expect(text.contains("\(path)/leases/secret was not replaced: it cannot be read: Permission denied."))

            try #require(unsafe chmod("\(path)/leases", 0o500) == 0)
            #expect(try await store.read(Self.lease)?.body == [1])
            let readOnly = try await failure { try await store.write(Self.lease, [4], replacing: version) }
            #expect(readOnly.contains("\(path)/leases/team-a was not written: leases/.new: Permission denied. Let"))

            try #require(unsafe chmod("\(path)/leases", 0) == 0)
            let closed = try await failure { try await store.list(.leases) }
            #expect(closed.contains("\(path)/leases") && closed.contains("Permission denied"))
            #expect(try await store.list(.members).isEmpty)

            try #require(unsafe chmod(path, 0o500) == 0)
            let inside = try await failure { try FileStore("\(path)/inside") }
            #expect(inside.contains("\(path)/inside cannot be made: Permission denied"))
            try #require(unsafe chmod(path, 0o700) == 0 && chmod("\(path)/leases", 0o700) == 0)
        }
    }

    @Test func `calls and ended watches leave no descriptor open`() async throws {
        // In a process of its own, where no other test opens any.
        await #expect(processExitsWith: .success) {
            let directory = try TemporaryDirectory()
            let store = try FileStore(directory.path, timeout: .seconds(60))
            func descriptors() throws -> Int {
                try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
            }
            var version = try await store.write(Self.lease, [0], replacing: nil)
            var notice: ObjectVersion?
            func round() async throws {
                version = try await store.write(Self.lease, [1], replacing: version)
                _ = try? await store.write(Self.lease, [2], replacing: nil)
                _ = try await store.read(Self.lease)
                _ = try await store.list(.leases)
                let hints = try #require(store.notices())
                notice = try await store.write(.notice, [3], replacing: notice)
                for await _ in hints { break }
                // A watch closes on its own thread, soon after its stream has ended.
                try await Task.sleep(for: .milliseconds(1))
            }
            // The first timers and sources of a process open descriptors that stay.
            try await round()
            let settled = try descriptors()
            for _ in 0..<50 { try await round() }
            // A leak would have left at least 50.
            #expect(try descriptors() < settled + 25)
        }
    }
}

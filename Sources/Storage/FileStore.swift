private import Dispatch
private import Glibc
private import Platform
private import Synchronization

/// A store in a directory of this machine, shared by any number of processes. ``StoreDirectory`` says how it is safe.
package final class FileStore: LeaseStore {
    /// Calls that wait for the disk at most; the next one fails at once.
    private static let callsMax = 1024

    private let directory: StoreDirectory
    private let timeout: Duration
    // This store's calls, one at a time: they block, and the threads of Swift's tasks must not. Calls of one process
    // would wait for each other at the lock anyway.
    private let disk = DispatchQueue(label: "leasehold.store.disk")
    // Calls about leases come to the disk one by one: a heartbeat waits for one of them at most, not for all 64 that a
    // take-over of many namespaces has under way.
    private let leases = DispatchQueue(label: "leasehold.store.leases")
    private let clock = DispatchQueue(label: "leasehold.store.clock")
    private let calls = Atomic<Int>(0)

    /// Calls that are not done with the disk yet.
    var callsUnderWay: Int { calls.load(ordering: .relaxed) }

    /// Opens the store. Blocks for a few system calls.
    ///
    /// - Parameters:
    ///   - path: the directory; a relative one starts at the working directory.
    ///   - timeout: how long a call may take, from when it is made.
    ///   - creating: whether to make what is missing of it.
    /// - Throws: ``StoreError/failed(_:)`` when the directory can't be used or is on a network file system.
    package convenience init(
        _ path: String, timeout: Duration = .seconds(3), creating: Bool = true
    ) throws(StoreError) {
        try self.init(path, timeout: timeout, creating: creating, fileSystem: FileSystemKind.of)
    }

    /// - Parameter fileSystem: what kind of file system holds an open directory.
    init(
        _ path: String, timeout: Duration, creating: Bool = true,
        fileSystem: (borrowing FileDescriptor) throws(SystemError) -> FileSystemKind
    ) throws(StoreError) {
        directory = try StoreDirectory(Self.absolute(path), creating: creating, fileSystem: fileSystem)
        self.timeout = timeout
    }

    package func read(_ name: ObjectName) async throws(StoreError) -> StoredObject? {
        try await call(name.folder) { [directory] attempt throws(StoreError) in try directory.read(name, attempt) }
    }

    package func write(_ name: ObjectName, _ body: [UInt8], replacing version: ObjectVersion?) async throws(StoreError)
        -> ObjectVersion
    {
        try await call(name.folder) { [directory] attempt throws(StoreError) in
            try directory.write(name, body, replacing: version, attempt)
        }
    }

    package func list(_ folder: ObjectName.Folder) async throws(StoreError) -> [StoredObject] {
        try await call(folder) { [directory] attempt throws(StoreError) in try directory.list(folder, attempt) }
    }

    package func notices() -> AsyncStream<Void>? {
        NoticeWatch.stream(folder: "\(directory.path)/\(ObjectName.Folder.members.rawValue)")
    }

    /// Runs `work` on the disk's thread and answers when it is done, or when the time is up, whatever the disk does.
    private func call<Answer: Sendable>(
        _ folder: ObjectName.Folder, _ work: @escaping @Sendable (Attempt) throws(StoreError) -> Answer
    ) async throws(StoreError) -> Answer {
        let path = directory.path
        guard calls.add(1, ordering: .relaxed).newValue <= Self.callsMax else {
            calls.subtract(1, ordering: .relaxed)
            throw .failed("\(path): \(Self.callsMax) calls wait for the disk already. Find out why it is slow.")
        }
        let result: Result<Answer, StoreError> = await withCheckedContinuation { continuation in
            let attempt = Attempt("waiting for other calls to \(path)")
            // Dispatch sources may be used from any thread, but are not marked so.
            nonisolated(unsafe) let timer = DispatchSource.makeTimerSource(queue: clock)
            unsafe timer.setEventHandler { [timeout] in
                unsafe timer.cancel()
                guard let error = attempt.expire(after: "\(timeout)") else { return }
                continuation.resume(returning: .failure(error))
            }
            unsafe timer.schedule(deadline: .now() + timeout.dispatchInterval)
            unsafe timer.activate()
            let turn: @Sendable () -> Void = { [self] in
                defer { calls.subtract(1, ordering: .relaxed) }
                // Given up while it waited for its turn.
                guard attempt.isOpen else { return }
                let result = Result { () throws(StoreError) in try work(attempt) }
                unsafe timer.cancel()
                if attempt.finish() { continuation.resume(returning: result) }
            }
            switch folder {
            case .members: disk.async(execute: turn)
            case .leases: leases.async { [disk] in disk.sync(execute: turn) }
            }
        }
        return try result.get()
    }

    /// Opens what follows `file:`, `//` and an absolute path (RFC 8089) or just a path.
    static func opener(_ rest: Substring) throws(StoreAddressError) -> StoreAddress.Opener {
        var path = String(rest)
        if rest.hasPrefix("//") {
            let afterHost = rest.dropFirst(2).drop { $0 != "/" }
            let host = rest.dropFirst(2).prefix { $0 != "/" }
            guard host.isEmpty || host == "localhost" else {
                throw StoreAddressError(
                    "after // comes a host, and \(host) is another one; write file:\(rest.dropFirst(2)) for a directory"
                )
            }
            path = String(afterHost)
        }
        guard !path.isEmpty else { throw StoreAddressError("it names no directory") }
        // Whether %20 means itself or a space is not to be guessed.
        guard !path.contains("%"), !path.contains("\0") else {
            throw StoreAddressError("the path is taken as it is, without % escapes; write the characters themselves")
        }
        return { [path] timeout, creating, _ throws(StoreError) in
            try FileStore(path, timeout: timeout, creating: creating)
        }
    }

    private static func absolute(_ path: String) throws(StoreError) -> String {
        guard !path.hasPrefix("/") else { return path }
        guard let working = unsafe getcwd(nil, 0) else {
            throw .failed("The working directory, where the store's \(path) starts, is gone. Name a path from /.")
        }
        defer { unsafe free(working) }
        return unsafe String(cString: working) + "/" + path
    }
}

extension Duration {
    fileprivate var dispatchInterval: DispatchTimeInterval {
        let (seconds, attoseconds) = components
        return .nanoseconds(Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000))
    }
}

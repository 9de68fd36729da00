private import Dispatch
private import Glibc

/// Watches a store's `members` folder for a rewritten `~notice`, by inotify(7).
enum NoticeWatch {
    /// A stream of hints, which holds one descriptor until its consumer ends.
    ///
    /// - Parameter folder: the path of the `members` folder.
    /// - Returns: nil when the kernel grants no watch (`fs.inotify.max_user_instances` is used up, for instance).
    static func stream(folder: String) -> AsyncStream<Void>? {
        let descriptor = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        guard descriptor >= 0 else { return nil }
        // Moved: written by a store. Closed after writing: touched or edited by hand.
        guard unsafe inotify_add_watch(descriptor, folder, UInt32(IN_MOVED_TO | IN_CLOSE_WRITE)) >= 0 else {
            close(descriptor)
            return nil
        }
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let queue = DispatchQueue(label: "leasehold.store.notices")
        // Dispatch sources may be used from any thread, but are not marked so.
        nonisolated(unsafe) let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
        unsafe source.setEventHandler {
            if hasNotice(descriptor) { continuation.yield() }
        }
        // The last to use the descriptor, so it is closed here and nowhere else.
        unsafe source.setCancelHandler { _ = close(descriptor) }
        continuation.onTermination = { _ in unsafe source.cancel() }
        unsafe source.activate()
        return stream
    }

    /// Takes the events that wait and tells whether one may be a new notice.
    private static func hasNotice(_ descriptor: Int32) -> Bool {
        let notice = Array(ObjectName.notice.name.utf8)
        var found = false
        // One event has at most 16 + 256 bytes; read(2) returns whole ones.
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return found }
            var start = 0
            while start < count {
                // struct inotify_event: wd, mask, cookie, len, four bytes each; then the name, filled up with zeros.
                let mask = integer(buffer, at: start + 4)
                let length = Int(integer(buffer, at: start + 12))
                let name = buffer[start + 16..<start + 16 + length].prefix { $0 != 0 }
                // The kernel dropped events: it may have been among them.
                found = found || name.elementsEqual(notice) || mask & UInt32(IN_Q_OVERFLOW) != 0
                start += 16 + length
            }
        }
    }

    private static func integer(_ bytes: [UInt8], at offset: Int) -> UInt32 {
        bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}

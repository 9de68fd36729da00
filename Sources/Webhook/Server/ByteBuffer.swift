private import Glibc

/// Bytes received or still to be sent: filled at the end, consumed at the front. Confined to the loop that owns it.
///
/// Its memory comes from mmap(2) rather than malloc, so that what a large body took goes back to the system when the
/// buffer goes, whatever the allocator would have kept; and a page that was never filled takes no memory.
@safe final class ByteBuffer {
    /// What a connection gets first: one TLS record (RFC 8446, section 5.1) or most requests.
    static let smallestCapacity = 16 * 1024

    private let memory: UnsafeMutableRawBufferPointer
    private let counters: ServerCounters
    private var start = 0
    private var end = 0

    /// - Parameters:
    ///   - wanted: at least this many bytes; rounded up to the smallest times a power of four.
    ///   - counters: where the memory is accounted for.
    /// - Returns: nil: the system has no memory for it.
    init?(capacity wanted: Int, counters: ServerCounters) {
        let capacity = Self.capacity(for: wanted)
        let protection = PROT_READ | PROT_WRITE
        let address = unsafe mmap(nil, capacity, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let address = unsafe address, unsafe address != MAP_FAILED else { return nil }
        unsafe memory = UnsafeMutableRawBufferPointer(start: address, count: capacity)
        self.counters = counters
        counters.bufferBytes.wrappingAdd(capacity, ordering: .relaxed)
    }

    deinit {
        counters.bufferBytes.wrappingSubtract(capacity, ordering: .relaxed)
        unsafe munmap(memory.baseAddress, memory.count)
    }

    /// The capacity that a buffer made for `bytes` has.
    static func capacity(for bytes: Int) -> Int {
        var capacity = smallestCapacity
        while capacity < bytes { capacity *= 4 }
        return capacity
    }

    var capacity: Int { unsafe memory.count }
    /// How many bytes are filled and not consumed.
    var count: Int { end - start }
    var isEmpty: Bool { start == end }
    /// How many bytes fit behind the last one.
    var room: Int { capacity - end }

    /// Lends the unconsumed bytes.
    func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (inout MutableSpan<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[start..<end])
        return try unsafe bytes.withMemoryRebound(to: UInt8.self) { (bytes) throws(Failure) in
            var span = unsafe MutableSpan(_unsafeElements: bytes)
            return try body(&span)
        }
    }

    /// Lends the unconsumed bytes as C functions want them.
    func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        unsafe body(UnsafeRawBufferPointer(rebasing: memory[start..<end]))
    }

    /// Lends the room behind the last byte; what the body says it has filled counts as filled.
    ///
    /// - Parameter body: returns its result, and how many bytes it filled from the front of the room.
    func fill<Result>(_ body: (UnsafeMutableRawBufferPointer) -> (Result, filled: Int)) -> Result {
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[end...])
        let (result, filled) = unsafe body(room)
        precondition(filled >= 0 && filled <= room.count, "more filled than there is room")
        end += filled
        return result
    }

    /// Drops the first `count` bytes.
    func consume(_ count: Int) {
        precondition(count >= 0 && count <= self.count, "more consumed than there is")
        start += count
        if start == end { clear() }
    }

    /// Drops all bytes but the first `count`.
    func truncate(to count: Int) {
        precondition(count >= 0 && count <= self.count, "truncated to more than there is")
        end = start + count
    }

    func clear() {
        start = 0
        end = 0
    }

    /// Moves the bytes to the front, so that all free space is room.
    func compact() {
        guard start > 0 else { return }
        unsafe memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[start..<end]))
        end -= start
        start = 0
    }

    /// Adds `bytes` at the end, where they must fit.
    func append(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= room, "no room for the bytes")
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[end...])
        unsafe room.copyMemory(from: bytes)
        end += bytes.count
    }
}

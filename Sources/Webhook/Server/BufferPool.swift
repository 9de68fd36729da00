/// The spare buffers of one loop, so that a warm loop neither allocates nor maps memory for a request.
///
/// A few small ones stay for good. Larger ones stay as long as they are needed again: those that a second passed without
/// go back to the system.
struct BufferPool {
    /// The large spares together, in bytes of capacity. Anything beyond goes back to the system at once.
    static let largeBytesMax = 16 * 1024 * 1024
    private static let smallMax = 8

    private let counters: ServerCounters
    private let bytesMax: Int
    private var small: [ByteBuffer] = []
    /// The one given back last is taken first, so that the first ones are those that are not needed.
    private var large: [ByteBuffer] = []
    private var largeBytes = 0
    /// The fewest spares at any time since the last ``trim()``: nobody needed these.
    private var idle = 0

    /// - Parameter bytesMax: what all buffers that `counters` account for may take together, in bytes.
    init(counters: ServerCounters, bytesMax: Int) {
        self.counters = counters
        self.bytesMax = bytesMax
        small.reserveCapacity(Self.smallMax)
        large.reserveCapacity(Self.largeBytesMax / ByteBuffer.smallestCapacity)
    }

    /// Whether there is something that ``trim()`` will give back sooner or later.
    var hasLarge: Bool { !large.isEmpty }

    /// An empty buffer with room for at least `bytes`; nil when there is no memory for it, or it would take more than all
    /// may take together. The limit is not for the smallest, whose number is bounded by that of connections.
    mutating func take(_ bytes: Int) -> ByteBuffer? {
        let capacity = ByteBuffer.capacity(for: bytes)
        if capacity == ByteBuffer.smallestCapacity {
            return small.popLast() ?? ByteBuffer(capacity: capacity, counters: counters)
        }
        guard let index = large.lastIndex(where: { $0.capacity == capacity }) else {
            guard counters.bufferBytes.load(ordering: .relaxed) + capacity <= bytesMax else { return nil }
            return ByteBuffer(capacity: capacity, counters: counters)
        }
        largeBytes -= capacity
        let buffer = large.remove(at: index)
        idle = min(idle, large.count)
        return buffer
    }

    mutating func giveBack(_ buffer: ByteBuffer) {
        buffer.clear()
        if buffer.capacity == ByteBuffer.smallestCapacity {
            if small.count < Self.smallMax { small.append(buffer) }
        } else if largeBytes + buffer.capacity <= Self.largeBytesMax {
            largeBytes += buffer.capacity
            large.append(buffer)
        }
    }

    /// Frees the large spares that were not needed since the last call. To be called once a second.
    ///
    /// - Returns: how many those were.
    mutating func trim() -> Int {
        let count = idle
        for buffer in large.prefix(count) { largeBytes -= buffer.capacity }
        large.removeFirst(count)
        idle = large.count
        return count
    }
}

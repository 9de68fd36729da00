/// The spare buffers of one loop, so that a warm loop neither allocates nor maps memory for a request.
///
/// Holds little: a few small buffers for good, and larger ones only as long as large bodies keep coming.
struct BufferPool {
    /// All spares together, in bytes. Anything beyond goes back to the system at once.
    static let bytesMax = 2 * 1024 * 1024
    private static let smallMax = 8

    private var small: [ByteBuffer] = []
    private var large: [ByteBuffer] = []
    private var largeBytes = 0
    private var largeWasUsed = false

    init() {
        small.reserveCapacity(Self.smallMax)
        large.reserveCapacity(Self.bytesMax / ByteBuffer.smallestCapacity)
    }

    /// Whether there is something that ``trim()`` may give back.
    var isLarge: Bool { !large.isEmpty }

    /// An empty buffer with room for at least `bytes`.
    mutating func take(_ bytes: Int) -> ByteBuffer {
        let capacity = ByteBuffer.capacity(for: bytes)
        if capacity == ByteBuffer.smallestCapacity {
            return small.popLast() ?? ByteBuffer(capacity: capacity)
        }
        largeWasUsed = true
        if let index = large.lastIndex(where: { $0.capacity == capacity }) {
            largeBytes -= capacity
            return large.remove(at: index)
        }
        return ByteBuffer(capacity: capacity)
    }

    mutating func giveBack(_ buffer: ByteBuffer) {
        buffer.clear()
        if buffer.capacity == ByteBuffer.smallestCapacity {
            if small.count < Self.smallMax { small.append(buffer) }
        } else if largeBytes + buffer.capacity <= Self.bytesMax {
            largeBytes += buffer.capacity
            large.append(buffer)
        }
    }

    /// Frees the large spares if none was taken since the last call.
    mutating func trim() {
        if !largeWasUsed {
            large.removeAll(keepingCapacity: true)
            largeBytes = 0
        }
        largeWasUsed = false
    }
}

import Support
import Testing

@testable import Webhook

struct BufferPoolTests {
    private let counters = ServerCounters()

    private var mapped: Int { counters.bufferBytes.load(ordering: .relaxed) }

    @Test func `large buffers that nobody needs for a while go back to the system`() {
        var pool = BufferPool(counters: counters, bytesMax: .max)
        var buffers = (0..<3).map { _ in pool.take(500_000)! }
        #expect(mapped == 3 * 1024 * 1024)
        while let buffer = buffers.popLast() { pool.giveBack(buffer) }
        #expect(pool.hasLarge)
        // One of the three is needed in each second.
        let freed = (0..<3).map { _ in
            pool.giveBack(pool.take(500_000)!)
            return pool.trim()
        }
        #expect(freed == [0, 2, 0])
        #expect(mapped == 1024 * 1024)
        #expect(pool.trim() == 1)
        #expect(mapped == 0)
        #expect(!pool.hasLarge)
    }

    @Test func `no more than the most is kept`() {
        var pool = BufferPool(counters: counters, bytesMax: .max)
        var buffers = (0..<3).map { _ in pool.take(8 * 1024 * 1024)! } + (0..<50).map { _ in pool.take(1)! }
        while let buffer = buffers.popLast() { pool.giveBack(buffer) }
        #expect(mapped <= BufferPool.largeBytesMax + 8 * ByteBuffer.smallestCapacity)
    }

    @Test func `a spare is taken again`() {
        var pool = BufferPool(counters: counters, bytesMax: .max)
        for size in [1, 20_000, 1, 60_000, 20_000] {
            pool.giveBack(pool.take(size)!)
        }
        #expect(mapped == ByteBuffer.capacity(for: 1) + ByteBuffer.capacity(for: 20_000))
    }

    @Test func `a buffer keeps its bytes while it is filled, consumed and compacted`() {
        let buffer = ByteBuffer(capacity: 1, counters: counters)!
        var expected: [UInt8] = []
        var random = SeededRandom(seed: 1)
        for round in 0..<2000 {
            let bytes = (0..<random.below(300)).map { UInt8(truncatingIfNeeded: round + $0) }
            if buffer.room < bytes.count { buffer.compact() }
            if buffer.room >= bytes.count {
                unsafe bytes.withUnsafeBytes { unsafe buffer.append($0) }
                expected += bytes
            }
            let used = random.below(buffer.count + 1)
            buffer.consume(used)
            expected.removeFirst(used)
            #expect(buffer.count == expected.count)
            #expect(unsafe buffer.withUnsafeBytes { unsafe $0.elementsEqual(expected) })
        }
    }

    @Test func `all buffers together stay within the most, but the smallest and the spares can always be had`() throws {
        var pool = BufferPool(counters: counters, bytesMax: 1024 * 1024)
        let buffers = (0..<4).compactMap { _ in pool.take(200_000) }
        #expect(buffers.count == 4 && mapped == 1024 * 1024)
        #expect(pool.take(20_000) == nil)
        #expect(pool.take(1) != nil)
        pool.giveBack(buffers[0])
        #expect(pool.take(20_000) == nil)
        #expect(pool.take(200_000) != nil)
    }
}

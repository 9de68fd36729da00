/// What is to happen, by time, then by order of insertion: a binary heap.
struct EventQueue {
    private var heap: [(time: Int64, order: UInt64, action: () -> Void)] = []
    private var order: UInt64 = 0

    mutating func add(at time: Int64, _ action: @escaping () -> Void) {
        order += 1
        heap.append((time, order, action))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func next() -> (time: Int64, action: () -> Void)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var least = parent
                let left = 2 * parent + 1
                if left < heap.count && precedes(left, least) { least = left }
                if left + 1 < heap.count && precedes(left + 1, least) { least = left + 1 }
                guard least != parent else { break }
                heap.swapAt(parent, least)
                parent = least
            }
        }
        return (first.time, first.action)
    }

    private func precedes(_ one: Int, _ other: Int) -> Bool {
        (heap[one].time, heap[one].order) < (heap[other].time, heap[other].order)
    }
}

/// What is to happen, by time, then by order of insertion: a binary heap of small values beside the actions.
struct EventQueue {
    private struct Entry {
        let time: Int64
        let order: UInt64
        let action: Int

        func precedes(_ other: Entry) -> Bool { time == other.time ? order < other.order : time < other.time }
    }

    private var heap: [Entry] = []
    private var actions: [(() -> Void)?] = []
    private var free: [Int] = []
    private var order: UInt64 = 0

    mutating func add(at time: Int64, _ action: @escaping () -> Void) {
        order += 1
        let place: Int
        if let last = free.popLast() {
            place = last
            actions[place] = action
        } else {
            place = actions.count
            actions.append(action)
        }
        let entry = Entry(time: time, order: order, action: place)
        heap.append(entry)
        var child = heap.count - 1
        while child > 0, entry.precedes(heap[(child - 1) / 2]) {
            heap[child] = heap[(child - 1) / 2]
            child = (child - 1) / 2
        }
        heap[child] = entry
    }

    mutating func next() -> (time: Int64, action: () -> Void)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty { sink(last) }
        defer {
            actions[first.action] = nil
            free.append(first.action)
        }
        return actions[first.action].map { (first.time, $0) }
    }

    /// Puts an entry in the place of the first.
    private mutating func sink(_ entry: Entry) {
        var parent = 0
        while 2 * parent + 1 < heap.count {
            var child = 2 * parent + 1
            if child + 1 < heap.count && heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(entry) else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = entry
    }
}

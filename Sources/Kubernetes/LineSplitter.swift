/// Cuts a stream of bytes into lines, wherever its pieces begin and end.
struct LineSplitter {
    /// A line that is longer than was allowed.
    struct TooLong: Error {}

    private let bytesMax: Int
    private var bytes: [UInt8] = []
    // Where the next line begins, and up to where it was searched for its end.
    private var start = 0
    private var searched = 0

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    mutating func append(_ piece: [UInt8]) {
        bytes.removeFirst(start)
        searched -= start
        start = 0
        bytes += piece
    }

    /// The next line that is complete, without its end; empty lines are left out. nil: append more.
    mutating func next() throws(TooLong) -> ArraySlice<UInt8>? {
        while let end = bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = bytes[start..<end]
            (start, searched) = (end + 1, end + 1)
            guard line.count <= bytesMax else { throw TooLong() }
            if !line.isEmpty { return line }
        }
        searched = bytes.count
        guard searched - start <= bytesMax else { throw TooLong() }
        return nil
    }
}

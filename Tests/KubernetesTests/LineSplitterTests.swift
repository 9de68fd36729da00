import Support
import Testing

@testable import Kubernetes

struct LineSplitterTests {
    @Test(arguments: UInt64(0)..<32)
    func `lines do not depend on how the stream is cut`(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let text = (0..<200).map { _ in random.pick([UInt8(ascii: "\n"), UInt8(ascii: "a"), UInt8(ascii: "b")]) }
        var splitter = LineSplitter(bytesMax: 300)
        var lines: [[UInt8]] = []
        var rest = text[...]
        while !rest.isEmpty {
            let count = min(rest.count, 1 + random.below(12))
            splitter.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
            // As many lines as there are, or, now and then, only one.
            while let line = try splitter.next() {
                lines.append(Array(line))
                if random.chance(20) { break }
            }
        }
        while let line = try splitter.next() { lines.append(Array(line)) }
        let complete = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast()
        #expect(lines == complete.filter { !$0.isEmpty }.map(Array.init))
    }

    @Test func `a line may have as many bytes as allowed and not one more`() throws {
        var splitter = LineSplitter(bytesMax: 4)
        splitter.append(Array("abcd\n".utf8))
        #expect(try splitter.next().map(Array.init) == Array("abcd".utf8))
        splitter.append(Array("abcd".utf8))
        #expect(try splitter.next() == nil)
        splitter.append(Array("e".utf8))
        #expect(throws: LineSplitter.TooLong.self) { try splitter.next() }
    }
}

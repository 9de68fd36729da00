import Testing

@testable import Chaos

/// That the judge of a soak sees what grows, and nothing else.
struct UsageTests {
    /// - Parameter values: MiB, descriptors and threads of one sample after the other.
    private func growing(_ values: (Int) -> (Double, Int, Int)) -> [Usage.Quantity] {
        var usage = Usage(process: "east-webhook-1")
        for index in 0..<240 {
            let (memory, descriptors, threads) = values(index)
            usage.samples.append(
                Usage.Sample(
                    time: Double(index) * 15, start: 1, anonymousBytes: Int(memory * 1_048_576), residentBytes: 0,
                    descriptors: descriptors, threads: threads))
        }
        #expect(usage.isWhole)
        return usage.growth(.long).filter(\.isGrowing).map(\.quantity)
    }

    @Test func `what warms up, goes up and down, or shrinks is flat`() {
        #expect(growing { ($0 < 50 ? Double($0) : 50, 30 + $0 % 40, $0 < 60 ? 5 : 9) } == [])
        #expect(growing { (100 - Double($0) / 3, 300 - $0, 5) } == [])
        // For a tenth of the time, also at the end.
        #expect(growing { $0 < 216 ? (20, 30, 5) : (90, 900, 40) } == [])
    }

    @Test func `what grows little by little is seen, however noisy it is`() {
        #expect(growing { (20 + Double($0) / 50, 30, 5) } == [.memory])
        #expect(growing { (20 + Double($0) / 40 + Double($0 * 7 % 5), 30, 5) } == [.memory])
        #expect(growing { (20, 30 + $0 / 20 + $0 % 3, 5) } == [.descriptors])
        #expect(growing { (20, 30, 5 + $0 / 30) } == [.threads])
    }

    @Test func `a process that was started again is not compared with what it was before`() {
        var usage = Usage(process: "north-webhook-1")
        for index in 0..<240 {
            usage.samples.append(
                Usage.Sample(
                    time: Double(index), start: index < 100 ? 1 : 2, anonymousBytes: index, residentBytes: index,
                    descriptors: 1, threads: 1))
        }
        #expect(!usage.isWhole)
    }
}

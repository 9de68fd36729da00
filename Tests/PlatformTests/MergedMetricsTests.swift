import Testing

@testable import Platform

struct MergedMetricsTests {
    @Test func `samples of one family by several parts come together, at the place of the first`() {
        func family(_ name: String, _ label: String) -> MetricFamily {
            MetricFamily(name, .gauge, help: "Help.", [.init(1, labels: [("part", label)])])
        }
        let merged = MetricFamily.merged([family("x", "a"), family("y", "b"), family("x", "c")])
        #expect(
            MetricFamily.text(merged) == """
                # HELP x Help.
                # TYPE x gauge
                x{part="a"} 1
                x{part="c"} 1
                # HELP y Help.
                # TYPE y gauge
                y{part="b"} 1

                """)
    }
}

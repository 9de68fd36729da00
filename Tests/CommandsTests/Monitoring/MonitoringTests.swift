import FoundationEssentials
import Support
import Testing

/// What `/metrics` shows, and what config/prometheus and the documentation make of it.
struct MonitoringTests {
    @Test(arguments: MetricsPages.Kind.allCases)
    func `promtool finds nothing wrong with what a process shows`(kind: MetricsPages.Kind) async throws {
        let page = try #require(try await MetricsPages.collected.value.text[kind])
        let (code, said) = try await Promtool.run("check", "metrics", input: page)
        #expect(code == 0)
        #expect(said.isEmpty)
    }
}

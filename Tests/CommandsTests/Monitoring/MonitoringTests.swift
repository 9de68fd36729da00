import FoundationEssentials
import Support
import Testing

/// What `/metrics` shows, and what config/prometheus and the documentation make of it.
struct MonitoringTests {
    private let alerts: String
    private let tests: String
    private let manual: String
    private let dashboard: Dashboard

    private struct Dashboard: Decodable {
        struct Panel: Decodable {
            struct Target: Decodable {
                var expr: String
            }

            var title: String
            var targets: [Target]?
        }

        var panels: [Panel]
        var expressions: [String] { panels.flatMap { $0.targets ?? [] }.map(\.expr) }
    }

    init() throws {
        func file(_ path: String) throws -> Data {
            try Data(contentsOf: URL(filePath: ControlPlane.projectFile(path)))
        }
        func text(_ path: String) throws -> String { String(decoding: try file(path), as: UTF8.self) }
        alerts = try text("config/prometheus/alerts.yaml")
        tests = try text("config/prometheus/alerts_test.yaml")
        manual = try text("docs/operations.md")
        dashboard = try JSONDecoder().decode(Dashboard.self, from: file("config/prometheus/dashboard.json"))
    }

    /// What is below `spec:` is a rule file as Prometheus reads it, two columns further in.
    private var rules: String {
        alerts.split(separator: "\n", omittingEmptySubsequences: false).drop { $0 != "spec:" }.dropFirst()
            .map { $0.hasPrefix("  ") ? $0.dropFirst(2) : $0 }.joined(separator: "\n")
    }

    private var alertNames: [String] { alerts.matches(of: /- alert: (\w+)/).map { String($0.1) } }

    /// The metrics that a text names, without what histograms add.
    private static func metrics(in text: String) -> Set<String> {
        Set(
            text.matches(of: /\b(?:leasehold|process)_[a-z_]+/).map {
                String($0.0.replacing(/_(bucket|sum|count)$/, with: ""))
            })
    }

    @Test(arguments: MetricsPages.Kind.allCases)
    func `promtool finds nothing wrong with what a process shows`(kind: MetricsPages.Kind) async throws {
        let page = try #require(try await MetricsPages.collected.value.text[kind])
        let (code, said) = try await Promtool.run("check", "metrics", input: page)
        #expect(code == 0, "\(said)")
        #expect(said.isEmpty, "\(said)")
    }

    @Test func `the alerts fire when they should, and only then`() async throws {
        let directory = try TemporaryDirectory()
        try directory.write(rules, to: "rules.yaml")
        try directory.write(tests, to: "alerts_test.yaml")
        let (code, said) = try await Promtool.run("test", "rules", directory.file("alerts_test.yaml"))
        #expect(code == 0, "\(said)")
        #expect(said.contains("SUCCESS"), "\(said)")
    }

    @Test func `each alert has a test, and a section that says what to do`() throws {
        #expect(alertNames.count > 10)
        #expect(Set(alertNames).count == alertNames.count)
        for name in alertNames {
            #expect(tests.contains("alertname=\"\(name)\""), "\(name) is not tested")
            #expect(manual.contains("\n### \(name)\n"), "\(name) is not in the manual")
            #expect(alerts.contains("runbook: docs/operations.md#\(name.lowercased())\n"), "\(name) has no runbook")
        }
        for keyword in ["summary: ", "description: ", "severity: ", "expr: "] {
            #expect(alerts.matches(of: try Regex(keyword)).count == alertNames.count, "each alert has one \(keyword)")
        }
        let sections = manual.matches(of: /\n### (Leasehold\w+)\n/).map { String($0.1) }
        #expect(sections == alertNames, "in the same order, and none of an alert that is gone")
    }

    @Test func `alerts and dashboard use only metrics that there are`() async throws {
        let names = try await MetricsPages.collected.value.names
        for metric in Self.metrics(in: alerts) { #expect(names.contains(metric), "alerts.yaml: \(metric)") }
        for expression in dashboard.expressions {
            let used = Self.metrics(in: expression)
            #expect(!used.isEmpty, "\(expression)")
            #expect(used.isSubset(of: names), "dashboard.json: \(expression)")
        }
    }

    @Test func `alerts and dashboard select by labels and values that there are`() async throws {
        let pages = try await MetricsPages.collected.value
        let added: Set = ["cluster", "namespace", "job", "instance"]
        for text in [rules] + dashboard.expressions {
            for selector in text.matches(of: /\b((?:leasehold|process)_[a-z_]+)\{([^}]*)\}/) {
                let name = String(selector.1)
                guard let samples = pages.samples[name] else { continue }
                for matcher in selector.2.matches(of: /([a-z_]+)(=~|!=|=)"([^"]*)"/)
                where !added.contains(String(matcher.1)) {
                    for value in matcher.3.split(separator: "|") {
                        #expect(
                            samples.contains { $0.contains("\(matcher.1)=\"\(value)\"") },
                            "no sample of \(name) has \(matcher.1)=\"\(value)\"")
                    }
                }
            }
        }
    }

    @Test func `promtool understands every expression of the dashboard`() async throws {
        let directory = try TemporaryDirectory()
        var text = "groups:\n  - name: dashboard\n    rules:\n"
        for (number, expression) in dashboard.expressions.enumerated() {
            let expression = expression.replacing("$__rate_interval", with: "5m").replacing("$cluster", with: "east")
            text += "      - record: panel:\(number)\n        expr: '\(expression)'\n"
        }
        try directory.write(text, to: "rules.yaml")
        let (code, said) = try await Promtool.run("check", "rules", directory.file("rules.yaml"))
        #expect(code == 0, "\(said)")
    }

    @Test func `the manual's table has exactly the metrics that there are`() async throws {
        let start = try #require(manual.firstRange(of: "\n## Metrics\n")).upperBound
        let section = manual[start...].prefix(
            upTo: manual[start...].firstRange(of: "\n## ")?.lowerBound ?? manual.endIndex)
        let documented = section.matches(of: /\n\| `([a-z_]+)` \|/).map { String($0.1) }
        #expect(Set(documented).count == documented.count)
        #expect(Set(documented) == (try await MetricsPages.collected.value.names))
    }
}

extension ControlPlane {
    /// Requests of one kind that the API server has answered since its start.
    package struct RequestCount: Sendable {
        /// As the API server says it: `GET`, `LIST`, `WATCH`, `POST`, `PUT`, `PATCH`, `APPLY`, `DELETE`, ...
        package let verb: String
        /// Empty for the core group.
        package let group: String
        package let resource: String
        package let subresource: String
        package let code: String
        package let count: Int

        package var isWrite: Bool { !["GET", "LIST", "WATCH", "CONNECT"].contains(verb) }
    }

    /// Reads `apiserver_request_total`. One process' worth of time: not for loops.
    package func requestCounts() async throws -> [RequestCount] {
        let metrics = try await run("get", "--raw", "/metrics")
        return metrics.split(separator: "\n").compactMap { line in
            // First, since there are thousands of other lines, and an expression takes its time with each.
            guard line.hasPrefix("apiserver_request_total{"),
                let match = line.wholeMatch(of: /apiserver_request_total\{(.*)\} (\S+)/), let count = Double(match.2)
            else { return nil }
            var labels: [Substring: String] = [:]
            // No value of these labels has a quote in it.
            for label in match.1.matches(of: /([a-z_A-Z]+)="([^"]*)"/) { labels[label.1] = String(label.2) }
            return RequestCount(
                verb: labels["verb"] ?? "", group: labels["group"] ?? "", resource: labels["resource"] ?? "",
                subresource: labels["subresource"] ?? "", code: labels["code"] ?? "", count: Int(count))
        }
    }
}

import FoundationEssentials
import Support
import Testing

/// Prometheus's own tool, of Debian's package `prometheus`.
enum Promtool {
    static func run(_ arguments: String..., input: String? = nil) async throws -> (code: Int32, said: String) {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let found = path.split(separator: ":").map { "\($0)/promtool" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
        let promtool = try #require(found, "there is no promtool on PATH; install Debian's package prometheus")
        // What it writes is read from files in it, at the end.
        let directory = try TemporaryDirectory()
        let process = try ChildProcess(promtool, arguments, input: input, in: directory)
        let code = await process.exitCode()
        return withExtendedLifetime(directory) { (code, process.out + process.err) }
    }
}

import FoundationEssentials
import Support
import Testing

/// A cluster: `leasehold run` as a process, on the file store of `directory`.
struct Cluster {
    let process: ChildProcess
    let name: String
    let directory: TemporaryDirectory

    /// Runs for namespace team-a, unless `arguments` name others too. With short timings, so that no test waits for long.
    init(_ name: String, in directory: TemporaryDirectory, _ arguments: [String] = []) throws {
        self.name = name
        self.directory = directory
        process = try ChildProcess(
            leasehold: [
                "run", "--cluster", name, "--namespace", "team-a", "--bind-address", "127.0.0.1:0",
                "--health-probe-bind-address", "127.0.0.1:0", "--metrics-bind-address", "0",
                "--lease-duration", "5s", "--renew-interval", "500ms", "--poll-interval", "500ms",
                "--grant-duration", "500ms", "--commit-margin", "200ms",
            ] + arguments, environment: ["LEASEHOLD_STATE_DIRECTORY": directory.path], in: directory)
    }

    /// The port behind `label` in the start-up block.
    func port(_ label: String) -> UInt16? { process.port(label) }

    func waitUntilStarted() async throws {
        try await eventually("\(name) has started") {
            guard !process.hasExited else { throw ChildProcess.Failure(process.err) }
            return port("admissions") != nil
        }
    }

    var client: AdmissionClient {
        get throws {
            AdmissionClient(
                port: try #require(port("admissions")),
                authority: "\(directory.path)/clusters/\(name)/tls/ca.crt")
        }
    }

    func post(_ review: [UInt8]) throws -> String {
        let (status, body) = try client.post(review)
        #expect(status == 200)
        return body
    }

    func admits(_ review: [UInt8]) throws -> Bool { try post(review).contains(#""allowed":true"#) }

    /// From a service account of team-a.
    static func review() throws -> [UInt8] {
        let tests = #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 }
        return [UInt8](try Data(contentsOf: URL(filePath: tests + "/WebhookTests/Fixtures/01-create-guestbooks.json")))
    }
}

extension ChildProcess {
    /// The port behind `label` in the start-up block of a `leasehold` process.
    func port(_ label: String) -> UInt16? {
        for line in err.split(separator: "\n") where line.hasPrefix("  \(label) ") {
            guard let match = line.firstMatch(of: /:\/\/127\.0\.0\.1:(\d+)\//) else { continue }
            return UInt16(match.1)
        }
        return nil
    }
}

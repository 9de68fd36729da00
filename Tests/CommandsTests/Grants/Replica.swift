import FoundationEssentials
import HTTP
import Support
import Testing

/// A process of cluster east that is either controller or webhook, in the state directory of `directory`.
struct Replica {
    let process: ChildProcess
    let directory: TemporaryDirectory

    private init(_ command: String, _ arguments: [String], in directory: TemporaryDirectory) throws {
        self.directory = directory
        process = try ChildProcess(
            leasehold: [command] + arguments + [
                "--health-probe-bind-address", "127.0.0.1:0", "--metrics-bind-address", "127.0.0.1:0",
            ], environment: ["LEASEHOLD_STATE_DIRECTORY": directory.path], in: directory)
    }

    /// With short timings, so that no test waits for long.
    ///
    /// - Parameter port: to be given to webhooks before it runs.
    static func controller(
        _ cluster: String = "east", port: UInt16, in directory: TemporaryDirectory, _ arguments: [String] = []
    ) throws -> Replica {
        try Replica(
            "controller",
            [
                "--cluster", cluster, "--namespace", "team-a", "--grants-bind-address", "127.0.0.1:\(port)",
                "--lease-duration", "5s", "--renew-interval", "500ms", "--poll-interval", "500ms",
                "--grant-duration", "1s", "--commit-margin", "200ms",
            ] + arguments, in: directory)
    }

    static func webhook(
        _ cluster: String = "east", ports: [UInt16], in directory: TemporaryDirectory, _ arguments: [String] = []
    ) throws -> Replica {
        try Replica(
            "webhook",
            ["--cluster", cluster, "--bind-address", "127.0.0.1:0"]
                + ports.flatMap { ["--grants-address", "127.0.0.1:\($0)"] } + arguments, in: directory)
    }

    /// - Parameter label: of the start-up block, which is written at the end of the start.
    func waitUntilStarted(_ label: String) async throws {
        try await eventually("it has started") {
            guard !process.hasExited else { throw ChildProcess.Failure(process.err) }
            return process.port(label) != nil
        }
    }

    func waitUntilItSays(_ text: String) async throws {
        try await eventually("it says \"\(text)\"") {
            guard !process.hasExited else { throw ChildProcess.Failure(process.err) }
            return process.err.contains(text)
        }
    }

    /// The answer of the webhook of `cluster` to a service account's write in team-a.
    func answer(cluster: String = "east") throws -> String {
        let (status, body) = try client(cluster: cluster).post(Cluster.review())
        #expect(status == 200)
        return body
    }

    /// A client of the webhook of `cluster`.
    func client(cluster: String = "east") throws -> AdmissionClient {
        AdmissionClient(
            port: try #require(process.port("admissions")),
            authority: "\(directory.path)/clusters/\(cluster)/tls/ca.crt")
    }

    func admits() throws -> Bool { try answer().contains(#""allowed":true"#) }

    /// A page of the port behind `label`.
    func page(_ label: String, _ path: String) async throws -> HTTPResponse {
        let port = try #require(process.port(label))
        return try await HTTPClient().send(HTTPRequest(.get, "http://127.0.0.1:\(port)\(path)"))
    }
}

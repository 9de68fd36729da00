import FoundationEssentials
import Glibc
import HTTP
import Support
import Testing

/// What `/metrics` of each kind of process shows after some traffic.
struct MetricsPages {
    enum Kind: String, CaseIterable {
        case run
        case controller
        case webhook
        /// A controller that keeps its authority in an API server, which does not answer.
        case kubernetes
    }

    let text: [Kind: String]

    /// One collection for all tests: it takes four processes.
    static let collected = Task { try await MetricsPages() }

    private init() async throws {
        let directory = try TemporaryDirectory()
        let port = try FreePort.any()
        let run = try Cluster("west", in: directory, ["--metrics-bind-address", "127.0.0.1:0"])
        try await run.waitUntilStarted()
        try await eventually("west admits") { try run.admits(Cluster.review()) }
        #expect(try run.client.post([UInt8]("nonsense".utf8)).status == 400)

        let controller = try Replica.controller(port: port, in: directory)
        try await controller.waitUntilStarted("grants")
        let webhook = try Replica.webhook(ports: [port], in: directory)
        try await webhook.waitUntilStarted("admissions")
        try await eventually("the webhook knows who leads") { try webhook.answer().contains(#""code":403"#) }

        let kubernetes = try Self.controllerOfAnAPIServer(in: directory)
        try await eventually("it has started") {
            guard !kubernetes.hasExited else { throw ChildProcess.Failure(kubernetes.err) }
            return kubernetes.port("metrics") != nil
        }

        text = [
            .run: try await Self.metrics(run.process), .controller: try await Self.metrics(controller.process),
            .webhook: try await Self.metrics(webhook.process), .kubernetes: try await Self.metrics(kubernetes),
        ]
        let processes = [run.process, controller.process, webhook.process, kubernetes]
        for process in processes { process.send(SIGTERM) }
        for process in processes { #expect(await process.exitCode() == 0, "\(process.err)") }
    }

    private static func metrics(_ process: ChildProcess) async throws -> String {
        let port = try #require(process.port("metrics"))
        let page = try await HTTPClient().send(HTTPRequest(.get, "http://127.0.0.1:\(port)/metrics"))
        #expect(page.status == 200)
        #expect(page.header("content-type") == "text/plain; version=0.0.4; charset=utf-8")
        return String(decoding: page.body, as: UTF8.self)
    }

    /// The names of all metrics, as their TYPE lines give them.
    var names: Set<String> {
        Set(
            text.values.flatMap { $0.split(separator: "\n") }.filter { $0.hasPrefix("# TYPE ") }
                .map { String($0.split(separator: " ")[2]) })
    }

    /// The lines of samples by their names.
    var samples: [String: [String]] {
        let lines = text.values.flatMap { $0.split(separator: "\n") }.filter { !$0.hasPrefix("#") }.map(String.init)
        return Dictionary(grouping: lines) { line in String(line.prefix { $0 != "{" && $0 != " " }) }
    }

    private static func controllerOfAnAPIServer(in directory: TemporaryDirectory) throws -> ChildProcess {
        try directory.write(kubeconfig, to: "kubeconfig")
        // The program that reads the kubeconfig.
        let kubectl = try ControlPlaneBinaries.find().kubectl
        return try ChildProcess(
            leasehold: [
                "controller", "--cluster", "south", "--kubeconfig", directory.file("kubeconfig"),
                "--grants-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "0",
                "--metrics-bind-address", "127.0.0.1:0", "--state-directory", directory.path,
                "--store", "file:\(directory.file("store"))", "--authority-secret", "leader-election-authority",
            ],
            environment: ["HOME": directory.path, "PATH": kubectl.replacing("/kubectl", with: "")], in: directory)
    }

    private static let kubeconfig = """
        apiVersion: v1
        kind: Config
        current-context: nowhere
        contexts: [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}]
        clusters: [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}]
        users: [{"name": "nobody", "user": {"token": "none"}}]
        """
}

internal import FoundationEssentials
private import Glibc
internal import HTTP
internal import Kubernetes
internal import Platform
internal import Support

/// One cluster: an API server that lasts, and a controller and a webhook that are started anew for each size.
final class ScaleCluster: Sendable {
    static let bucket = "leases"
    /// How many objects are made at once to prepare.
    private static let makersMax = 48

    let name: String
    let plane: ControlPlane
    private let account: String
    private let maker: KubernetesClient
    private let http: HTTPClient
    private let running = Locked<Running?>(nil)

    struct Running: Sendable {
        let controller: ChildProcess
        let webhook: ChildProcess
        let metricsPort: UInt16
        let grantsPort: UInt16
        let webhookPort: UInt16
        let state: String
    }

    private init(_ name: String, plane: ControlPlane) async throws {
        self.name = name
        self.plane = plane
        for folder in ["crd", "rbac"] {
            try await plane.run("apply", "--kustomize", ControlPlane.projectFile("config/\(folder)"))
        }
        try await plane.run(
            "wait", "--for=condition=Established", "--timeout=60s", "crd/leases.leaderelection.600lyy.io")
        account = try await plane.leaseholdAccount()
        let environment = [
            "HOME": plane.directory.path, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
        ]
        maker = KubernetesClient(
            try await KubernetesCredentials.kubeconfig(path: plane.admin, context: nil, environment: environment),
            rate: RateLimit(callsPerSecond: 100_000, burst: 1000), log: Log { _ in })
        var options = HTTPClient.Options()
        // Processes of this machine, which were started by this program.
        options.trust = .anybody
        options.proxy = ""
        http = HTTPClient(options)
    }

    static func start(_ name: String) async throws -> ScaleCluster {
        try await ScaleCluster(name, plane: ControlPlane.start(name))
    }

    // MARK: - What there is to lead

    /// As long as names are in practice: short ones need no memory of their own.
    static func namespace(_ number: Int) -> String { "team-payments-production-\(100_000 + number)" }

    func makeNamespaces(_ range: Range<Int>) async throws {
        let next = Locked(range.lowerBound)
        try await withThrowingTaskGroup { group in
            for _ in 0..<Self.makersMax {
                group.addTask { [maker] in
                    while true {
                        let number = next.withLock { next in
                            defer { next += 1 }
                            return next
                        }
                        guard number < range.upperBound else { return }
                        _ = try await maker.create(
                            NamespaceObject(metadata: ObjectMetadata(name: Self.namespace(number))))
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    // MARK: - Processes

    /// Starts both, with the product's default timing.
    func start(store: GCSEmulator) throws {
        let (grantsPort, metricsPort, webhookPort) = (try FreePort.any(), try FreePort.any(), try FreePort.any())
        // Certificates for each other, as processes of one machine make them; a new one for each size.
        let state = plane.directory.file("state-\(grantsPort)")
        let common = ["--cluster", name, "--state-directory", state, "--health-probe-bind-address", "0"]
        let environment = [
            "HOME": plane.directory.path, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
            "STORAGE_EMULATOR_HOST": store.url(for: name),
        ]
        let controller = try ChildProcess(
            leasehold: ["controller"] + common + [
                "--kubeconfig", account, "--store", "gs://\(Self.bucket)", "--grants-bind-address",
                "127.0.0.1:\(grantsPort)", "--metrics-bind-address", "127.0.0.1:\(metricsPort)",
            ], environment: environment, in: plane.directory)
        let webhook = try ChildProcess(
            leasehold: ["webhook"] + common + [
                "--grants-address", "127.0.0.1:\(grantsPort)", "--bind-address", "127.0.0.1:\(webhookPort)",
                "--metrics-bind-address", "0",
            ], environment: environment, in: plane.directory)
        running.withLock {
            $0 = Running(
                controller: controller, webhook: webhook, metricsPort: metricsPort, grantsPort: grantsPort,
                webhookPort: webhookPort, state: state)
        }
    }

    func processes() throws -> Running {
        guard let running = running.withLock({ $0 }) else {
            throw ChildProcess.Failure("nothing of \(name) runs")
        }
        for (role, process) in [("controller", running.controller), ("webhook", running.webhook)]
        where process.hasExited {
            throw ChildProcess.Failure("the \(role) of \(name) has ended: \(process.err.suffix(2000))")
        }
        return running
    }

    func killController() async throws {
        let controller = try processes().controller
        controller.send(SIGKILL)
        _ = await controller.exit()
    }

    func kill() async {
        guard let running = running.withLock({ $0 }) else { return }
        for process in [running.controller, running.webhook] { process.send(SIGKILL) }
        for process in [running.controller, running.webhook] { _ = await process.exit() }
        self.running.withLock { $0 = nil }
    }

    /// What the controller says in `/metrics`, by the series' text; nil: it does not answer (yet).
    func metrics() async throws -> [Substring: Double]? {
        let port = try processes().metricsPort
        let answer: HTTPResponse
        do throws(HTTPError) {
            answer = try await http.send(HTTPRequest(.get, "http://127.0.0.1:\(port)/metrics"))
        } catch {
            return nil
        }
        let text = String(decoding: answer.body, as: UTF8.self)
        return text.split(separator: "\n").reduce(into: [:]) { metrics, line in
            guard !line.hasPrefix("#"), let space = line.lastIndex(of: " ") else { return }
            metrics[line[..<space]] = Double(line[line.index(after: space)...])
        }
    }

    /// Whether the webhook admits a write in the namespace.
    func admits(_ number: Int) async throws -> Bool {
        let fixture = ControlPlane.projectFile("Tests/WebhookTests/Fixtures/01-create-guestbooks.json")
        let review = try String(contentsOfFile: fixture, encoding: .utf8).replacing(
            "team-a", with: Self.namespace(number))
        let url = "https://127.0.0.1:\(try processes().webhookPort)/validate"
        do throws(HTTPError) {
            let answer = try await http.send(
                HTTPRequest(
                    .post, url,
                    headers: [.init("Content-Type", "application/json")], body: Array(review.utf8)))
            return String(decoding: answer.body, as: UTF8.self).contains(#""allowed":true"#)
        } catch {
            // It begins, and does not listen yet.
            return false
        }
    }

    /// The size of a grant with the whole table, and without, in bytes; as its webhook would get them.
    func grantBytes() async throws -> (table: Int, time: Int) {
        let running = try processes()
        let folder = "\(running.state)/clusters/\(name)/grants"
        func bytes(_ file: String) throws -> [UInt8] {
            [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/\(file)")))
        }
        var options = HTTPClient.Options()
        options.trust = .authorities(try bytes("ca.crt"))
        options.identity = .init(chain: try bytes("tls.crt"), key: try bytes("tls.key"))
        options.serverName = "leasehold-grants"
        options.proxy = ""
        let url = "https://127.0.0.1:\(running.grantsPort)/v1/grants"
        let client = HTTPClient(options)
        let table = try await client.send(HTTPRequest(.get, url, responseBytesMax: 64 << 20)).body
        let mark = try JSONDecoder().decode(Marked.self, from: Data(table)).mark
        let time = try await client.send(
            HTTPRequest(
                .get, "\(url)?incarnation=\(mark.incarnation)&revision=\(mark.revision)", responseBytesMax: 64 << 20)
        ).body
        return (table.count, time.count)
    }

    private struct Marked: Decodable {
        struct Mark: Decodable {
            let incarnation: String
            let revision: UInt64
        }
        let mark: Mark
    }
}

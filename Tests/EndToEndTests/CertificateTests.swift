import FoundationEssentials
import HTTP
import Kubernetes
import Platform
import Support
import TLS
import Testing

/// Certificates of an authority in a Secret, with real processes and a real API server.
struct CertificateTests {
    @Test func `decades of certificates and authorities pass under load, and no admission fails`() async throws {
        let scene = try await CertificateScene.start()
        try await scene.waitUntilAdmits()
        try await rotate(scene)
        try await repairBundle(scene)
        try await replaceSecrets(scene)
        try await startWithoutServer(scene)
        await scene.end()
        for log in scene.logs { #expect(!log.contains("PRIVATE KEY")) }
    }

    /// As many changes as in ten years and more, while both the API server and clients without a connection ask.
    private func rotate(_ scene: CertificateScene) async throws {
        let load = try await CertificateLoad(scene)
        try await scene.annotate("")
        try await scene.until("certificates and authorities have changed often") {
            if load.failures.isEmpty { return load.seen.isEnough }
            // No need to wait for more.
            return true
        }
        await load.stop()
        let (seen, asked) = (load.seen, load.asked)
        print(
            "rotations: \(seen.certificates) of certificates, \(seen.authorities) of authorities; \(asked) admissions, "
                + "\(load.failures.count) failed")
        #expect(load.failures.isEmpty, "\(load.failures.prefix(3))\n\(scene.logs.joined(separator: "\n"))")
        #expect(asked > 200)
        // What asked for the first of them is gone, or it would never end.
        let look = try await scene.look()
        #expect(look.secrets[CertificateScene.authority]?.metadata.annotations?[CertificateScene.rotation] == nil)
        for number in 0...1 {
            let made = scene.logs[number].matches(of: /Made a certificate for CN=leasehold controller/).count
            #expect(made > 5, "each controller renews its own: \(scene.logs[number])")
        }
    }

    private func repairBundle(_ scene: CertificateScene) async throws {
        let foreign = Data(try CertificateAuthority.make(commonName: "somebody else").certificate.pem().utf8)
            .base64EncodedString()
        try await scene.plane.run(
            "patch", "validatingwebhookconfiguration", ControlPlane.webhookConfiguration, "--type=json", "--patch",
            #"[{"op": "replace", "path": "/webhooks/1/clientConfig/caBundle", "value": "\#(foreign)"}]"#)
        try await scene.until("the bundle is repaired") { try await scene.look().isTold }
        try await scene.waitUntilAdmits()
    }

    private func replaceSecrets(_ scene: CertificateScene) async throws {
        let before = try await scene.look()
        let pem = try #require(before.secrets[CertificateScene.authority]?.data["tls.crt"])
        let old = try Certificate.all(pem: pem.span)[0]
        for name in before.secrets.keys {
            try await scene.plane.run("delete", "secret", name, "--namespace", ControlPlane.systemNamespace)
        }
        try await scene.until("another authority is there, and the old one is trusted no more") {
            let now = try await scene.look()
            guard now.secrets.count == 3, now.isTold, let bundle = now.bundles.first else { return false }
            return try !Certificate.all(pem: bundle.span).contains(old)
        }
        try await scene.waitUntilAdmits()
    }
}

extension CertificateTests {
    /// A controller that starts while there is no API server waits for it, unready.
    private func startWithoutServer(_ scene: CertificateScene) async throws {
        await scene.plane.killServer()
        let port = try FreePort.any()
        let controller = try scene.startController(2, healthPort: port)
        func readiness() async -> (status: Int, text: String)? {
            guard
                let answer = try? await HTTPClient().send(
                    HTTPRequest(.get, "http://127.0.0.1:\(port)/readyz?verbose"))
            else { return nil }
            return (answer.status, String(decoding: answer.body, as: UTF8.self))
        }
        try await scene.until("it says that it has no authority yet") {
            let answer = await readiness()
            return answer?.status == 503
                && answer?.text.contains("[-]authority failed: the Secret \(CertificateScene.authority): ") == true
        }
        #expect(!controller.hasExited)
        try await scene.plane.startServer()
        try await scene.until("it is ready") { await readiness()?.status == 200 }
        try await scene.waitUntilAdmits()
    }
}

extension CertificateScene {
    static let rotation = "leaderelection.600lyy.io/rotate-authority"

    func annotate(_ value: String) async throws {
        try await plane.run(
            "annotate", "secret", Self.authority, "--namespace", ControlPlane.systemNamespace,
            "\(Self.rotation)=\(value)")
    }

    func waitUntilAdmits() async throws {
        let door = try door()
        try await until("both webhooks admit") { await door.ask().isAdmitted }
    }
}

/// Asks all the time, through the API server and, each time by a new connection, each webhook; and looks what changes.
final class CertificateLoad: Sendable {
    struct Seen: Sendable {
        fileprivate var serials: [String: Set<String>] = [:]
        fileprivate var last = CertificateScene.Look()

        /// How often a certificate in a Secret was replaced.
        var certificates: Int { changes(CertificateScene.webhookTLS) + changes(CertificateScene.grantsTLS) }
        var authorities: Int { changes(CertificateScene.authority) }
        var isEnough: Bool { certificates >= 20 && authorities >= 3 }

        private func changes(_ name: String) -> Int { max(0, (serials[name]?.count ?? 0) - 1) }

        fileprivate mutating func add(_ look: CertificateScene.Look) throws {
            last = look
            for name in look.secrets.keys {
                if let serial = try look.serial(name) { serials[name, default: []].insert(serial) }
            }
        }
    }

    private struct State {
        var seen = Seen()
        var asked = 0
        var failures: [String] = []
        var isStopping = false

        mutating func note(_ answer: AdmissionDoor.Answer) {
            asked += 1
            if !answer.isAdmitted { failures.append("\(answer)") }
        }
    }

    private let state: Locked<State>
    private let tasks: Locked<[Task<Void, Never>]>

    init(_ scene: CertificateScene) async throws {
        var first = State()
        try first.seen.add(await scene.look())
        let state = Locked(first)
        self.state = state
        let door = try scene.door()
        var works: [@Sendable () async throws -> Void] = [
            {
                let answer = await door.ask()
                state.withLock { $0.note(answer) }
            },
            {
                let look = try await scene.look()
                try state.withLock { try $0.seen.add(look) }
            },
        ]
        for webhook in scene.webhooks {
            works.append {
                // As the API server would connect now.
                let bundle = state.withLock { $0.seen.last.bundles[0] }
                let door = try AdmissionDoor.webhook(of: "east", at: webhook.port, trusting: bundle)
                let answer = await door.ask()
                state.withLock { $0.note(answer) }
            }
        }
        tasks = Locked(
            works.map { work in
                Task {
                    while !state.withLock({ $0.isStopping }), !Task.isCancelled {
                        do { try await work() } catch { state.withLock { $0.failures.append("\(error)") } }
                        // A pace that leaves the machine to those who are asked. Interrupted only at the end.
                        try? await Task.sleep(for: .milliseconds(100), clock: .continuous)
                    }
                }
            })
    }

    deinit {
        for task in tasks.withLock({ $0 }) { task.cancel() }
    }

    var seen: Seen { state.withLock { $0.seen } }
    var asked: Int { state.withLock { $0.asked } }
    var failures: [String] { state.withLock { $0.failures } }

    /// Waits for the answers to what is asked, and asks no more.
    func stop() async {
        state.withLock { $0.isStopping = true }
        for task in tasks.withLock({ $0 }) { await task.value }
    }
}

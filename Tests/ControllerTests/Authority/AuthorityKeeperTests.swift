import Election
import FoundationEssentials
import Kubernetes
import Platform
import Support
import TLS
import Testing

@testable import Controller

private let system = "system"

/// An API server, and keepers of an authority on it by clocks that a test sets.
private final class Scene: Sendable {
    /// One controller.
    struct Keeper: Sendable {
        let files: IssuedFiles
        let status: AuthorityStatus
        let work: Task<Void, Never>
    }

    let server: FakeAPIServer
    let lines = Lines()
    let directory: TemporaryDirectory
    let lifetimes: CertificateLifetimes
    /// nil: the clocks run.
    private let standing: Reading?
    private let added = Locked<Duration>(.zero)
    private let keepers = Locked<[Keeper]>([])

    /// - Parameter clockStands: until the test moves it, so that nothing is renewed however slow the machine is.
    init(clockStands: Bool = false) throws {
        standing = clockStands ? .now() : nil
        server = try FakeAPIServer()
        directory = try TemporaryDirectory()
        var lifetimes = CertificateLifetimes()
        // For looks that come soon.
        (lifetimes.authority, lifetimes.certificate) = (.seconds(7200), .seconds(24))
        self.lifetimes = lifetimes
    }

    deinit {
        for keeper in keepers.withLock({ $0 }) { keeper.work.cancel() }
    }

    @discardableResult func start() throws -> Keeper {
        let number = keepers.withLock { $0.count }
        let path = directory.file("\(number)")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        var options = AuthorityKeeper.Options(
            secret: "authority", namespace: system, webhookNames: [.dns("webhook.svc")],
            grantsName: .dns("leasehold-grants"), webhookConfiguration: "guard", directory: path)
        options.lifetimes = lifetimes
        let keeper = AuthorityKeeper(options, client: try server.client(), log: lines.log) { [standing, added] in
            let (now, nanoseconds) = (standing ?? Reading.now(), added.withLock { $0.inMicroseconds * 1000 })
            return Reading(
                boottime: now.boottime + nanoseconds, realtime: now.realtime + nanoseconds,
                monotonicRaw: now.monotonicRaw + nanoseconds)
        }
        let started = Keeper(
            files: IssuedFiles(in: path), status: keeper.status, work: Task { await keeper.run() })
        keepers.withLock { $0.append(started) }
        return started
    }

    /// Until a keeper has looked at everything twice, from beginning to end.
    func waitForLooks() async throws {
        let looks = server.requests.count
        try await eventually("it has looked some times more") { server.requests.count >= looks + 12 }
    }

    func pass(_ time: Duration) { added.withLock { $0 += time } }

    func secret(_ name: String) throws -> SecretObject? { try server.get(SecretObject.self, name, in: system) }

    /// nil: there is none, or it cannot be read.
    func authority() throws -> Authority? { try secret("authority").flatMap { try? Authority($0) } }

    /// Whether everything of a keeper is there and of the authority that signs.
    func isSettled(_ keeper: Keeper) throws -> Bool {
        guard let authority = try authority(),
            let own = try? Identity(chainFile: keeper.files.chain, keyFile: keeper.files.key),
            try Certificate.all(file: keeper.files.authorities) == authority.trusted
        else { return false }
        let bundle = try authority.trusted.pem()
        return try own.certificate.isSigned(by: authority.signing.certificate)
            && [AuthorityKeeper.webhookSecret, AuthorityKeeper.grantsSecret].allSatisfy { name in
                guard let secret = try secret(name), let leaf = try? secret.identity().certificate else { return false }
                return leaf.isSigned(by: authority.signing.certificate) && secret.data["ca.crt"] == bundle
            }
    }

    func waitUntilSettled(_ keeper: Keeper) async throws {
        try await eventually("everything is of one authority") { try isSettled(keeper) }
    }

    func putConfiguration() {
        server.put(
            WebhookConfigurationObject(
                metadata: ObjectMetadata(name: "guard"), webhooks: [.init(name: "one", clientConfig: .init())]))
    }

    func bundle() throws -> [UInt8]? {
        try server.get(WebhookConfigurationObject.self, "guard")?.webhooks?.first?.clientConfig.caBundle
            .flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) }
    }

    func ask() throws {
        var secret = try #require(try secret("authority"))
        secret.metadata.annotations = (secret.metadata.annotations ?? [:]).merging([Authority.rotationAnnotation: "now"]
        ) { $1 }
        server.put(secret)
    }
}

@Suite(.timeLimit(.minutes(2))) struct AuthorityKeeperTests {
    @Test func `makes everything that is missing, and then only looks`() async throws {
        let scene = try Scene(clockStands: true)
        scene.putConfiguration()
        let keeper = try scene.start()
        try await scene.waitUntilSettled(keeper)
        let authority = try #require(try scene.authority())
        let bundle = try authority.trusted.pem()
        try await eventually("the API server is told") { try scene.bundle() == bundle }
        let webhook = try #require(try scene.secret(AuthorityKeeper.webhookSecret)).identity().certificate
        #expect(webhook.names == [.dns("webhook.svc")])
        #expect(keeper.status.checks() == [ReadinessCheck("authority", problem: nil)])

        let writes = scene.server.writes.count
        try await scene.waitForLooks()
        #expect(scene.server.writes.count == writes)
    }

    @Test func `keepers that start at once agree on one authority and on each certificate`() async throws {
        let scene = try Scene()
        let keepers = try (0..<5).map { _ in try scene.start() }
        for keeper in keepers { try await scene.waitUntilSettled(keeper) }
        let made = scene.server.writes.filter { $0.method == "POST" }
        // All but the first of each are refused, and nobody overwrites what the first has made.
        #expect(Set(made.map(\.path)) == ["/api/v1/namespaces/system/secrets"])
        #expect(scene.lines.count(of: "Made an authority") == 1)
        #expect(scene.lines.count(of: "Made a certificate for CN=leasehold webhook ") <= 2)
    }

    @Test func `a new authority signs after it was announced without interruption, while both are trusted`()
        async throws
    {
        let scene = try Scene()
        scene.putConfiguration()
        let keepers = [try scene.start(), try scene.start()]
        for keeper in keepers { try await scene.waitUntilSettled(keeper) }
        let first = try #require(try scene.authority()).signing.certificate

        try scene.ask()
        try await eventually("another one is announced") { try scene.authority()?.next != nil }
        let announced = try #require(try scene.authority())
        for keeper in keepers { try await scene.waitUntilSettled(keeper) }
        try await eventually("the API server is told") { try scene.bundle() == announced.trusted.pem() }
        #expect(announced.signing.certificate == first && announced.trusted.count == 2)

        scene.pass(scene.lifetimes.announcement)
        try await eventually("it signs") { try scene.authority()?.signing.certificate == announced.next?.certificate }
        for keeper in keepers { try await scene.waitUntilSettled(keeper) }
        let promoted = try #require(try scene.authority())
        #expect(promoted.trusted.contains(first))
        #expect(try scene.secret("authority")?.metadata.annotations?[Authority.rotationAnnotation] == nil)

        scene.pass(scene.lifetimes.certificate * 2)
        try await eventually("the old one is not trusted any more") { try scene.authority()?.trusted.count == 1 }
        for keeper in keepers { try await scene.waitUntilSettled(keeper) }
    }

    @Test func `a new authority does not sign as long as the API server cannot be told to trust it`() async throws {
        let scene = try Scene()
        scene.putConfiguration()
        let keeper = try scene.start()
        try await scene.waitUntilSettled(keeper)
        try await eventually("the API server is told") { try scene.bundle() != nil }
        scene.server.setFault { request in
            request.method == "PATCH" && request.path.contains("validatingwebhookconfigurations")
                ? .status(403, "Forbidden") : nil
        }
        try scene.ask()
        try await eventually("another one is announced") { try scene.authority()?.next != nil }
        for _ in 0..<3 {
            scene.pass(scene.lifetimes.announcement * 2)
            try await scene.waitForLooks()
            #expect(try scene.authority()?.next != nil)
        }
        #expect(scene.lines.contains("Cannot keep guard, and tries again"))
        scene.server.comeBack()
        try await eventually("the API server is told") { try scene.authority()?.trusted.pem() == scene.bundle() }
        try await scene.waitForLooks()
        scene.pass(scene.lifetimes.announcement)
        try await eventually("it signs") { try scene.authority()?.next == nil }
    }

    @Test func `certificates are made anew before they end, and files follow`() async throws {
        let scene = try Scene()
        let keeper = try scene.start()
        try await scene.waitUntilSettled(keeper)
        let before = try Identity(chainFile: keeper.files.chain, keyFile: keeper.files.key).certificate
        let webhook = try #require(try scene.secret(AuthorityKeeper.webhookSecret)).identity().certificate
        scene.pass(scene.lifetimes.certificate * 2 / 3)
        try await eventually("they are made anew") {
            let own = try? Identity(chainFile: keeper.files.chain, keyFile: keeper.files.key).certificate
            return try own.map { $0 != before } ?? false
                && scene.secret(AuthorityKeeper.webhookSecret).map { try $0.identity().certificate != webhook } ?? false
        }
        #expect(try scene.authority()?.trusted.count == 1)
    }

    @Test(arguments: ["authority", AuthorityKeeper.webhookSecret, AuthorityKeeper.grantsSecret])
    func `a Secret that somebody deletes is made anew`(name: String) async throws {
        let scene = try Scene()
        let keepers = [try scene.start(), try scene.start()]
        for keeper in keepers { try await scene.waitUntilSettled(keeper) }
        let old = try #require(try scene.authority()).signing.certificate
        scene.server.delete(SecretObject.self, name, in: system)
        try await eventually("it is back") { try scene.secret(name) != nil }
        for keeper in keepers { try await scene.waitUntilSettled(keeper) }
        // Who deletes the authority wants that nobody trusts it any more.
        #expect(try scene.authority()?.trusted.contains(old) == (name != "authority"))
    }

    @Test func `a bundle that somebody changes is repaired`() async throws {
        let scene = try Scene()
        scene.putConfiguration()
        let keeper = try scene.start()
        try await scene.waitUntilSettled(keeper)
        var secret = try #require(try scene.secret(AuthorityKeeper.grantsSecret))
        secret.data["ca.crt"] = [UInt8]("nonsense".utf8)
        scene.server.put(secret)
        scene.putConfiguration()
        try await scene.waitUntilSettled(keeper)
        try await eventually("the API server is told") { try scene.bundle() == scene.authority()?.trusted.pem() }
    }

    @Test func `an authority that cannot be read is left as it is, and what there is stays in use`() async throws {
        let scene = try Scene()
        let keeper = try scene.start()
        try await scene.waitUntilSettled(keeper)
        let own = try Identity(chainFile: keeper.files.chain, keyFile: keeper.files.key).certificate
        var secret = try #require(try scene.secret("authority"))
        secret.data["tls.key"] = [UInt8]("c2VjcmV0".utf8)
        scene.server.put(secret)
        let writes = scene.server.writes.count
        try await eventually("it is told of") {
            scene.lines.contains("The authority in the Secret authority cannot be used: tls.key holds no private key")
        }
        #expect(!scene.lines.contains("c2VjcmV0"))
        #expect(try scene.secret("authority")?.data == secret.data)
        #expect(scene.server.writes.count == writes)
        #expect(try Identity(chainFile: keeper.files.chain, keyFile: keeper.files.key).certificate == own)
        #expect(MetricFamily.text(keeper.status.families()).contains("leasehold_authority_failures_total "))
    }

    @Test func `without an API server it waits, unready, and begins when that is there`() async throws {
        let scene = try Scene()
        scene.server.goDown()
        let keeper = try scene.start()
        try await eventually("it says that it cannot") { scene.lines.contains("Cannot keep the Secret authority") }
        try await eventually("it is unready") { keeper.status.checks().first?.problem?.contains("the Secret") == true }
        scene.server.comeBack()
        try await scene.waitUntilSettled(keeper)
        try await eventually("it is ready") { keeper.status.checks().first?.problem == nil }
        scene.server.goDown()
        let looks = scene.server.requests.count
        try await eventually("it has looked some times more") { scene.server.requests.count >= looks + 2 }
        #expect(keeper.status.checks().first?.problem == nil)
        _ = try Identity(chainFile: keeper.files.chain, keyFile: keeper.files.key)
    }
}

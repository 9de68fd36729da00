import FoundationEssentials
import Glibc
import Support
import Testing

@testable import Commands

/// Controllers and webhooks as processes of their own, on one file store.
struct GrantProcessTests {
    private let directory: TemporaryDirectory
    private let ports: [UInt16]

    init() throws {
        directory = try TemporaryDirectory()
        ports = [try FreePort.any(), try FreePort.any()]
    }

    private func controller(_ number: Int) async throws -> Replica {
        let controller = try Replica.controller(port: ports[number], in: directory)
        try await controller.waitUntilStarted("grants")
        return controller
    }

    private func end(_ replicas: [Replica]) async {
        for replica in replicas { replica.process.send(SIGTERM) }
        for replica in replicas { #expect(await replica.process.exitCode() == 0, "\(replica.process.err)") }
    }

    private func term(_ answer: String) throws -> UInt64 {
        let match = try #require(answer.firstMatch(of: /"term":"(\d+)"/))
        return try #require(UInt64(match.1))
    }

    /// The term by which it admits, once it does.
    private func admittedTerm(_ webhook: Replica) async throws -> UInt64 {
        var answer = ""
        try await eventually("it admits") {
            answer = try webhook.answer()
            return answer.contains(#""allowed":true"#)
        }
        return try term(answer)
    }

    @Test func `webhooks admit by grants, deny without them and say why, and find the controller that takes over`()
        async throws
    {
        let webhooks = [
            try Replica.webhook(ports: ports, in: directory), try Replica.webhook(ports: ports, in: directory),
        ]
        for webhook in webhooks { try await webhook.waitUntilStarted("admissions") }
        // Fails closed: nobody has granted anything.
        #expect(try webhooks[0].answer().contains(#""code":503"#))
        #expect(try await webhooks[0].page("health", "/readyz").status == 503)

        let first = try await controller(0)
        for webhook in webhooks { try await eventually("it admits") { try webhook.admits() } }
        #expect(try await webhooks[0].page("health", "/readyz").status == 200)
        #expect(try await first.page("health", "/readyz").status == 200)
        try await eventually("its metrics tell of a grant") {
            let metrics = String(decoding: try await webhooks[0].page("metrics", "/metrics").body, as: UTF8.self)
            return metrics.contains("\nleasehold_grant_in_force 1\n")
        }
        let firstTerm = try await admittedTerm(webhooks[0])

        first.process.send(SIGKILL)
        #expect(await first.process.exitCode() == -SIGKILL)
        for webhook in webhooks {
            try await eventually("it says why it denies") {
                let answer = try webhook.answer()
                return answer.contains(#"no active controller of cluster \"east\" could be reached since "#)
                    && answer.contains(#""code":503"#) && answer.contains(#""retryAfterSeconds":1"#)
            }
            try await webhook.waitUntilItSays("Denies every guarded write")
        }
        // Ready all the same: what it denies says why, and no API server without an endpoint could.
        #expect(try await webhooks[0].page("health", "/readyz").status == 200)

        let second = try await controller(1)
        for webhook in webhooks {
            try await eventually("it admits again") { try webhook.admits() }
            try await webhook.waitUntilItSays("Grants are back after ")
        }
        #expect(try await admittedTerm(webhooks[0]) > firstTerm)
        await end(webhooks + [second])
    }

    @Test func `a webhook has no libcurl in memory, since that and what it loads would be a fifth of it`() async throws
    {
        let webhook = try Replica.webhook(ports: ports, in: directory)
        try await webhook.waitUntilStarted("admissions")
        let first = try await controller(0)
        try await eventually("it admits") { try webhook.admits() }
        // Foundation reads no more than a page of a file that says that it is empty.
        let reader = try ChildProcess("/bin/cat", ["/proc/\(webhook.process.pid)/maps"], in: directory)
        #expect(await reader.exitCode() == 0)
        #expect(reader.out.contains("/libssl.so") && !reader.out.contains("/libcurl"))
        await end([webhook, first])
    }

    @Test(.disabled(if: Sanitizer.isPresent, "a sanitizer keeps what is freed"))
    func `what many connections took goes back to the system when they have gone`() async throws {
        let webhook = try Replica.webhook(ports: ports, in: directory, ["--threads", "1"])
        try await webhook.waitUntilStarted("admissions")
        let client = try webhook.client()
        // Whatever the first ones make once and for all.
        for _ in 0..<3 { _ = try webhook.answer() }
        let before = try webhook.process.status.anonymousBytes
        var sessions = try (0..<300).map { _ in try client.open() }
        let most = try webhook.process.status.anonymousBytes
        #expect(most - before > 3_000_000)
        sessions.removeAll()
        try await eventually("most of it goes back") {
            try webhook.process.status.anonymousBytes - before < (most - before) / 3
        }
        await end([webhook])
    }

    @Test func `a handover to the standby is followed by the webhook`() async throws {
        let active = try await controller(0)
        try await active.waitUntilItSays("Leads team-a")
        let standby = try await controller(1)
        try await standby.waitUntilItSays("Stands by")
        // A standby does what it is for.
        try await eventually("the standby is ready") { try await standby.page("health", "/readyz").status == 200 }
        let webhook = try Replica.webhook(ports: ports, in: directory)
        try await webhook.waitUntilStarted("admissions")
        let firstTerm = try await admittedTerm(webhook)

        await end([active])
        try await eventually("it admits by the standby's grants") {
            let answer = try webhook.answer()
            return try answer.contains(#""allowed":true"#) && term(answer) > firstTerm
        }
        await end([webhook, standby])
    }

    @Test func `a webhook that is told to end goes on admitting, unready, as long as others may be led to it`()
        async throws
    {
        let controller = try await controller(0)
        let webhook = try Replica.webhook(ports: ports, in: directory, ["--shutdown-delay", "1h"])
        try await webhook.waitUntilStarted("admissions")
        try await eventually("it admits") { try webhook.admits() }
        #expect(try await webhook.page("health", "/readyz").status == 200)

        webhook.process.send(SIGTERM)
        try await webhook.waitUntilItSays("serves on for 1h")
        let readiness = try await webhook.page("health", "/readyz")
        #expect(readiness.status == 503)
        #expect(String(decoding: readiness.body, as: UTF8.self).contains("goes on serving failed: it was told to end"))
        try await eventually("it admits what comes over new connections") { try webhook.admits() }

        webhook.process.send(SIGTERM)
        #expect(await webhook.process.exitCode() == 1)
        await end([controller])
    }

    @Test func `a person who ends a webhook does not wait for others`() async throws {
        let webhook = try Replica.webhook(ports: ports, in: directory, ["--shutdown-delay", "1h"])
        try await webhook.waitUntilStarted("admissions")
        webhook.process.send(SIGINT)
        #expect(await webhook.process.exitCode() == 0)
    }

    @Test func `a webhook whose cluster leads nothing tells who leads, as one process would`() async throws {
        let leader = try Cluster("west", in: directory)
        try await leader.waitUntilStarted()
        try await eventually("west admits") { try leader.admits(Cluster.review()) }
        let controller = try await controller(0)
        let webhook = try Replica.webhook(ports: ports, in: directory)
        try await webhook.waitUntilStarted("admissions")
        try await eventually("it tells who leads") {
            let answer = try webhook.answer()
            return answer.contains(#"namespace \"team-a\" is led by cluster \"west\" (since 2"#)
                && answer.contains(#""code":403"#)
        }
        leader.process.send(SIGTERM)
        #expect(await leader.process.exitCode() == 0)
        await end([webhook, controller])
    }

    @Test func `the controller of another cluster grants nothing, and that is said`() async throws {
        let controller = try await controller(0)
        let grants = "\(directory.path)/clusters/east/grants"
        let webhook = try Replica.webhook(
            "west", ports: [ports[0]], in: directory,
            [
                "--grants-ca-file", "\(grants)/ca.crt", "--grants-cert-file", "\(grants)/tls.crt",
                "--grants-key-file", "\(grants)/tls.key",
            ])
        try await webhook.waitUntilStarted("admissions")
        try await webhook.waitUntilItSays(#"it is for cluster "east", this webhook belongs to "west""#)
        #expect(try webhook.answer(cluster: "west").contains(#""allowed":false"#))
        await end([webhook, controller])
    }

    @Test func `a webhook of another authority gets nothing, and is told what to check`() async throws {
        let controller = try await controller(0)
        let elsewhere = try TemporaryDirectory()
        let webhook = try Replica.webhook(ports: [ports[0]], in: elsewhere)
        try await webhook.waitUntilStarted("admissions")
        try await webhook.waitUntilItSays("check the trusted authorities")
        #expect(try !webhook.admits())
        await end([webhook, controller])
    }
}

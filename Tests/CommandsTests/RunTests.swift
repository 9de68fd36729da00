import FoundationEssentials
import Glibc
import Support
import Testing

@testable import Commands

/// Two clusters as processes on one file store.
struct RunTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func leasehold(_ arguments: String...) async throws -> (code: Int32, out: String, err: String) {
        let process = try ChildProcess(
            leasehold: arguments, environment: ["LEASEHOLD_STATE_DIRECTORY": directory.path], in: directory)
        return (await process.exitCode(), process.out, process.err)
    }

    private func leader() async throws -> String? {
        let status = try await leasehold("status", "--output", "json")
        guard status.code == 0 else { return nil }
        struct Document: Decodable {
            struct Lease: Decodable {
                var leader: String?
                var isLed: Bool
            }
            var leases: [Lease]
        }
        let lease = try JSONDecoder().decode(Document.self, from: Data(status.out.utf8)).leases.first
        return lease?.isLed == true ? lease?.leader : nil
    }

    @Test func `the leader's webhook admits, the other denies, and a transfer turns it round`() async throws {
        let clusters = [try Cluster("east", in: directory), try Cluster("west", in: directory)]
        for cluster in clusters { try await cluster.waitUntilStarted() }
        var leader: String?
        try await eventually("somebody leads") {
            leader = try await self.leader()
            return leader != nil
        }
        let first = try #require(clusters.first { $0.name == leader })
        let second = try #require(clusters.first { $0.name != leader })
        let review = try Cluster.review()
        try await eventually("\(first.name) admits") { try first.post(review).contains(#""allowed":true"#) }
        try await eventually("\(second.name) knows who leads") {
            let answer = try second.post(review)
            #expect(answer.contains(#""allowed":false"#))
            return answer.contains("is led by cluster \\\"\(first.name)\\\"") && answer.contains(#""code":403"#)
        }

        let check = try await leasehold("check", fixture, "--cluster", second.name)
        #expect(check.code == 3)
        #expect(check.out.contains("is led by cluster \"\(first.name)\""))

        let transfer = try await leasehold("transfer", "team-a", "--to", second.name, "--timeout", "120s")
        #expect(transfer.code == 0, "\(transfer.err)")
        #expect(transfer.out.hasPrefix("\(second.name) leads team-a after "))
        try await eventually("\(second.name) admits") { try second.post(review).contains(#""allowed":true"#) }
        #expect(try first.post(review).contains(#""allowed":false"#))

        for cluster in clusters { cluster.process.send(SIGTERM) }
        for cluster in clusters { #expect(await cluster.process.exitCode() == 0, "\(cluster.process.err)") }
        let status = try await leasehold("status", "--namespace", "team-a")
        #expect(status.code == 3)
        #expect(status.out.contains("handover"))
    }

    private var fixture: String {
        #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 }
            + "/WebhookTests/Fixtures/01-create-guestbooks.json"
    }

    @Test func `a request that is no AdmissionReview gets 400 and why`() async throws {
        let east = try Cluster("east", in: directory)
        try await east.waitUntilStarted()
        let client = AdmissionClient(
            port: try #require(east.port("admissions")), authority: "\(directory.path)/clusters/east/tls/ca.crt")
        let answer = try client.post(Array("{}".utf8))
        #expect(answer.status == 400)
        #expect(answer.body == "not an admission.k8s.io/v1 AdmissionReview\n")
        #expect(try client.post([], to: "/elsewhere").status == 404)
        east.process.send(SIGINT)
        #expect(await east.process.exitCode() == 0)
    }

    @Test func `a hangup has the certificate files read again, and a broken one leaves the old in use`() async throws {
        let east = try Cluster("east", in: directory)
        try await east.waitUntilStarted()
        let chain = "\(directory.path)/clusters/east/tls/tls.crt"
        try "broken".write(toFile: chain, atomically: true, encoding: .utf8)
        east.process.send(SIGHUP)
        try await eventually("it says so") { east.process.err.contains("the old ones stay in use") }
        #expect(try east.post(Cluster.review()).contains(#""allowed""#))
        east.process.send(SIGTERM)
        #expect(await east.process.exitCode() == 0)
    }

    @Test func `while others may be led to one that has left the election, it answers that they are to try again`()
        async throws
    {
        let east = try Cluster("east", in: directory, ["--shutdown-delay", "1h"])
        try await east.waitUntilStarted()
        try await eventually("it admits") { try east.admits(Cluster.review()) }
        east.process.send(SIGTERM)
        try await eventually("it has left the election") {
            east.process.err.contains("has left the election; its leases")
        }
        let answer = try east.post(Cluster.review())
        #expect(answer.contains(#""code":503"#) && answer.contains(#""retryAfterSeconds":1"#))
        east.process.send(SIGTERM)
        #expect(await east.process.exitCode() == 1)
    }

    @Test func `with release-on-shutdown the leases are free at the end`() async throws {
        // The leases are free as soon as the grants have ended. A cluster that never ran before goes on waiting for what an
        // earlier run might still do, and ends with a handover when the time is up.
        let east = try Cluster("east", in: directory, ["--release-on-shutdown", "--shutdown-timeout", "3s"])
        try await east.waitUntilStarted()
        try await eventually("it leads") { try await leader() == "east" }
        east.process.send(SIGTERM)
        #expect(await east.process.exitCode() == 0)
        let status = try await leasehold("status")
        #expect(status.out.contains("(free)"))
    }

    @Test func `a second signal ends it at once, with code 1`() async throws {
        // Giving back waits for the grants to end, which here takes a minute.
        let east = try Cluster(
            "east", in: directory, ["--release-on-shutdown", "--grant-duration", "60s", "--lease-duration", "90s"])
        try await east.waitUntilStarted()
        try await eventually("it leads") { try await leader() == "east" }
        east.process.send(SIGTERM)
        try await eventually("it gives back") { east.process.err.contains("frees all leases first") }
        #expect(try east.post(Cluster.review()).contains(#""allowed":false"#))
        east.process.send(SIGTERM)
        #expect(await east.process.exitCode() == 1)
        #expect(east.process.err.contains("by a second signal"))
    }

    @Test func `status watches until it is interrupted`() async throws {
        let east = try Cluster("east", in: directory)
        try await east.waitUntilStarted()
        let watch = try ChildProcess(
            leasehold: ["status", "--watch"], environment: ["LEASEHOLD_STATE_DIRECTORY": directory.path], in: directory)
        try await eventually("two snapshots") {
            watch.out.split(separator: "CLUSTER", omittingEmptySubsequences: false).count > 2
        }
        #expect(!watch.out.contains("\u{1B}"))
        watch.send(SIGINT)
        #expect(await watch.exitCode() == -SIGINT)
        east.process.send(SIGTERM)
        #expect(await east.process.exitCode() == 0)
    }

    @Test func `another cluster under the same name is refused, with both uids`() async throws {
        let east = try Cluster("east", in: directory)
        try await east.waitUntilStarted()
        try await eventually("it leads") { try await leader() == "east" }
        let other = try TemporaryDirectory()
        let impostor = try Cluster("east", in: other, ["--store", "file:\(directory.path)/store"])
        #expect(await impostor.process.exitCode() == 1)
        for directory in [directory, other] {
            let uid = try String(contentsOfFile: "\(directory.path)/clusters/east/uid", encoding: .utf8)
            #expect(impostor.process.err.contains(String(uid.prefix(36))))
        }
        #expect(try await leader() == "east")
        east.process.send(SIGTERM)
        #expect(await east.process.exitCode() == 0)
    }
}

import Election
import FoundationEssentials
import Glibc
import Storage
import Support
import Testing

@testable import Commands

/// What becomes of the leases when a leader dies, sleeps, or the store holds something that is no record.
struct FailoverTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// Two clusters, the first of which leads team-a.
    private func leaderAndOther() async throws -> (leader: Cluster, other: Cluster) {
        let review = try Cluster.review()
        // A question that was sent while it slept must not be too late when it wakes.
        let leader = try Cluster("east", in: directory, ["--request-timeout", "10m"])
        try await leader.waitUntilStarted()
        try await eventually("east admits") { try leader.admits(review) }
        let other = try Cluster("west", in: directory)
        try await other.waitUntilStarted()
        try await eventually("west knows who leads") { try other.post(review).contains("is led by cluster") }
        return (leader, other)
    }

    private func end(_ clusters: Cluster...) async {
        for cluster in clusters { cluster.process.send(SIGTERM) }
        for cluster in clusters { #expect(await cluster.process.exitCode() == 0, "\(cluster.process.err)") }
    }

    /// The JSON of a record as it lies in the store.
    private func record<Record>(_ folder: ObjectName.Folder, _ name: String, _ parse: ([UInt8]) throws -> Record)
        async throws -> Record
    {
        let store = try await StoreAddress("file:\(directory.path)/store").open(timeout: .seconds(30))
        let name = try #require(ObjectName(folder, name))
        let object = try #require(try await store.read(name))
        return try parse(object.body)
    }

    @Test func `after a SIGKILL the other takes over, not before one lease duration after the last heartbeat`()
        async throws
    {
        let (leader, other) = try await leaderAndOther()
        let review = try Cluster.review()
        leader.process.send(SIGKILL)
        #expect(await leader.process.exitCode() == -SIGKILL)
        let heartbeat = try await record(.members, "east") { try MemberRecord(parsing: $0, ofCluster: "east") }
        try await eventually("west takes over") { try other.admits(review) }
        let lease = try await record(.leases, "team-a") { try LeaseRecord(parsing: $0) }
        #expect(lease.holderIdentity == "west")
        // One machine, so one wall clock: here the times for people can be compared.
        let renewed = try #require(Timestamp.parse(heartbeat.renewTime))
        let acquired = try #require(Timestamp.parse(lease.acquireTime))
        #expect(acquired - renewed >= 5_000_000)
        await end(other)
    }

    @Test func `a leader that slept past its lease denies with its very first answer`() async throws {
        let (leader, other) = try await leaderAndOther()
        let review = try Cluster.review()
        // Open while the leader is awake, asked while it sleeps: answered by its first step after waking.
        let session = try leader.client.open()
        leader.process.send(SIGSTOP)
        try session.send(review)
        try await eventually("west takes over") { try other.admits(review) }
        leader.process.send(SIGCONT)
        let answer = try session.receive()
        #expect(answer.status == 200)
        #expect(answer.body.contains(#""allowed":false"#), "\(answer.body)")
        #expect(try other.admits(review))
        await end(leader, other)
    }

    @Test(arguments: ["not JSON\n", #"{"holderIdentity":"","term":1}"#, ""])
    func `a record that is none is reported, kept, never free, and does not stop the other namespaces`(
        content: String
    ) async throws {
        let leases = "\(directory.path)/store/leases"
        try FileManager.default.createDirectory(atPath: leases, withIntermediateDirectories: true)
        try content.write(toFile: "\(leases)/team-b", atomically: true, encoding: .utf8)
        let east = try Cluster("east", in: directory, ["--namespace", "team-b"])
        try await east.waitUntilStarted()
        let review = try Cluster.review()
        try await eventually("east admits in team-a") { try east.admits(review) }
        try await eventually("the record is reported") { east.process.err.contains("leases/team-b") }
        let foreign = Array(String(decoding: review, as: UTF8.self).replacing("team-a", with: "team-b").utf8)
        #expect(try !east.admits(foreign))
        await end(east)
        #expect(try String(contentsOfFile: "\(leases)/team-b", encoding: .utf8) == content)
    }
}

import Support
import Testing

/// Guarded writes, by real kubectl through real API servers.
@Suite(.serialized) struct AdmissionTests {
    @Test func `the leader's operator may write, another cluster's is told who leads`() async throws {
        let fleet = try await Fleet.start()
        let (east, west) = (fleet["east"], fleet["west"])
        let allowed = try await east.asOperator("apply", "--dry-run=server", "--filename", TestCluster.guestbook)
        #expect(allowed.code == 0, "\(allowed)\n\(east.log)")
        let denied = try await west.asOperator("apply", "--dry-run=server", "--filename", TestCluster.guestbook)
        #expect(denied.code == 1)
        #expect(denied.err.contains(#"namespace "team-a" is led by cluster "east""#), "\(denied)\n\(west.log)")
        await fleet.end()
    }
}

import Support
import Testing

/// A cluster that can elect but not work (protocol): its API server is gone for longer than `--api-loss-timeout`.
@Suite(.serialized, .fleet(["--api-loss-timeout", "8s", "--shutdown-timeout", "12s"])) struct APILossTests {
    enum Outage: String, CaseIterable, CustomTestStringConvertible {
        /// Connections are refused.
        case killed
        /// Connections are accepted by the kernel, and nothing is answered.
        case frozen

        var testDescription: String { rawValue }
    }

    @Test(arguments: Outage.allCases)
    func `all is given back when the API server is gone for too long, and taken part in again when it is back`(
        outage: Outage
    ) async throws {
        let roles = try await SharedFleet.settled()
        let (leader, other) = (roles.leader, roles.other)
        let pid = leader.process?.pid
        let before = try AdmissionHammer(leader, other)
        try await before.untilAdmits(leader)
        // No write is half admitted when the API server freezes: how long that may take is what the commit margin is about.
        var answers = await before.stop()
        let hammer: AdmissionHammer
        switch outage {
        case .killed:
            hammer = try AdmissionHammer(leader, other)
            await leader.plane.killServer()
        case .frozen:
            leader.plane.freezeServer()
            hammer = try AdmissionHammer(leader, other)
        }

        try await hammer.untilAdmits(other)
        #expect(leader.log.contains("Gave team-a back; its lease is free"), "\(leader.log)")
        #expect(leader.log.contains("has not answered for 8 s: gives everything back"), "\(leader.log)")
        try await leader.until("\(leader.name) says why it is not ready") {
            let readiness = try await leader.readiness()
            return !readiness.isReady && readiness.text.contains("everything was given back")
        }

        switch outage {
        case .killed: try await leader.plane.startServer()
        case .frozen: leader.plane.thawServer()
        }
        try await leader.until("\(leader.name) takes part again, and is ready") {
            guard leader.log.contains("answers again: takes part in the election again") else { return false }
            return try await leader.readiness().isReady
        }
        try await leader.waitUntilSaw(other.name, lead: "team-a")
        try await hammer.until(leader, saysThatLeads: other)

        // It can lead again, too.
        try await leader.askForTransfer(to: leader.name)
        try await hammer.untilAdmits(leader)
        try await leader.waitUntilLeads("team-a")
        answers.add(await hammer.stop())
        answers.expectTurns([leader, other, leader])
        #expect(leader.process?.pid == pid, "without a restart")
    }
}

import Election
import Testing

@testable import Controller

struct ControllerHeartbeatTests {
    private let start = ContinuousClock.now
    private let interval = Duration.seconds(3)

    private func anchor(_ seconds: Int64) -> Reading {
        Reading(
            boottime: seconds * 1_000_000_000, realtime: seconds * 1_000_000_000, monotonicRaw: seconds * 1_000_000_000)
    }

    @Test func `each acknowledged heartbeat is written once`() {
        var heartbeat = ControllerHeartbeat()
        #expect(heartbeat.next(anchor: anchor(1), every: interval, at: start) == .renew(anchor(1)))
        #expect(heartbeat.next(anchor: anchor(2), every: interval, at: start) == nil, "one at a time")
        heartbeat.end(.renew(anchor(1)), failed: false, at: start)
        #expect(heartbeat.next(anchor: anchor(1), every: interval, at: start) == nil)
        #expect(heartbeat.next(anchor: anchor(2), every: interval, at: start) == .renew(anchor(2)))
    }

    @Test func `without a new heartbeat the API server is only asked, once an interval`() {
        var heartbeat = ControllerHeartbeat()
        #expect(heartbeat.next(anchor: nil, every: interval, at: start) == .probe)
        heartbeat.end(.probe, failed: false, at: start)
        #expect(heartbeat.next(anchor: nil, every: interval, at: start + .seconds(2)) == nil)
        #expect(heartbeat.next(anchor: nil, every: interval, at: start + .seconds(3)) == .probe)
    }

    @Test func `a standby replica writes nothing`() {
        var heartbeat = ControllerHeartbeat()
        #expect(heartbeat.next(anchor: nil, every: interval, at: start) == .probe)
        // What a table without any heartbeat yet says.
        var fresh = ControllerHeartbeat()
        #expect(fresh.next(anchor: anchor(0), every: interval, at: start) == .probe)
    }

    @Test func `a failed one is tried again after a wait`() {
        var heartbeat = ControllerHeartbeat()
        #expect(heartbeat.next(anchor: anchor(1), every: interval, at: start) == .renew(anchor(1)))
        heartbeat.end(.renew(anchor(1)), failed: true, at: start)
        #expect(heartbeat.next(anchor: anchor(1), every: interval, at: start + .seconds(1)) == nil)
        #expect(heartbeat.next(anchor: anchor(1), every: interval, at: start + .seconds(2)) == .renew(anchor(1)))
    }
}

internal import CCurl
internal import Platform

/// Runs all transfers of the process on one thread of its own, which sleeps while there is nothing to do.
///
/// Started by its first use and never ended. Any thread may call it.
final class Engine: Sendable {
    /// The engine of this process, or why there is none.
    static let shared = Result { () throws(CurlError) in try Engine() }

    /// What waits for the thread. Each call is in `changed` at most once, so both are bounded by `living`.
    private struct Inbox {
        var new: [Call] = []
        var changed: [Call] = []
        /// Calls that have been started and have not ended.
        var living = 0
    }

    /// How many calls are under way at most: 64 claims in flight, and what else a controller does at the same time.
    static let callsMax = 1024

    private let multi: MultiHandle
    private let inbox = Locked(Inbox())

    private init() throws(CurlError) {
        multi = try MultiHandle()
        try EngineThread.start { [self] in run() }
    }

    /// Hands a call over. Its sink gets exactly one end, unless this throws.
    func start(_ call: Call) throws(HTTPError) {
        let isTaken = inbox.withLock { inbox in
            guard inbox.living < Self.callsMax else { return false }
            inbox.living += 1
            inbox.new.append(call)
            return true
        }
        guard isTaken else {
            throw HTTPError(
                call.request, isSent: false, reason: "\(Self.callsMax) requests are under way already",
                advice: "try again when some have ended")
        }
        multi.wakeUp()
    }

    /// Gives a call up, unless it has ended.
    func cancel(_ call: Call) {
        change(call) { $0.isCancelled = true }
    }

    /// Says that there is room for what the call's sink has put off.
    func resume(_ call: Call) {
        change(call) { $0.hasRoom = true }
    }

    private func change(_ call: Call, _ change: (inout Call.Orders) -> Void) {
        guard call.order(change) else { return }
        inbox.withLock { $0.changed.append(call) }
        multi.wakeUp()
    }

    // MARK: The thread

    private func run() {
        var turn = Turn(multi)
        while true {
            let (new, changed) = inbox.withLock { inbox in
                defer { (inbox.new, inbox.changed) = ([], []) }
                return (inbox.new, inbox.changed)
            }
            turn.start(new)
            turn.carryOut(changed)
            multi.perform()
            turn.endFinished()
            turn.endOverdue()
            let ended = turn.takeEnded()
            // Before the callers hear of it, so that who has an answer can be sure to start a call.
            inbox.withLock { $0.living -= ended.count }
            for (call, error) in ended { call.sink.end(error) }
            multi.wait(milliseconds: turn.waitMilliseconds())
        }
    }
}

internal import Election
internal import Platform

/// One elector with the board that its tables go to.
///
/// It keeps the order on which the protocol rests: a table is published before anything else comes of the step that
/// made it, so that no request can leave while admissions still act on what it gives up.
struct Incarnation {
    /// What is left to do after an event.
    struct Step {
        var notes: [Note] = []
        /// To be sent at once.
        var requests: [Request] = []
        /// The longest time until the next ``Event/tick``; nil: none is needed.
        var wakeAfter: Duration?
        var ending: Ending?
    }

    private var elector: Elector
    private let board: LeadershipBoard
    private let readClocks: @Sendable () -> Reading

    init(
        _ identity: Elector.Identity, timing: Timing, takeovers: Int, board: LeadershipBoard,
        readClocks: @escaping @Sendable () -> Reading = { .now() }
    ) {
        elector = Elector(identity: identity, timing: timing, takeovers: takeovers)
        self.board = board
        self.readClocks = readClocks
    }

    /// How many incarnations of this process took over from a live one; for the successor.
    var takeovers: Int { elector.takeovers }

    /// What is waited for, for people.
    func silentHolder() -> Elector.SilentHolder? { elector.silentHolder(at: readClocks()) }

    /// When each cluster last renewed, by its own wall clock, for people.
    var renewTimes: [String: String] { elector.renewTimes }

    /// Takes an event that was observed before this call, and all that follows from it on the board.
    mutating func take(_ event: Event) -> Step {
        var step = Step()
        var next: Event? = event
        while let event = next {
            // A reading for each: it is later than the event, and earlier than the requests that answer it.
            let output = elector.handle(event, at: readClocks())
            next = nil
            if let table = output.table {
                board.publish(table)
                next = .published
            }
            step.notes += output.notes
            step.requests += output.requests
            step.wakeAfter = output.wakeAfter
            step.ending = step.ending ?? output.ending
        }
        return step
    }
}

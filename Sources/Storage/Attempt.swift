private import Platform

/// How far one call of ``FileStore`` has come, so that it is answered once: by its work, or by the clock.
final class Attempt: Sendable {
    private enum State {
        /// Nothing has taken effect; the text says what the call is doing.
        case open(String)
        /// The write may have taken effect.
        case begun
        case answered
    }

    private let state: Locked<State>

    init(_ stage: String) {
        state = Locked(.open(stage))
    }

    /// Whether the call may still take effect; false once it was given up.
    var isOpen: Bool {
        state.withLock {
            if case .open = $0 { true } else { false }
        }
    }

    /// Notes what the call does now, as "... for 3 s".
    func reached(_ stage: String) {
        state.withLock {
            if case .open = $0 { $0 = .open(stage) }
        }
    }

    /// Goes past the point where nothing has taken effect.
    ///
    /// - Returns: false when the call was given up before; then nothing may take effect any more.
    func begin() -> Bool {
        state.withLock {
            guard case .open = $0 else { return false }
            $0 = .begun
            return true
        }
    }

    /// The work is done.
    ///
    /// - Returns: whether its result is the answer; false when the clock was first.
    func finish() -> Bool {
        state.withLock {
            if case .answered = $0 { return false }
            $0 = .answered
            return true
        }
    }

    /// The time is up.
    ///
    /// - Parameter limit: the time that the call had, as text.
    /// - Returns: the answer, or nil when the work was first.
    func expire(after limit: String) -> StoreError? {
        state.withLock {
            switch $0 {
            case .open(let stage):
                $0 = .answered
                return .failed("Gave up after \(limit), while \(stage).")
            case .begun:
                $0 = .answered
                return .unclear("The disk has not confirmed the write within \(limit); it may still take effect.")
            case .answered:
                return nil
            }
        }
    }
}

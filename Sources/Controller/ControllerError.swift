/// Why this cluster's part in the election cannot begin or go on.
package enum ControllerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// This cluster must not take part: the reason, and what to do.
    case refused(String)
    /// The run was cancelled before it had left; nothing is acted on any more, and its leases run out by themselves.
    case cancelled
    /// The state directory cannot be used: what was tried, what happened, what to do.
    case stateDirectory(String)

    package var description: String {
        switch self {
        case .refused(let text), .stateDirectory(let text): text
        case .cancelled: "the election was cancelled before this cluster had left it"
        }
    }
}

/// Why there is no answer. The texts say what was tried and what happened, without a secret.
package enum HTTPError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The server has certainly not acted on the request: it was never sent whole.
    case failed(String)
    /// The server may have acted on the request, or may still.
    case unclear(String)

    package var description: String {
        switch self {
        case .failed(let text), .unclear(let text): text
        }
    }
}

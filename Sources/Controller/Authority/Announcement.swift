internal import Election
internal import TLS

/// Since when, as far as this process has seen, everybody has been told to trust the next authority.
///
/// By this machine's own clocks, and without an interruption: what another replica wrote into the Secret at its time says
/// nothing about what the API server and the webhooks have read since.
struct Announcement {
    private var certificate: Certificate?
    private var since: Reading?

    /// - Parameter next: the one that is to sign.
    func hasLasted(_ limit: Duration, for next: Certificate?, at now: Reading) -> Bool {
        guard let since, let next, certificate == next else { return false }
        return now.elapsedForWait(since: since) >= limit
    }

    /// - Parameters:
    ///   - next: what the Secret of the authority announces; nil: nothing.
    ///   - isEverywhere: whether all that this process has just looked at tells of it already.
    mutating func note(_ next: Certificate?, isEverywhere: Bool, at now: Reading) {
        guard let next, isEverywhere else {
            (certificate, since) = (nil, nil)
            return
        }
        if certificate != next { (certificate, since) = (next, now) }
    }
}

internal import Election
internal import TLS

/// What a cluster's certificates are signed by: the authority of now, the next one while it is announced, and those before
/// that are still trusted. A value without I/O and clocks.
///
/// An authority has three ages. It is announced: trusted by everybody, while the one before signs. It signs, until two
/// thirds of its life are over and the next one has been announced for long enough. It is then only trusted, until nothing
/// that it has signed is valid any more.
struct Authority: Sendable {
    /// What has changed, for people.
    enum Step: Hashable, Sendable {
        /// The first one, or one in place of one that had ended; nobody was told before.
        case made
        case announced
        case promoted
        /// So many are not trusted any more.
        case dropped(Int)
    }

    /// So many are trusted at once at most; a wish for another one waits for the first to go.
    static let trustedMax = 8

    var signing: CertificateAuthority
    var next: CertificateAuthority?
    /// The newest first.
    var former: [Certificate]
    /// When ``signing`` began to sign, in microseconds since 1970; nil: not known.
    var signingSince: Int64?
    /// Somebody wants a new one, whatever the age of this.
    var isRotationAsked = false

    init(
        signing: CertificateAuthority, next: CertificateAuthority? = nil, former: [Certificate] = [],
        signingSince: Int64? = nil
    ) {
        self.signing = signing
        self.next = next
        self.former = former
        self.signingSince = signingSince
    }

    /// - Parameter now: microseconds since 1970, as everywhere here.
    init(madeAt now: Int64, _ lifetimes: CertificateLifetimes) throws(TLSError) {
        self.init(signing: try Self.make(at: now, lifetimes), signingSince: now)
    }

    /// Everyone who may have signed what is in use, or will soon; the signing one first.
    var trusted: [Certificate] { [signing.certificate] + [next?.certificate].compactMap(\.self) + former }

    func isTrusted(_ certificate: Certificate) -> Bool { trusted.contains(certificate) }

    /// A wish for a new authority has to wait until a former one is not trusted any more.
    var isFull: Bool { isRotationAsked && next == nil && trusted.count >= Self.trustedMax }

    /// Does what is due.
    ///
    /// - Parameter isAnnounced: whether everybody has been told to trust ``next`` for as long as
    ///   ``CertificateLifetimes/announcement`` says.
    mutating func advance(
        at now: Int64, isAnnounced: Bool, _ lifetimes: CertificateLifetimes
    ) throws(TLSError) -> [Step] {
        var steps: [Step] = []
        let hasEnded = signing.certificate.validity.notAfter <= now
        if next != nil, isAnnounced || hasEnded {
            promote(at: now)
            steps.append(.promoted)
        } else if hasEnded {
            // Nobody was there to announce another one in time, and what this one signed has ended with it.
            signing = try Self.make(at: now, lifetimes)
            (signingSince, isRotationAsked) = (now, false)
            steps.append(.made)
        } else if next == nil, isDue(at: now), !isFull {
            next = try Self.make(at: now, lifetimes)
            steps.append(.announced)
        }
        let dropped = dropFormer(at: now, lifetimes)
        if dropped > 0 { steps.append(.dropped(dropped)) }
        return steps
    }

    private func isDue(at now: Int64) -> Bool {
        isRotationAsked || now >= CertificateLifetimes.renewal(of: signing.certificate.validity)
    }

    private mutating func promote(at now: Int64) {
        guard let next else { preconditionFailure("only an announced authority is promoted") }
        former.insert(signing.certificate, at: 0)
        signing = next
        self.next = nil
        (signingSince, isRotationAsked) = (now, false)
    }

    /// What a former authority has signed lives a certificate's life at most after the promotion of the one after it. Not only
    /// certificates that are seen in Secrets count: a controller that is cut off may go on serving with its own.
    private mutating func dropFormer(at now: Int64, _ lifetimes: CertificateLifetimes) -> Int {
        guard !former.isEmpty else { return 0 }
        let since = signingSince ?? now
        signingSince = since
        let count = former.count
        let life = lifetimes.certificate + lifetimes.clockTolerance(of: lifetimes.certificate)
        former.removeAll { now >= since + life.inMicroseconds || $0.validity.notAfter <= now }
        return count - former.count
    }

    // Named by its time: people tell authorities apart by that, and programs by their key identifiers.
    private static func make(
        at now: Int64, _ lifetimes: CertificateLifetimes
    ) throws(TLSError) -> CertificateAuthority {
        try .make(
            commonName: "leasehold authority \(Timestamp.format(microseconds: now))",
            validity: lifetimes.validity(for: lifetimes.authority, at: now))
    }
}

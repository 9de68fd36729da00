internal import TLS

/// How long certificates live, and every other time that follows from that; so they keep their proportions when a life is
/// seconds rather than years.
package struct CertificateLifetimes: Hashable, Sendable {
    /// Ten years.
    package var authority = Duration.seconds(87_600 * 3600)
    /// Ninety days.
    package var certificate = Duration.seconds(2160 * 3600)

    package init() {}

    /// How long everybody has been told to trust a new authority before it signs anything.
    ///
    /// Ten minutes are enough for every reader that works: a kubelet copies a changed Secret within its synchronisation
    /// period of a minute or two, and the five minutes for which it keeps Secrets on clusters of thousands of nodes; a webhook
    /// reads its files each second. With short lives it is the third of a certificate's life that is left when its successor
    /// appears: a reader slower than that could not follow the certificates themselves.
    var announcement: Duration { min(.seconds(600), certificate / 3) }

    /// Between two looks: many in the time that is left for a renewal.
    var lookInterval: Duration { min(.seconds(10), certificate / 24) }

    /// How far the clocks of those who check a certificate may differ from the one of who made it.
    func clockTolerance(of life: Duration) -> Duration { min(.seconds(300), life / 20) }

    /// - Parameter now: microseconds since 1970.
    func validity(for life: Duration, at now: Int64) -> Validity {
        Validity(notBefore: now - clockTolerance(of: life).inMicroseconds, notAfter: now + life.inMicroseconds)
    }

    /// When two thirds of a life are over and the next one is due.
    static func renewal(of validity: Validity) -> Int64 {
        validity.notBefore + (validity.notAfter - validity.notBefore) / 3 * 2
    }

    /// Why these lives do not go together; nil: they do.
    package var problem: String? {
        // The last third of an authority's life must hold the announcement of the next one and whole lives of certificates.
        certificate * 3 <= authority
            ? nil : "an authority must live at least three times as long as the certificates that it signs"
    }
}

extension Duration {
    var inMicroseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }
}

private import Election
private import Platform

/// When a certificate may be used, in microseconds since 1970 by the wall clock; whole seconds once in a certificate.
package struct Validity: Equatable, Sendable {
    package var notBefore: Int64
    package var notAfter: Int64

    package init(notBefore: Int64, notAfter: Int64) {
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// From five minutes ago, since the clocks of those who check it differ, until `days` from now.
    package static func days(_ days: Int) -> Validity {
        let now = Reading.now().realtime / 1000
        return Validity(notBefore: now - 5 * 60 * 1_000_000, notAfter: now + Int64(days) * 86_400 * 1_000_000)
    }
}

package import Platform

/// What the keeper of the authority shows in `/metrics` and `/readyz`. Any thread may call it.
package final class AuthorityStatus: Sendable {
    /// The `certificate` label of the authority itself.
    static let authorityLabel = "authority"

    private struct State {
        /// Microseconds since 1970, by label.
        var expiries: [String: Int64] = [:]
        var issued: [String: Int] = [:]
        var trusted = 0
        var failures = 0
        /// Why the last look failed.
        var failure: String?
        /// Whether this process has had a certificate of its own.
        var hasCertificate = false
    }

    private let state = Locked(State())
    private let ownLabel: String

    /// - Parameter ownLabel: of the certificate without which this process cannot do its work.
    init(ownLabel: String) {
        self.ownLabel = ownLabel
    }

    func note(_ label: String, expiry: Int64, isNew: Bool) {
        state.withLock { state in
            state.expiries[label] = expiry
            if label == ownLabel { state.hasCertificate = true }
            if isNew { state.issued[label, default: 0] += 1 }
        }
    }

    func note(trusted: Int) { state.withLock { $0.trusted = trusted } }

    /// - Parameter failure: nil: the last look went well.
    func note(failure: String?) {
        state.withLock { state in
            state.failure = failure
            if failure != nil { state.failures += 1 }
        }
    }

    var hasCertificate: Bool { state.withLock { $0.hasCertificate } }

    package func checks() -> [ReadinessCheck] {
        let (has, failure) = state.withLock { ($0.hasCertificate, $0.failure) }
        // Later failures leave the certificates that there are, which metrics tell of: whoever is asked should go on answering.
        guard !has else { return [ReadinessCheck("authority", problem: nil)] }
        return [ReadinessCheck("authority", problem: failure ?? "the Secret with the authority has not been read yet")]
    }

    package func families() -> [MetricFamily] {
        state.withLock { state in
            [
                .certificateExpiry(
                    // This process' own is shown by who serves with it.
                    state.expiries.filter { $0.key != ownLabel }.sorted { $0.key < $1.key }
                        .map { (label: $0.key, microseconds: $0.value) }),
                MetricFamily(
                    "leasehold_certificates_issued_total", .counter,
                    help: "Certificates that this process has made from the authority in the Secret.",
                    state.issued.sorted { $0.key < $1.key }.map {
                        .init(Double($0.value), labels: [("certificate", $0.key)])
                    }),
                MetricFamily(
                    "leasehold_authorities_trusted", .gauge,
                    help: "Authorities that the API server, webhooks and controllers are told to trust now.",
                    [.init(Double(state.trusted))]),
                MetricFamily(
                    "leasehold_authority_failures_total", .counter,
                    help: "Looks at the Secrets of the authority that failed.", [.init(Double(state.failures))]),
            ]
        }
    }
}

extension MetricFamily {
    /// When certificates end; each part of a process shows its own, to be brought together by ``merged(_:)``.
    package static func certificateExpiry(_ certificates: [(label: String, microseconds: Int64)]) -> MetricFamily {
        MetricFamily(
            "leasehold_certificate_expiry_timestamp_seconds", .gauge,
            help: "When a certificate ends, in seconds since 1970.",
            certificates.map { .init(Double($0.microseconds) / 1e6, labels: [("certificate", $0.label)]) })
    }
}

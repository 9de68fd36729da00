internal import Controller
private import Election
internal import Platform
private import Synchronization
internal import TLS

/// The certificate that admissions are served with, kept fresh: self-made ones are made anew in time, and files are read
/// again when they change.
///
/// Any thread may ask for ``context`` and ``families()``; one owner calls ``refresh(_:)``.
final class ServingCertificate: Sendable {
    /// How often the age of a self-made certificate is looked at.
    private static let renewalInterval = Duration.seconds(3600)

    /// In metrics.
    private let label: String
    private let files: CertificateFiles
    private let selfMade: SelfMadeCertificates?
    private let renewalLooked: Locked<Reading>
    private let reloads = Atomic<Int>(0)
    private let failures = Atomic<Int>(0)

    /// - Parameter selfMade: exists already; nil: the files are somebody else's.
    init(_ label: String, files: CertificateFiles, selfMade: SelfMadeCertificates?) {
        self.label = label
        self.files = files
        self.selfMade = selfMade
        renewalLooked = Locked(.now())
    }

    var context: ServerContext { files.context }

    /// Looks at the files, and lets new connections use what is new in them. Reads files.
    func refresh(_ log: Log) {
        renew(log)
        switch files.reloadIfChanged() {
        case .unchanged: break
        case .reloaded:
            reloads.add(1, ordering: .relaxed)
            log.info("Serves new connections with new certificates", ["serial": files.context.certificate.serialNumber])
        case .failed(let error):
            failures.add(1, ordering: .relaxed)
            log.error("The new certificate files cannot be used, so the old ones stay in use: \(error)")
        }
    }

    private func renew(_ log: Log) {
        let now = Reading.now()
        let isDue = renewalLooked.withLock { looked in
            guard now.elapsedForWait(since: looked) >= Self.renewalInterval else { return false }
            looked = now
            return true
        }
        guard isDue, let selfMade else { return }
        do {
            _ = try selfMade.ensure()
        } catch {
            failures.add(1, ordering: .relaxed)
            log.error("The serving certificate could not be made anew; the old one stays in use: \(error)")
        }
    }

    func families() -> [MetricFamily] {
        [
            .certificateExpiry(files.isAwaited ? [] : [(label, files.context.certificate.validity.notAfter)]),
            MetricFamily(
                "leasehold_certificate_reloads_total", .counter, help: "Changes of the certificate files, by outcome.",
                [
                    .init(Double(reloads.load(ordering: .relaxed)), labels: [("outcome", "reloaded")]),
                    .init(Double(failures.load(ordering: .relaxed)), labels: [("outcome", "failed")]),
                ]),
        ]
    }
}

internal import Election
private import FoundationEssentials
package import Kubernetes
package import Platform

/// Keeps the authorities in a ValidatingWebhookConfiguration to those of this webhook's certificate, whoever changes them.
///
/// The API server calls no webhook whose certificate it does not trust, and with `failurePolicy: Fail` it then refuses the
/// write: a wrong bundle is a denial, never an admission.
package struct WebhookConfigurationKeeper: Sendable {
    private let client: KubernetesClient
    private let name: String
    private let interval: Duration
    private let authorities: @Sendable () throws -> [UInt8]
    private let log: Log

    /// - Parameters:
    ///   - interval: between two looks. A look that finds everything right costs no write.
    ///   - authorities: PEM, as of now.
    package init(
        _ name: String, client: KubernetesClient, log: Log, interval: Duration = .seconds(10),
        authorities: @escaping @Sendable () throws -> [UInt8]
    ) {
        self.name = name
        self.interval = interval
        self.client = client
        self.log = log
        self.authorities = authorities
    }

    /// Looks after it until its task is cancelled.
    package func run() async {
        var failures = RepeatedFailures(log)
        while !Task.isCancelled {
            do {
                _ = try await look()
            } catch let error as KubernetesError where error.code == .notFound {
                if failures.isFirst("not found", at: .now()) {
                    log.info(
                        "There is no ValidatingWebhookConfiguration \(name) yet: nothing is guarded in this cluster")
                }
            } catch {
                failures.failed("\(name)", "Cannot keep the caBundle of \(name), and tries again: \(error)", at: .now())
            }
            failures.advance(at: .now())
            // Interrupted only at the end.
            try? await Task.sleep(for: interval, clock: .continuous)
        }
    }

    /// Looks once, and mends what is wrong.
    ///
    /// - Returns: whether everything was right already.
    func look() async throws -> Bool {
        let configuration = try await client.read(WebhookConfigurationObject.self, name)
        let steps = configuration.patch(authorities: try authorities())
        guard !steps.isEmpty else { return true }
        _ = try await client.patch(WebhookConfigurationObject.self, name, json: steps)
        log.info("Wrote the authority of this webhook's certificate into the ValidatingWebhookConfiguration \(name)")
        return false
    }
}

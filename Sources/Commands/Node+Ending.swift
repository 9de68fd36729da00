private import Kubernetes
internal import Platform
internal import Webhook

/// How a process that serves admissions ends, while API servers still come to it: those who lead them here, endpoints and
/// proxies, hear of the end when it does, and act on it later.
extension Node {
    /// Takes a signal that asks for the end.
    func beginToEnd(by signal: Signals.Signal, _ admissions: Server?) {
        // By SIGINT a person waits for the end, and nobody else had been led here by anything that is told of it.
        let delay = signal == .terminate ? shutdownDelay : .zero
        servesUntil.withLock { $0 = .now + delay }
        guard let admissions else { return }
        admissions.announceEnd()
        if delay > .zero {
            log.info(
                "Ends by a signal: serves on for \(DurationText.format(delay)), until whoever comes is led elsewhere")
        } else if controller == nil {
            log.info("Ends by a signal: answers what has begun")
        }
    }

    /// Waits, serving, until nobody new should be led here any more.
    func serveOn() async {
        guard let end = servesUntil.withLock({ $0 }) else { return }
        // Interrupted by nothing: a second signal ends the process.
        try? await Task.sleep(until: end, clock: .continuous)
    }

    /// How long it serves on after it was told to end.
    var shutdownDelay: Duration {
        guard let webhook else { return .zero }
        return webhook.options.shutdownDelay
            ?? (KubernetesCredentials.isInCluster(environment: console.environment)
                ? WebhookOptions.shutdownDelayOfPods : .zero)
    }

    /// That it is not about to end; for controllers their election says so.
    func endingChecks() -> [ReadinessCheck] {
        guard webhook != nil else { return [] }
        let isEnding = servesUntil.withLock { $0 } != nil
        return [ReadinessCheck("goes on serving", problem: isEnding ? "it was told to end" : nil)]
    }
}

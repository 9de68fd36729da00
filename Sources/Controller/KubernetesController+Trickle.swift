internal import Election
internal import Kubernetes
internal import Storage

// What is written little by little, whatever the number of namespaces.
extension KubernetesController {
    /// Status refreshes and Events a second, at most.
    private static let tricklePerSecond = 5
    /// The least age of a status that is refreshed, in trickle order.
    private static let refreshInterval = Duration.seconds(10)

    /// A few Events and refreshed statuses a second, whatever the number of namespaces.
    func trickle() {
        guard let store else { return }
        var tokens = Self.tricklePerSecond
        while tokens > 0, let event = events.next() {
            // A namespace that goes takes no Event any more.
            guard desk.places[event.namespace]?.isTerminating == false else { continue }
            tokens -= 1
            start(event)
        }
        let now = ContinuousClock.now
        if ring.isEmpty, ringMade.map({ now - $0 >= Self.refreshInterval }) ?? true {
            ring = desk.places.keys.sorted(by: >)
            ringMade = now
        }
        let report = report()
        while tokens > 0, choresUnderWay < Self.choresMax, let namespace = ring.popLast() {
            guard let chore = desk.chore(for: namespace, by: report, at: now, refreshing: true) else { continue }
            tokens -= 1
            start(chore, namespace, store)
        }
    }

    private func start(_ entry: EventQueue.Entry) {
        let object = EventQueue.object(entry, about: desk.places[entry.namespace]?.lease, leaseName: options.leaseName)
        write { controller in
            do throws(KubernetesError) {
                _ = try await controller.client.create(object)
                controller.kubernetesStatus.noteWrite("event", problem: nil, isEssential: false)
            } catch {
                await controller.noteEventFailure(error, namespace: entry.namespace)
            }
        }
    }

    private func noteEventFailure(_ error: KubernetesError, namespace: String) {
        kubernetesStatus.noteWrite("event", problem: error, isEssential: false)
        // Not tried again: an Event is a courtesy, and the log says the same.
        failures.failed("event \(error.code)", "An Event in \(namespace) is lost: \(error)", at: .now())
    }

    // MARK: - The controller's own Lease

    func beat() {
        let table = board.table()
        let isActive = status.phase == .takingPart
        guard let beat = heartbeat.next(anchor: isActive ? table.anchor : nil, every: timing.renewInterval, at: .now)
        else { return }
        write { [options, heartbeat] controller in
            let error = await heartbeat.perform(beat, options, controller.client)
            await controller.endBeat(beat, error)
        }
    }

    private func endBeat(_ beat: ControllerHeartbeat.Beat, _ error: KubernetesError?) {
        heartbeat.end(beat, failed: error != nil, at: .now)
        let hasRecovered =
            if case .renew = beat { kubernetesStatus.noteWrite("heartbeat", problem: error) } else { false }
        if hasRecovered {
            failures.succeeded("heartbeat ")
            log.info(
                "Renews the controller's own Lease \(ControllerHeartbeat.name) in \(options.systemNamespace) again")
        }
        guard let error else { return }
        failures.failed(
            "heartbeat \(error.code)",
            "The controller's own Lease \(ControllerHeartbeat.name) in \(options.systemNamespace) cannot be "
                + "\(beat == .probe ? "read" : "renewed"): \(error)", at: .now())
    }
}

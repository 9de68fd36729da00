internal import Kubernetes

/// A planned handover for whoever may edit Lease objects and has no access to the store: the cluster's controller carries the
/// annotation out. Asked for in all namespaces first, then followed in all.
struct ClusterTransfer {
    private static let pollInterval = Duration.milliseconds(500)

    let client: KubernetesClient
    let leaseName: String
    /// A valid ``RecordName``; nil: the wish is taken back.
    let target: String?
    /// How long to wait for the next namespace.
    let timeout: Duration
    /// Whether the namespaces were selected, not named: those without a Lease object are left alone.
    let isSelection: Bool
    let console: Console

    private struct Pending {
        let namespace: String
        /// Why it is not done yet, as a sentence.
        var missing: String
    }

    /// - Returns: ``TransferCommand``'s exit code.
    /// - Throws: ``CommandFailure`` when none could be asked for.
    func run(_ namespaces: [String]) async throws -> Int32 {
        let start = ContinuousClock.now
        var pending: [Pending] = []
        var refusals: [String] = []
        var namespaces = namespaces
        for namespace in namespaces {
            do throws(KubernetesError) {
                pending.append(try await ask(namespace))
            } catch  where isSelection && error.code == .notFound {
                namespaces.removeAll { $0 == namespace }
            } catch {
                refusals.append("\(namespace): the handover cannot be asked for: \(error)")
            }
        }
        if namespaces.isEmpty {
            throw CommandFailure("no namespace that was selected has a Lease object: check --selector")
        }
        if pending.isEmpty { throw CommandFailure(refusals.joined(separator: "\n")) }
        for refusal in refusals { say(refusal) }

        var done = 0
        var progress = ContinuousClock.now
        while !pending.isEmpty {
            var rest: [Pending] = []
            for var one in pending {
                do throws(KubernetesError) {
                    if let line = try await follow(&one) {
                        done += 1
                        progress = .now
                        let time = Transfer.seconds(.now - start)
                        if namespaces.count == 1 { console.out("\(line) after \(time)\n") } else { say(line) }
                        continue
                    }
                } catch {
                    // May pass; the wait is bounded anyhow.
                    one.missing = "its Lease object cannot be read: \(error)"
                }
                rest.append(one)
            }
            pending = rest
            if ContinuousClock.now - progress >= timeout { break }
            if !pending.isEmpty { try await Task.sleep(for: Self.pollInterval) }
        }
        for one in pending {
            say("\(one.namespace): not done after \(Transfer.seconds(timeout)): \(one.missing)")
        }
        if namespaces.count > 1 {
            console.out(TransferCommand.sum(done, of: namespaces.count, to: target))
        }
        return done == namespaces.count ? ExitCode.done : TransferCommand.notDone
    }

    private func ask(_ namespace: String) async throws(KubernetesError) -> Pending {
        // Names of clusters need no escapes.
        let patch = #"{"metadata":{"annotations":{"\#(LeaseObject.transferAnnotation)":"\#(target ?? "")"}}}"#
        _ = try await client.patch(LeaseObject.self, leaseName, namespace: namespace, merge: Array(patch.utf8))
        return Pending(namespace: namespace, missing: "")
    }

    /// - Returns: what has come of it, once it is done.
    private func follow(_ pending: inout Pending) async throws(KubernetesError) -> String? {
        let namespace = pending.namespace
        let lease = try await client.read(LeaseObject.self, leaseName, namespace: namespace)
        if lease.metadata.annotations?[LeaseObject.transferAnnotation] != nil {
            pending.missing =
                "no active controller of this cluster has taken the request up, see leasehold status. It stays, as the "
                + "annotation \(LeaseObject.transferAnnotation)"
            return nil
        }
        guard let target else { return "\(namespace) prefers no cluster any more" }
        let holder = lease.status?.observedHolderIdentity ?? ""
        if holder == target { return "\(target) leads \(namespace) (term \(lease.status?.term ?? 0))" }
        pending.missing =
            "asked for, and \(holder.isEmpty ? "nobody" : holder) leads it as yet: \(target) must be live and compete for it, "
            + "see leasehold status. The wish stays until it is fulfilled or cleared with --clear"
        return nil
    }

    private func say(_ line: String) { console.err("\(TextTable.printable(line))\n") }
}

private import FoundationEssentials
private import Platform
internal import Support

/// A real API server for one of the clusters; it has all of the namespaces. Its watches end every half minute or so.
struct ChaosAPIServer: Sendable {
    private let plane: ControlPlane
    private let kubeconfig: String

    init() async throws {
        let plane = try await ControlPlane.start(
            ChaosSettings.clusters[0], serverArguments: ["--min-request-timeout=20"])
        self.plane = plane
        // Nobody asks the webhook by way of the API server.
        try await plane.installLeasehold(servingAt: FreePort.any())
        kubeconfig = try await plane.leaseholdAccount()
        for namespace in ChaosSettings.namespaces { try await plane.run("create", "namespace", namespace) }
    }

    /// Of a controller.
    var arguments: [String] { ["--kubeconfig", kubeconfig] }
    var environment: [String: String] {
        // For kubectl, by which the kubeconfig is read.
        ["HOME": plane.directory.path, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""]
    }

    func fail(isKilled: Bool, for length: Duration) async throws {
        if isKilled { await plane.killServer() } else { plane.freezeServer() }
        try? await Task.sleep(for: length, clock: .continuous)
        if isKilled { try await plane.startServer() } else { plane.thawServer() }
    }
}

package import Election

/// What takes part in the election for a process: a ``Candidate`` alone, or a ``KubernetesController`` around it.
package protocol Contender: Sendable {
    /// Takes part until ``leave(_:)`` was called and is done. To be called once.
    func run() async throws(ControllerError)
    /// Has ``run()`` end in good order; a later call overrides an earlier one. Any thread may call it.
    func leave(_ farewell: Farewell)
}

extension Candidate: Contender {}

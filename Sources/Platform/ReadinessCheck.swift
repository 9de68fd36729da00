/// One line of `/readyz`: what is looked at, and what is wrong with it.
package struct ReadinessCheck: Hashable, Sendable {
    package let name: String
    /// nil: nothing is wrong.
    package let problem: String?

    package init(_ name: String, problem: String?) {
        self.name = name
        self.problem = problem
    }
}

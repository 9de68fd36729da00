internal import Controller

/// The flag that says where this machine keeps what must outlive a run.
struct StateOptions {
    var directory: String?

    static func flag<Options>(at path: WritableKeyPath<Options, StateOptions>) -> Flag<Options> {
        Flag(
            "state-directory", path.appending(path: \.directory), .directory,
            "What this machine keeps between runs: the default store, and each cluster's uid and certificates.",
            defaultText: "$XDG_STATE_HOME/leasehold, else ~/.local/state/leasehold")
    }

    /// A cluster's part of the state directory, made where it does not exist: only where something is to be kept, as there may
    /// be no disk to keep it on.
    ///
    /// - Throws: ``UsageError`` when nothing names the directory, or why it cannot be used.
    func open(_ environment: [String: String], cluster: String) throws -> StateDirectory {
        try StateDirectory(path(environment), cluster: cluster)
    }

    /// The state directory, whether it exists or not.
    ///
    /// - Throws: ``UsageError`` when neither a flag nor the environment names one.
    func path(_ environment: [String: String]) throws(UsageError) -> String {
        if let directory { return directory }
        do {
            return try StateDirectory.defaultPath(environment: environment)
        } catch {
            throw UsageError("--state-directory got nothing: \(error)")
        }
    }
}

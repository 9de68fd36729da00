internal import Storage
private import Glibc

/// The flags that say where the records are.
struct StoreOptions {
    /// nil: the file store under the state directory.
    var url: String?
    var stateDirectory: String?
    var timeout = Duration.seconds(3)

    /// - Throws: ``CommandFailure`` when the store cannot be used.
    func open() throws -> any LeaseStore {
        do {
            return try FileStore(url ?? "", timeout: timeout)
        } catch {
            throw CommandFailure("\(error.reason)")
        }
    }

    static func flags<Options>(at path: WritableKeyPath<Options, StoreOptions>) -> [Flag<Options>] {
        [
            Flag(
                "store", path.appending(path: \.url), .text("URL", allowed: "file:///DIRECTORY"),
                "Where the lease records are: file:///DIRECTORY, on a local disk.",
                defaultText: "the directory store in the state directory, which all clusters of this user share"),
            Flag(
                "state-directory", path.appending(path: \.stateDirectory), .directory,
                "What this machine keeps between runs: the default store, and for each cluster its uid and certificates.",
                defaultText: "$XDG_STATE_HOME/leasehold, else ~/.local/state/leasehold"),
            Flag(
                "store-timeout", path.appending(path: \.timeout), .duration(.milliseconds(10)...(.seconds(3600))),
                "After which a store request counts as unanswered."),
        ]
    }
}

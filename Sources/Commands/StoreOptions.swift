internal import Controller
internal import Storage

/// The flags that say where the records are.
struct StoreOptions {
    /// nil: ``defaultDirectory`` in the state directory.
    var address: StoreAddress?
    var stateDirectory: String?
    /// nil: ``timeoutDefault``, or less where something else bounds it.
    var timeout: Duration?
    static let timeoutDefault = Duration.seconds(3)

    /// Shared by all clusters that one user runs on one machine, so that they meet without a flag.
    static let defaultDirectory = "store"

    static func flags<Options>(at path: WritableKeyPath<Options, StoreOptions>) -> [Flag<Options>] {
        [
            Flag(
                "store", path.appending(path: \.address), .storeAddress,
                "Where the lease records are, on a disk of this machine.",
                defaultText: "\(defaultDirectory) in the state directory, where all clusters of this user meet"),
            Flag(
                "state-directory", path.appending(path: \.stateDirectory), .directory,
                "What this machine keeps between runs: the default store, and each cluster's uid and certificates.",
                defaultText: "$XDG_STATE_HOME/leasehold, else ~/.local/state/leasehold"),
            Flag(
                "store-timeout", path.appending(path: \.timeout), .duration(.milliseconds(10)...(.seconds(3600))),
                "After which a store request counts as unanswered.",
                defaultText: "\(DurationText.format(timeoutDefault)), at most the renew interval"),
        ]
    }

    /// Whether the store was named, so that it is not this machine's default.
    var isNamed: Bool { address != nil }

    /// The state directory, whether it exists or not.
    ///
    /// - Throws: ``UsageError`` when neither a flag nor the environment names one.
    func stateDirectory(_ environment: [String: String]) throws(UsageError) -> String {
        if let stateDirectory { return stateDirectory }
        do {
            return try StateDirectory.defaultPath(environment: environment)
        } catch {
            throw UsageError("--state-directory got nothing: \(error)")
        }
    }

    /// Where the records are.
    func resolvedAddress(_ environment: [String: String]) throws -> StoreAddress {
        if let address { return address }
        return try StoreAddress("file:\(try stateDirectory(environment))/\(Self.defaultDirectory)")
    }

    /// Opens a store that somebody else keeps.
    ///
    /// - Throws: ``UsageError``, or ``CommandFailure`` when the store cannot be used.
    func open(_ environment: [String: String]) async throws -> any LeaseStore {
        let address = try resolvedAddress(environment)
        do {
            return try await address.open(
                timeout: timeout ?? Self.timeoutDefault, creating: false, access: StoreAccess(environment: environment))
        } catch {
            throw CommandFailure("the store \(address) cannot be opened: \(error.reason)")
        }
    }
}

extension ValueType where Value == StoreAddress {
    static var storeAddress: ValueType {
        ValueType(
            placeholder: "URL", allowed: StoreAddress.forms, range: nil, parse: { try? StoreAddress($0) },
            format: { $0.description })
    }
}

extension StoreError {
    /// What happened, for people.
    var reason: String {
        switch self {
        case .conflict: "somebody else wrote the object at the same time"
        case .failed(let reason): reason
        case .unclear(let reason): "the outcome is not known: \(reason)"
        }
    }
}

internal import Controller
internal import Storage

/// The flags that say where the records are.
struct StoreOptions {
    /// nil: ``bucket``, else ``defaultDirectory`` in the state directory.
    var address: StoreAddress?
    /// A whole bucket of Google Cloud Storage, instead of ``address``.
    var bucket: StoreAddress?
    var projectID: String?
    var allowedTokenURLs: [String] = []
    var state = StateOptions()
    /// nil: ``timeoutDefault``, or less where something else bounds it.
    var timeout: Duration?
    static let timeoutDefault = Duration.seconds(3)

    /// Shared by all clusters that one user runs on one machine, so that they meet without a flag.
    static let defaultDirectory = "store"

    static func flags<Options>(at path: WritableKeyPath<Options, StoreOptions>) -> [Flag<Options>] {
        [
            Flag(
                "store", path.appending(path: \.address), .storeAddress,
                "Where the lease records are: in a bucket of Google Cloud Storage, or on a disk of this machine.",
                defaultText: "\(defaultDirectory) in the state directory, where all clusters of this user meet"),
            Flag(
                "lease-storage-bucket", path.appending(path: \.bucket), .bucket,
                "The same as --store gs://BUCKET.", defaultText: "none"),
            Flag(
                "project-id", path.appending(path: \.projectID), .projectID,
                "Who pays for requests to a bucket that lets its users pay.", defaultText: "the bucket's project"),
            Flag(
                "allowed-token-url", each: path.appending(path: \.allowedTokenURLs), .tokenURL,
                "Where a credential file may get its tokens, beside googleapis.com: a URL, or only its scheme, host and port."
            ),
            StateOptions.flag(at: path.appending(path: \.state)),
            Flag(
                "store-timeout", path.appending(path: \.timeout), .duration(.milliseconds(10)...(.seconds(3600))),
                "After which a store request counts as unanswered.",
                defaultText: "\(DurationText.format(timeoutDefault)), at most the renew interval"),
        ]
    }

    /// Whether the store was named, so that it is not this machine's default.
    var isNamed: Bool { (address ?? bucket) != nil }

    /// The shortest renew interval that the store takes.
    var renewIntervalMin: Duration { (address ?? bucket)?.renewIntervalMin ?? .zero }

    /// What opening the store needs to know beside its address.
    ///
    /// - Parameter warn: takes what is better changed, a sentence each.
    func access(
        _ environment: [String: String], warn: @escaping @Sendable (String) -> Void = { _ in }
    ) -> StoreAccess {
        StoreAccess(
            environment: environment, projectID: projectID, allowedTokenURLs: allowedTokenURLs, warn: warn)
    }

    /// Where the records are.
    ///
    /// - Throws: ``UsageError`` when two flags say it, or nothing does.
    func resolvedAddress(_ environment: [String: String]) throws -> StoreAddress {
        if let address, let bucket {
            throw UsageError(
                "--store \(address) and --lease-storage-bucket for \(bucket) were both given; allowed: one")
        }
        if let address = address ?? bucket { return address }
        return try StoreAddress("file:\(try state.path(environment))/\(Self.defaultDirectory)")
    }

    /// Opens a store that somebody else keeps.
    ///
    /// - Throws: ``UsageError``, or ``CommandFailure`` when the store cannot be used.
    func open(_ environment: [String: String]) async throws -> any LeaseStore {
        let address = try resolvedAddress(environment)
        do {
            return try await address.open(
                timeout: timeout ?? Self.timeoutDefault, creating: false, access: access(environment))
        } catch {
            throw CommandFailure(
                "the store \(address) cannot be opened: \(error.reason)"
                    + (isNamed ? "" : " Name the store that the clusters share: --store gs://BUCKET."))
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

extension ValueType where Value == StoreAddress {
    static var bucket: ValueType {
        ValueType(
            placeholder: "BUCKET", allowed: "the name of a bucket of Google Cloud Storage", range: nil,
            parse: { $0.contains("/") ? nil : try? StoreAddress("gs://\($0)") }, format: { $0.description })
    }
}

extension ValueType where Value == String {
    static var projectID: ValueType {
        ValueType(
            placeholder: "PROJECT", allowed: "a project's id or number, of a-z 0-9 - . :", range: nil,
            parse: { text in
                let isID =
                    !text.isEmpty
                    && text.utf8.allSatisfy { byte in
                        switch byte {
                        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                        // The domain of old projects comes before a colon.
                        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: ":"): true
                        default: false
                        }
                    }
                return isID ? text : nil
            }, format: { $0 })
    }

    static var tokenURL: ValueType {
        ValueType(
            placeholder: "URL", allowed: "an absolute URL of https or http", range: nil,
            parse: { StoreAccess.isTokenURL($0) ? $0 : nil }, format: { $0 })
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

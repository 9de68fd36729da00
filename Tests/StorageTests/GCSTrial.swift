import HTTP
import Support
import Testing

@testable import Storage

/// A store in a bucket of an emulator, and what was sent to it.
struct GCSTrial {
    static let bucket = "trial-bucket"
    static let prefix = "some/prefix/"
    static let lease = ObjectName(.leases, "team-a")!
    /// For calls that must have time enough.
    static let long = Duration.seconds(60)
    /// For calls that are to run out of it.
    static let short = Duration.seconds(1)

    let emulator: GCSEmulator
    let store: GCSStore

    init(timeout: Duration = long, tokens: GoogleTokens? = nil, projectID: String? = nil) throws {
        emulator = try GCSEmulator(bucket: Self.bucket)
        store = Self.store(emulator, timeout: timeout, tokens: tokens, projectID: projectID)
    }

    static func store(
        _ emulator: GCSEmulator, timeout: Duration, tokens: GoogleTokens? = nil, projectID: String? = nil
    ) -> GCSStore {
        GCSStore(
            client: GCSClient(
                bucket: bucket, base: emulator.url, http: HTTPClient(), tokens: tokens, projectID: projectID),
            prefix: prefix, timeout: timeout)
    }

    static func key(_ name: ObjectName) -> String { "\(prefix)\(name)" }

    func body(of name: ObjectName) -> [UInt8]? { emulator.body(of: Self.key(name), in: Self.bucket) }

    func put(_ body: [UInt8], at name: ObjectName, metadata: [String: String]? = nil) {
        emulator.put(body, at: Self.key(name), in: Self.bucket, metadata: metadata)
    }

    func requests(_ kind: GCSRequest.Kind, since mark: Int = 0) -> [GCSRequest] {
        emulator.requests(since: mark).filter { $0.kind == kind }
    }
}

/// How a call ended, without the words.
enum Ending: Equatable {
    case done
    case conflict
    case failed
    case unclear

    static func of(_ call: () async throws(StoreError) -> some Any) async -> (Ending, text: String) {
        do throws(StoreError) {
            _ = try await call()
            return (.done, "")
        } catch {
            switch error {
            case .conflict: return (.conflict, "")
            case .failed(let text): return (.failed, text)
            case .unclear(let text): return (.unclear, text)
            }
        }
    }
}

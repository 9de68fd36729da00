internal import Platform

/// Google Cloud Storage as far as the product uses it: the JSON API on 127.0.0.1, with faults on demand.
///
/// Objects live in memory. Generations, preconditions, paging, errors and headers are those of the real service. Point
/// a client at it with `STORAGE_EMULATOR_HOST`. Any thread may call it.
package final class GCSEmulator: Sendable {
    package struct BucketSettings: Sendable {
        package var locationType = "region"
        package var retentionSeconds: Int?
        package var isVersioned = false
        /// The real service's default is seven days.
        package var softDeleteSeconds: Int?
        package var requesterPays = false
        package var deletesByAge = false
        /// The service may answer with fewer items than were asked for.
        package var pageSizeMax = 1000

        package init() {}
    }

    struct State {
        var buckets: [String: GCSBucket] = [:]
        var lastGeneration: Int64 = 0
        var tokens: Set<String>?
        var limitsMutations = false
        var faults: [GCSFault] = []
        var faultsEver = 0
        var log: [GCSRequest] = []
        /// Requests that are no longer in the log.
        var forgotten = 0
        var watch: (@Sendable (_ request: GCSRequest, _ body: [UInt8]) -> Void)?
        var waiters: [(matches: @Sendable (GCSRequest) -> Bool, resume: @Sendable (GCSRequest) -> Void)] = []
    }

    /// The older half is forgotten beyond this.
    static let logMax = 200_000

    let state = Locked(State())
    private let server: LoopbackServer

    /// - Parameters:
    ///   - port: 0: any that is free.
    ///   - bucket: the name of one that is there at the start.
    package convenience init(port: UInt16 = 0, bucket: String) throws {
        try self.init(port: port)
        makeBucket(bucket)
    }

    package init(port: UInt16 = 0) throws {
        let service = GCSService(state: state)
        server = try LoopbackServer(port: port) { service.reply(to: $0, isStopped: $1) }
    }

    /// What `STORAGE_EMULATOR_HOST` is to be.
    package var url: String { server.url }

    /// The same for one client, whose requests the log then tells from others'.
    package func url(for client: String) -> String { "\(server.url)/client/\(client)" }

    package var port: UInt16 { server.port }

    package func stop() { server.stop() }

    /// Whether connections are refused, and those that were open are closed.
    package var isDown: Bool {
        get { server.isDown }
        set { server.isDown = newValue }
    }

    /// Whether writing an object twice within a second is answered with 429, as the real service may.
    package var limitsMutations: Bool {
        get { state.withLock { $0.limitsMutations } }
        set { state.withLock { $0.limitsMutations = newValue } }
    }

    /// The tokens that are let in; nil: anybody is.
    package var tokens: Set<String>? {
        get { state.withLock { $0.tokens } }
        set { state.withLock { $0.tokens = newValue } }
    }

    // MARK: - Behind the clients' backs

    package func makeBucket(_ name: String, _ settings: BucketSettings = BucketSettings()) {
        state.withLock { $0.buckets[name, default: GCSBucket()].settings = settings }
    }

    package func deleteBucket(_ name: String) {
        state.withLock { $0.buckets[name] = nil }
    }

    package func names(in bucket: String) -> [String] {
        state.withLock { $0.buckets[bucket]?.names ?? [] }
    }

    package func body(of name: String, in bucket: String) -> [UInt8]? {
        state.withLock { $0.buckets[bucket]?.objects[name]?.body }
    }

    package func metadata(of name: String, in bucket: String) -> [String: String]? {
        state.withLock { $0.buckets[bucket]?.objects[name]?.attributes.metadata }
    }

    package func cacheControl(of name: String, in bucket: String) -> String? {
        state.withLock { $0.buckets[bucket]?.objects[name]?.attributes.cacheControl }
    }

    /// Tells of every write that takes effect, and of the object's new content.
    ///
    /// - Parameter watch: called before the client is answered, with the emulator's lock held: it must be quick, and ask
    ///   the emulator nothing.
    package func watchWrites(_ watch: @escaping @Sendable (_ request: GCSRequest, _ body: [UInt8]) -> Void) {
        state.withLock { $0.watch = watch }
    }

    /// Writes an object as `gcloud storage cp` would, without the metadata that the product adds.
    package func put(
        _ body: [UInt8], at name: String, in bucket: String, metadata: [String: String]? = nil
    ) {
        state.withLock { state in
            let generation = state.nextGeneration()
            state.buckets[bucket]?.put(
                GCSObject(
                    body: body, generation: generation, attributes: GCSAttributes(metadata: metadata)), at: name)
        }
    }

    package func delete(_ name: String, in bucket: String) {
        state.withLock { $0.buckets[bucket]?.remove(name) }
    }
}

extension GCSEmulator.State {
    /// Microseconds of time, as the real service's, but never twice the same.
    mutating func nextGeneration() -> Int64 {
        lastGeneration = max(lastGeneration + 1, GCSObject.microsecondsNow())
        return lastGeneration
    }
}

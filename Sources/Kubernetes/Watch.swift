private import FoundationEssentials
internal import HTTP

extension KubernetesClient {
    /// Lists and then watches for ever: paging, bookmarks, resuming, listing again on 410, back-off with jitter.
    ///
    /// - Parameter namespace: nil: all namespaces.
    package func watch<Object: APIObject>(
        _ type: Object.Type, namespace: String? = nil, labelSelector: String? = nil
    ) -> Watch<Object> {
        Watch(client: self, namespace: namespace, labelSelector: labelSelector)
    }
}

/// Lists and then watches for as long as it is iterated, and ends when the task that iterates is cancelled.
///
/// All work is done by that task, between two events: nothing is queued, and a slow consumer makes the server wait. An
/// object that does not decode is logged and passed over: its last good state stays, until the next list leaves it out.
package struct Watch<Object: APIObject>: AsyncSequence, Sendable {
    package typealias Element = WatchEvent<Object>
    package typealias Failure = Never

    let client: KubernetesClient
    let namespace: String?
    let labelSelector: String?

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

    package struct AsyncIterator: AsyncIteratorProtocol, Sendable {
        private enum Phase {
            /// The state is not known, or too old.
            case listing
            /// The state is known up to ``resourceVersion``.
            case opening
            case reading(HTTPStream, since: ContinuousClock.Instant)
        }

        private let watch: Watch<Object>
        private var phase = Phase.listing
        private var resourceVersion = ""
        /// Whether ``resourceVersion`` is a list's own: then it cannot have expired while nobody looked.
        private var isFresh = false
        private var lines = LineSplitter(bytesMax: watchLineBytesMax)
        private var backoff = Backoff()
        private var pause: Duration?
        /// What has been told of the present trouble; empty: there is none.
        private var causes: Set<String> = []

        fileprivate init(_ watch: Watch<Object>) {
            self.watch = watch
        }

        package mutating func next() async -> WatchEvent<Object>? {
            while !Task.isCancelled {
                if let pause {
                    self.pause = nil
                    await watch.client.sleep(pause)
                    continue
                }
                do throws(KubernetesError) {
                    if let event = try await step() { return event }
                } catch {
                    if !Task.isCancelled, let event = fail(error) { return event }
                }
            }
            // Drops a stream, and with it its connection.
            phase = .listing
            return nil
        }

        package mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(Never) -> WatchEvent<Object>? {
            await next()
        }

        /// Goes on by one step; nil: nothing to tell yet.
        private mutating func step() async throws(KubernetesError) -> WatchEvent<Object>? {
            switch phase {
            case .listing:
                let list: ObjectList<Object> = try await watch.client.wholeList(
                    namespace: watch.namespace, labelSelector: watch.labelSelector)
                (resourceVersion, isFresh, phase) = (list.resourceVersion, true, .opening)
                return .listed(list.objects)
            case .opening:
                let stream = try await watch.client.connection.stream(call(), idleTimeout: watchIdleTimeout)
                lines = LineSplitter(bytesMax: watchLineBytesMax)
                phase = .reading(stream, since: .now)
                if causes.isEmpty { return nil }
                causes = []
                return .recovered
            case .reading(let stream, let since):
                if let line = try nextLine() { return try event(line) }
                guard let piece = await Self.piece(of: stream) else {
                    end(since)
                    return nil
                }
                watch.client.connection.noteAnswer()
                lines.append(piece)
                return nil
            }
        }

        private func call() throws(KubernetesError) -> APICall {
            let path = try APIPath(Object.resource, namespace: watch.namespace)
                .with("watch", "1").with("allowWatchBookmarks", "true").with("resourceVersion", resourceVersion)
                .with("timeoutSeconds", String(Int.random(in: watchSeconds))).with("labelSelector", watch.labelSelector)
            return APICall(.get, path, Object.resource)
        }

        /// nil: the stream is over. How it ended does not matter: the server ends each after some minutes, and one that
        /// broke off or fell silent is taken up again all the same; what then fails is told.
        private static func piece(of stream: HTTPStream) async -> [UInt8]? {
            try? await stream.next()
        }

        private mutating func nextLine() throws(KubernetesError) -> ArraySlice<UInt8>? {
            do throws(LineSplitter.TooLong) { return try lines.next() } catch {
                throw try KubernetesError(
                    .unclear, "\(call().text): an event of the watch has more than \(watchLineBytesMax) bytes")
            }
        }

        private mutating func end(_ since: ContinuousClock.Instant) {
            phase = .opening
            if hasLived(since) { backoff.reset() } else { pause = backoff.next() }
        }

        private func hasLived(_ since: ContinuousClock.Instant) -> Bool { .now - since >= watchLifeMin }

        private mutating func event(_ line: ArraySlice<UInt8>) throws(KubernetesError) -> WatchEvent<Object>? {
            let call = try call()
            let event = try call.decode(Line<Object>.self, from: line)
            switch event {
            case .failed(let status):
                throw KubernetesError(
                    "\(call.text) (watch)", code: status.code ?? 500, isWrite: false, resource: Object.resource, status)
            case .bookmark(let metadata):
                advance(to: metadata)
                return nil
            case .changed(let item):
                advance(to: item.metadata)
                return watch.client.readable(item).map { .changed($0) }
            case .removed(let item):
                advance(to: item.metadata)
                if let object = watch.client.readable(item) { return .removed(object) }
                // Its last good state must go as well: only a list can tell that.
                phase = .listing
                return nil
            }
        }

        private mutating func advance(to metadata: ObjectMetadata) {
            guard let version = metadata.resourceVersion, !version.isEmpty else { return }
            (resourceVersion, isFresh) = (version, false)
        }

        /// Decides how to go on after an error.
        ///
        /// - Returns: the trouble, unless it was told before.
        private mutating func fail(_ error: KubernetesError) -> WatchEvent<Object>? {
            if case .reading(_, let since) = phase, hasLived(since) { backoff.reset() }
            switch error.code {
            case .expired:
                // A list mends it, at once. But when not even a new list's version is taken, there must be a pause.
                watch.client.log.info(
                    "The API server no longer has all changes of \(Object.resource.plural) (410), so they are listed anew"
                )
                phase = .listing
                if isFresh { pause = backoff.next() }
                return nil
            case .unreachable, .tooManyRequests, .credentials, .unauthorized:
                // Nothing was said about the version, so what is known stays known.
                if case .reading = phase { phase = .opening }
            case .unclear, .forbidden, .notFound, .alreadyExists, .conflict, .invalid, .status:
                // The kind may have gone and come back, or etcd been set back to a backup: ask anew.
                phase = .listing
            }
            pause = Swift.min(Swift.max(backoff.next(), error.retryAfter ?? .zero), watchPauseMax)
            // Numbers differ from try to try: milliseconds, versions, the time that a watch was to last.
            let cause = "\(error.code) \(error.message.filter { !$0.isNumber })"
            guard causes.count < watchCausesMax, causes.insert(cause).inserted else { return nil }
            return .troubled(error)
        }
    }
}

/// As client-go: random, so that the watches of a restarted server do not end all at once.
private let watchSeconds = 300...600
/// Bookmarks come every minute. A server that sends none is asked again, which harms nothing.
private let watchIdleTimeout = Duration.seconds(90)
/// An object has at most 3 MiB, as the API server limits requests; an event has some more around it.
private let watchLineBytesMax = 4 << 20
/// A stream that ends sooner is a failure to the back-off.
private let watchLifeMin = Duration.seconds(5)
private let watchPauseMax = Duration.seconds(30)
private let watchCausesMax = 16

/// An event as the API server writes it, one a line.
enum Line<Object: APIObject>: Decodable {
    case changed(Item<Object>)
    case removed(Item<Object>)
    case bookmark(ObjectMetadata)
    case failed(APIStatus)

    private enum Key: String, CodingKey {
        case type
        case object
    }

    private struct Bookmark: Decodable {
        var metadata: ObjectMetadata
    }

    init(from decoder: any Decoder) throws {
        let event = try decoder.container(keyedBy: Key.self)
        switch try event.decode(String.self, forKey: .type) {
        case "ADDED", "MODIFIED": self = .changed(try event.decode(Item<Object>.self, forKey: .object))
        case "DELETED": self = .removed(try event.decode(Item<Object>.self, forKey: .object))
        case "BOOKMARK": self = .bookmark(try event.decode(Bookmark.self, forKey: .object).metadata)
        case "ERROR": self = .failed(try event.decode(APIStatus.self, forKey: .object))
        case let type:
            throw DecodingError.dataCorruptedError(
                forKey: .type, in: event, debugDescription: "no event is of the type \(type)")
        }
    }
}

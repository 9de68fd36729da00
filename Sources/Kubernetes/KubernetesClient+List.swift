private import Election
private import FoundationEssentials
internal import HTTP
internal import Platform

/// A list with the state of the API server that it shows.
struct ObjectList<Object: APIObject>: Sendable {
    var objects: [Object] = []
    /// Where a watch goes on.
    var resourceVersion = ""
}

extension KubernetesClient {
    /// Objects a page, as client-go's reflector.
    private static let pageSize = 500
    /// A server that never ends its list must not hold us for ever; two million objects it may have.
    private static let pagesMax = 4000
    private static let listBytesMax = 128 << 20

    /// All objects, in pages of 500, in the order of the server.
    ///
    /// An object that does not decode is logged and left out.
    package func list<Object: APIObject>(
        _ type: Object.Type, namespace: String? = nil, labelSelector: String? = nil
    ) async throws(KubernetesError) -> [Object] {
        try await wholeList(namespace: namespace, labelSelector: labelSelector).objects
    }

    /// ``list(_:namespace:labelSelector:)``, as of one state of the server.
    func wholeList<Object: APIObject>(
        namespace: String?, labelSelector: String?
    ) async throws(KubernetesError) -> ObjectList<Object> {
        let path = try APIPath(Object.resource, namespace: namespace).with("labelSelector", labelSelector)
        var list = ObjectList<Object>()
        var next: String?
        for _ in 0..<Self.pagesMax {
            let page: Page<Object>
            do throws(KubernetesError) {
                page = try await self.page(path.with("limit", String(Self.pageSize)).with("continue", next))
            } catch {
                // Compaction has overtaken the pages. In one piece a list cannot expire.
                guard error.code == .expired, next != nil else { throw error }
                list = ObjectList()
                page = try await self.page(path)
            }
            list.objects += (page.items ?? []).compactMap { readable($0) }
            list.resourceVersion = page.metadata.resourceVersion ?? ""
            next = page.metadata.continue.flatMap { $0.isEmpty ? nil : $0 }
            if next == nil { return list }
        }
        throw KubernetesError(
            .unclear,
            "GET \(path.path): the list has not ended after \(Self.pagesMax) pages of \(Self.pageSize). Check what answers "
                + "in the API server's place")
    }

    /// - Returns: nil, after a line in the log about each such object once a minute: it does not decode.
    func readable<Object: APIObject>(_ item: Item<Object>) -> Object? {
        switch item {
        case .readable(let object): return object
        case .unreadable(let metadata, let reason):
            let place = "\(Object.resource.kind) \(metadata.namespace.map { "\($0)/" } ?? "")\(metadata.name ?? "")"
            let now = Reading.now()
            let lines = unreadable.withLock { failures in
                let line = failures.take(
                    place,
                    "The \(place) of the API server is passed over, since it cannot be read: \(reason). Mend or delete it",
                    at: now)
                return failures.due(at: now) + (line.map { [$0] } ?? [])
            }
            for line in lines { log.warning(line) }
            return nil
        }
    }

    private func page<Object: APIObject>(_ path: APIPath) async throws(KubernetesError) -> Page<Object> {
        var call = APICall(.get, path, Object.resource)
        call.isList = true
        call.timeout = .seconds(30)
        call.responseBytesMax = Self.listBytesMax
        return try call.decode(Page<Object>.self, from: await connection.send(call).body)
    }
}

private struct Page<Object: APIObject>: Decodable {
    struct Metadata: Decodable {
        var resourceVersion: String?
        var `continue`: String?
    }

    var metadata: Metadata
    var items: [Item<Object>]?
}

/// An object of a list or a watch, or, when it does not decode, which one it is.
enum Item<Object: APIObject>: Decodable {
    case readable(Object)
    case unreadable(ObjectMetadata, reason: String)

    private struct Unreadable: Decodable {
        var metadata: ObjectMetadata
    }

    init(from decoder: any Decoder) throws {
        do { self = .readable(try Object(from: decoder)) } catch {
            // One object with nonsense in it, as a CRD without a proper schema lets in, must not hide all others.
            let metadata = try Unreadable(from: decoder).metadata
            self = .unreadable(metadata, reason: APICall.reason(error))
        }
    }

    var metadata: ObjectMetadata {
        switch self {
        case .readable(let object): object.metadata
        case .unreadable(let metadata, _): metadata
        }
    }
}

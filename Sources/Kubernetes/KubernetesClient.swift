package import Election
internal import HTTP
package import Platform

/// One cluster's API server. Any thread may call it.
///
/// Every call waits its turn under the client-side rate limit, except those that say otherwise.
package final class KubernetesClient: Sendable {
    package enum Subresource: String, Sendable {
        case status
    }

    package init(_ credentials: KubernetesCredentials, rate: RateLimit = RateLimit(), log: Log) {}

    /// The API server's URL, for people.
    package var server: String { "" }

    /// When the API server last answered anything that shows that it works (2xx, or data on a watch); nil: never.
    /// Refusals such as 403 or 404 also show it; 401, 429 and 5xx do not.
    package var lastAnswered: Reading? { nil }

    package func read<Object: APIObject>(
        _ type: Object.Type, _ name: String, namespace: String? = nil, isUrgent: Bool = false
    ) async throws(KubernetesError) -> Object { throw KubernetesError(.unreachable, "not there yet") }

    /// Creates an object; its metadata says where.
    package func create<Object: APIObject>(_ object: Object, isUrgent: Bool = false) async throws(KubernetesError)
        -> Object
    { throw KubernetesError(.unreachable, "not there yet") }

    /// Replaces an object of the same resourceVersion (PUT).
    package func replace<Object: APIObject>(_ object: Object, isUrgent: Bool = false) async throws(KubernetesError)
        -> Object
    { throw KubernetesError(.unreachable, "not there yet") }

    /// Changes the fields that `patch` names (RFC 7386 merge patch; null removes).
    ///
    /// - Parameter patch: JSON.
    package func patch<Object: APIObject>(
        _ type: Object.Type, _ name: String, namespace: String? = nil, subresource: Subresource? = nil,
        merge patch: [UInt8], isUrgent: Bool = false
    ) async throws(KubernetesError) -> Object { throw KubernetesError(.unreachable, "not there yet") }

    /// Server-side apply of the fields that `object` sets; the object needs apiVersion and kind.
    ///
    /// - Parameter force: whether fields of other managers are taken over.
    package func apply<Object: APIObject>(
        _ object: Object, fieldManager: String, force: Bool, subresource: Subresource? = nil, isUrgent: Bool = false
    ) async throws(KubernetesError) -> Object { throw KubernetesError(.unreachable, "not there yet") }

    package func delete<Object: APIObject>(
        _ type: Object.Type, _ name: String, namespace: String? = nil
    ) async throws(KubernetesError) { throw KubernetesError(.unreachable, "not there yet") }

    /// All objects, in pages of 500, in the order of the server.
    package func list<Object: APIObject>(
        _ type: Object.Type, namespace: String? = nil, labelSelector: String? = nil
    ) async throws(KubernetesError) -> [Object] { throw KubernetesError(.unreachable, "not there yet") }

    /// Lists and then watches for ever: paging, bookmarks, resuming, listing again on 410, back-off with jitter.
    ///
    /// - Parameter namespace: nil: all namespaces.
    package func watch<Object: APIObject>(
        _ type: Object.Type, namespace: String? = nil, labelSelector: String? = nil
    ) -> AsyncStream<WatchEvent<Object>> { AsyncStream { $0.finish() } }
}

package enum WatchEvent<Object: APIObject>: Sendable {
    /// The whole state, after each list; objects that are not in it are gone.
    case listed([Object])
    /// Added or modified.
    case changed(Object)
    /// Gone; the last state.
    case removed(Object)
    /// The watch does not work right now and is tried again by itself; once for each cause, not for each try.
    case troubled(KubernetesError)
    /// The watch works again after a trouble.
    case recovered
}

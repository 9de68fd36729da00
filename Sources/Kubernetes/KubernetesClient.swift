package import Election
private import FoundationEssentials
internal import HTTP
package import Platform

/// One cluster's API server. Any thread may call it.
///
/// Every call waits its turn under the client-side rate limit, except those that say otherwise. Nothing is sent twice,
/// but for a call that was answered with 401: once more, with credentials that were read again.
package final class KubernetesClient: Sendable {
    package enum Subresource: String, Sendable {
        case status
    }

    /// Who changes objects here, unless a call says otherwise (`metadata.managedFields`).
    static let fieldManager = "leasehold"

    let connection: APIConnection
    let log: Log
    /// Objects that cannot be read: each change of one, and each list, shows it again.
    let unreadable: Locked<RepeatedFailures>
    /// How a watch waits between its tries.
    let sleep: @Sendable (Duration) async -> Void

    /// - Parameter sleep: returns early when its task is cancelled; for tests.
    init(
        _ connection: APIConnection, log: Log,
        sleep: @escaping @Sendable (Duration) async -> Void = { try? await Task.sleep(for: $0) }
    ) {
        self.connection = connection
        self.log = log
        unreadable = Locked(RepeatedFailures(log))
        self.sleep = sleep
    }

    package convenience init(_ credentials: KubernetesCredentials, rate: RateLimit = RateLimit(), log: Log) {
        self.init(
            APIConnection(AccessKeeper(credentials, log: log), server: credentials.server, rate: rate), log: log)
    }

    /// The API server's URL, for people.
    package var server: String { connection.server }

    /// When the API server last answered anything that shows that it works (2xx, or data on a watch); nil: never.
    /// Refusals such as 403 or 404 also show it; 401, 429 and 5xx do not.
    package var lastAnswered: Reading? { connection.lastAnswered }

    package func read<Object: APIObject>(
        _ type: Object.Type, _ name: String, namespace: String? = nil, isUrgent: Bool = false
    ) async throws(KubernetesError) -> Object {
        let path = try APIPath(Object.resource, name, namespace: namespace)
        return try await object(APICall(.get, path, Object.resource, isUrgent: isUrgent))
    }

    /// Creates an object; its metadata says where.
    package func create<Object: APIObject>(_ object: Object, isUrgent: Bool = false) async throws(KubernetesError)
        -> Object
    {
        guard !Object.resource.isNamespaced || object.metadata.namespace != nil else {
            throw KubernetesError(.invalid, "Nothing was sent: a \(Object.resource.kind) needs a namespace.")
        }
        let path = try APIPath(Object.resource, namespace: object.metadata.namespace)
        return try await write(.post, path, json(Typed(object)), "application/json", isUrgent: isUrgent)
    }

    /// Replaces an object of the same resourceVersion (PUT). What the model does not read of the stored object is lost.
    package func replace<Object: APIObject>(_ object: Object, isUrgent: Bool = false) async throws(KubernetesError)
        -> Object
    {
        let path = try APIPath(Object.resource, object.metadata.name, namespace: object.metadata.namespace)
        return try await write(.put, path, json(Typed(object)), "application/json", isUrgent: isUrgent)
    }

    /// Changes the fields that `patch` names (RFC 7386 merge patch; null removes).
    ///
    /// - Parameter patch: JSON.
    package func patch<Object: APIObject>(
        _ type: Object.Type, _ name: String, namespace: String? = nil, subresource: Subresource? = nil,
        merge patch: [UInt8], isUrgent: Bool = false
    ) async throws(KubernetesError) -> Object {
        let path = try APIPath(Object.resource, name, namespace: namespace, subresource: subresource)
        return try await write(.patch, path, patch, "application/merge-patch+json", isUrgent: isUrgent)
    }

    /// Takes the steps of a JSON patch (RFC 6902), all or none; a failed `test` is ``KubernetesError/Code/invalid``.
    package func patch<Object: APIObject>(
        _ type: Object.Type, _ name: String, namespace: String? = nil, json steps: [JSONPatch], isUrgent: Bool = false
    ) async throws(KubernetesError) -> Object {
        let path = try APIPath(Object.resource, name, namespace: namespace)
        return try await write(.patch, path, json(steps), "application/json-patch+json", isUrgent: isUrgent)
    }

    /// Server-side apply of the fields that `object` sets.
    ///
    /// - Parameter force: whether fields of other managers are taken over; otherwise they are a conflict.
    package func apply<Object: APIObject>(
        _ object: Object, fieldManager: String, force: Bool, subresource: Subresource? = nil, isUrgent: Bool = false
    ) async throws(KubernetesError) -> Object {
        let path = try APIPath(
            Object.resource, object.metadata.name, namespace: object.metadata.namespace, subresource: subresource
        ).with("force", force ? "true" : nil)
        return try await write(
            .patch, path, yaml(Typed(object)), "application/apply-patch+yaml", fieldManager: fieldManager,
            isUrgent: isUrgent)
    }

    package func delete<Object: APIObject>(
        _ type: Object.Type, _ name: String, namespace: String? = nil
    ) async throws(KubernetesError) {
        let path = try APIPath(Object.resource, name, namespace: namespace)
        _ = try await connection.send(APICall(.delete, path, Object.resource))
    }

    // MARK: Between objects and JSON

    private func write<Object: APIObject>(
        _ method: HTTPRequest.Method, _ path: APIPath, _ body: [UInt8], _ contentType: String,
        fieldManager: String = KubernetesClient.fieldManager, isUrgent: Bool
    ) async throws(KubernetesError) -> Object {
        var call = APICall(method, path.with("fieldManager", fieldManager), Object.resource, isUrgent: isUrgent)
        call.body = body
        call.contentType = contentType
        return try await object(call)
    }

    private func object<Object: APIObject>(_ call: APICall) async throws(KubernetesError) -> Object {
        try call.decode(Object.self, from: await connection.send(call).body)
    }

    private func json(_ value: some Encodable) throws(KubernetesError) -> [UInt8] {
        let encoder = JSONEncoder()
        // YAML 1.1 knows no escaped slash.
        encoder.outputFormatting = .withoutEscapingSlashes
        do { return Array(try encoder.encode(value)) } catch {
            throw KubernetesError(.invalid, "Nothing was sent: the object cannot be written as JSON (\(error)).")
        }
    }

    /// JSON that is YAML 1.1 as well, which API servers read for an apply: what YAML refuses in a string, or takes for the
    /// end of a line, is escaped.
    private func yaml(_ value: some Encodable) throws(KubernetesError) -> [UInt8] {
        let text = String(decoding: try json(value), as: UTF8.self)
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x7F...0x9F, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF:
                let digits = String(scalar.value, radix: 16)
                result += "\\u\(String(repeating: "0", count: 4 - digits.utf8.count))\(digits)".unicodeScalars
            default: result.append(scalar)
            }
        }
        return Array(String(result).utf8)
    }
}

/// An object with its kind, which items of a list come without.
private struct Typed<Object: APIObject>: Encodable {
    private enum Key: String, CodingKey {
        case apiVersion
        case kind
    }

    private let object: Object

    init(_ object: Object) {
        self.object = object
    }

    func encode(to encoder: any Encoder) throws {
        try object.encode(to: encoder)
        var type = encoder.container(keyedBy: Key.self)
        try type.encode(Object.resource.apiVersion, forKey: .apiVersion)
        try type.encode(Object.resource.kind, forKey: .kind)
    }
}

import FoundationEssentials
import Platform
import Support

@testable import Kubernetes

/// An API server in memory: keeps whatever objects it is given and tells its watches of each change. Everybody may do
/// everything, and nothing is validated.
final class FakeAPIServer: Sendable {
    typealias Request = ScriptedAPIServer.Request
    typealias Answer = ScriptedAPIServer.Answer

    fileprivate struct State {
        var objects: [FakePath: [String: JSONValue]] = [:]
        /// Every change, in order; the number of a change is the version that came of it.
        var history: [(path: FakePath, line: String)] = []
        var watches: [(of: FakePath, feed: Feed)] = []
        var requests: [Request] = []
        var fault: @Sendable (Request) -> Answer? = { _ in nil }
        /// Fields of a status that the kind's definition does not have.
        var unknownFields: [String] = []
    }

    private let state: Locked<State>
    private let server: ScriptedAPIServer

    /// - Parameter namespaces: beside `kube-system`.
    init(namespaces: [String] = []) throws {
        let state = Locked(State())
        self.state = state
        server = try ScriptedAPIServer { request in state.withLock { $0.answer(request) } }
        for name in ["kube-system"] + namespaces { put(NamespaceObject(metadata: ObjectMetadata(name: name))) }
    }

    deinit { setFault { _ in nil } }

    /// One whose watches pause only for milliseconds.
    func client(log: Log = Log { _ in }) throws -> KubernetesClient { try Self.client(of: server.url, log: log) }

    static func client(of url: String, log: Log = Log { _ in }) throws -> KubernetesClient {
        let credentials = try KubernetesCredentials(server: url, trust: .fixed(.system), user: .token("sample"))
        return KubernetesClient(
            APIConnection(AccessKeeper(credentials, log: log), server: credentials.server, rate: RateLimit()),
            log: log, sleep: { try? await Task.sleep(for: min($0, .milliseconds(100))) })
    }

    // MARK: - What tests see and do

    /// All requests so far.
    var requests: [Request] { state.withLock { $0.requests } }
    /// Those that change something.
    var writes: [Request] { requests.filter { $0.method != "GET" } }

    /// - Parameter fault: what a request is answered with instead; nil: as usual. Watches that are open break off.
    func setFault(_ fault: @escaping @Sendable (Request) -> Answer?) {
        state.withLock { state in
            state.fault = fault
            for watch in state.watches { watch.feed.breakOff() }
            state.watches = []
        }
    }

    /// Fields of a status that are left out from now on, as of a definition that lacks them.
    func leaveOut(_ fields: String...) { state.withLock { $0.unknownFields = fields } }

    /// Connections are broken off without an answer.
    func goDown() { setFault { _ in Answer.none } }
    func comeBack() { setFault { _ in nil } }

    func get<Object: APIObject>(_ type: Object.Type, _ name: String, in namespace: String? = nil) throws -> Object? {
        let object = state.withLock { $0.objects[FakePath(Object.resource, namespace, name)] }
        return try object.map {
            try JSONDecoder().decode(Object.self, from: JSONEncoder().encode(JSONValue.object($0)))
        }
    }

    func all<Object: APIObject>(_ type: Object.Type) throws -> [Object] {
        let collection = FakePath(Object.resource, nil, nil)
        let objects = state.withLock { state in state.objects.filter { $0.key.isIn(collection) }.map(\.value) }
        return try objects.map {
            try JSONDecoder().decode(Object.self, from: JSONEncoder().encode(JSONValue.object($0)))
        }
    }

    /// Makes or replaces an object, as somebody else.
    func put<Object: APIObject>(_ object: Object) {
        let path = FakePath(Object.resource, object.metadata.namespace, object.metadata.name)
        // What was made here encodes, and is an object.
        guard let data = try? JSONEncoder().encode(object), case .object(let json)? = JSONValue(data) else {
            preconditionFailure("\(object)")
        }
        state.withLock { _ = $0.put(json, at: path) }
    }

    func delete<Object: APIObject>(_ type: Object.Type, _ name: String, in namespace: String? = nil) {
        state.withLock { $0.remove(FakePath(Object.resource, namespace, name)) }
    }

    func lease(_ namespace: String) throws -> LeaseObject? { try get(LeaseObject.self, "lease-gsc", in: namespace) }
}

extension FakeAPIServer.State {
    mutating func answer(_ request: FakeAPIServer.Request) -> FakeAPIServer.Answer {
        requests.append(request)
        if let answer = fault(request) { return answer }
        let path = FakePath(request.path)
        switch request.method {
        case "GET" where path.name == nil: return request.isWatch ? watch(path, request) : list(path)
        case "GET": return objects[path].map { .json(200, JSONValue.object($0).text) } ?? Self.notFound
        case "POST": return create(request, in: path)
        case "PATCH": return patch(request, path)
        default: return .status(405, "MethodNotAllowed")
        }
    }

    private static let notFound = FakeAPIServer.Answer.status(404, "NotFound", "no", #","details":{"name":"x"}"#)

    private func list(_ path: FakePath) -> FakeAPIServer.Answer {
        let items = objects.filter { $0.key.isIn(path) }.map { JSONValue.object($0.value).text }
        return .json(
            200,
            #"{"metadata":{"resourceVersion":"\#(history.count)"},"items":[\#(items.joined(separator: ","))]}"#)
    }

    private mutating func watch(_ path: FakePath, _ request: FakeAPIServer.Request) -> FakeAPIServer.Answer {
        guard let version = request.query["resourceVersion"].flatMap({ Int($0) }), version <= history.count else {
            return .status(400, "BadRequest")
        }
        let feed = Feed()
        for change in history[version...] where change.path.isIn(path) { feed.say(change.line) }
        watches.append((path, feed))
        return .stream(feed)
    }

    private mutating func create(_ request: FakeAPIServer.Request, in path: FakePath) -> FakeAPIServer.Answer {
        guard case .object(let object)? = JSONValue(request.body) else { return .status(400, "BadRequest") }
        var target = path
        if case .string(let name)? = object["metadata"]?["name"] {
            target.name = name
        } else if case .string(let prefix)? = object["metadata"]?["generateName"] {
            target.name = "\(prefix)\(history.count)"
        }
        guard target.name != nil else { return .status(422, "Invalid") }
        guard objects[target] == nil else { return .status(409, "AlreadyExists") }
        return .json(201, JSONValue.object(put(object, at: target)).text)
    }

    private mutating func patch(_ request: FakeAPIServer.Request, _ path: FakePath) -> FakeAPIServer.Answer {
        var target = path
        target.subresource = nil
        guard let object = objects[target] else { return Self.notFound }
        if request.headers["content-type"] == "application/json-patch+json" {
            guard case .array(let steps)? = JSONValue(request.body),
                case .object(let patched)? = JSONValue.object(object).patched(by: steps)
            else { return .status(422, "Invalid") }
            return .json(200, JSONValue.object(put(patched, at: target)).text)
        }
        guard request.headers["content-type"] == "application/merge-patch+json",
            case .object(var patch)? = JSONValue(request.body)
        else { return .status(400, "BadRequest") }
        if let version = patch["metadata"]?["resourceVersion"], version != object["metadata"]?["resourceVersion"] {
            return .status(409, "Conflict")
        }
        // As for a kind with the status subresource.
        let isOfStatus = path.subresource == "status"
        patch = patch.filter { isOfStatus == ($0.key == "status") }
        guard case .object(var merged) = JSONValue.object(object).merged(with: .object(patch)) else {
            return .status(400, "BadRequest")
        }
        if case .object(let status)? = merged["status"] {
            merged["status"] = .object(status.filter { !unknownFields.contains($0.key) })
        }
        // What changes nothing is not written, and makes no version.
        return .json(200, JSONValue.object(merged == object ? object : put(merged, at: target)).text)
    }

    /// - Returns: what is kept.
    mutating func put(_ object: [String: JSONValue], at path: FakePath) -> [String: JSONValue] {
        let old = objects[path]
        var metadata: [String: JSONValue] = [:]
        if case .object(let given)? = object["metadata"] { metadata = given }
        metadata["name"] = path.name.map { .string($0) }
        metadata["resourceVersion"] = .string(String(history.count + 1))
        metadata["uid"] = old?["metadata"]?["uid"] ?? .string("uid-\(history.count + 1)")
        if case .integer(let generation)? = old?["metadata"]?["generation"] {
            metadata["generation"] = .integer(old?["spec"] == object["spec"] ? generation : generation + 1)
        } else {
            metadata["generation"] = .integer(1)
        }
        var kept = object
        kept["metadata"] = .object(metadata)
        objects[path] = kept
        tell(old == nil ? "ADDED" : "MODIFIED", kept, at: path)
        return kept
    }

    mutating func remove(_ path: FakePath) {
        guard let object = objects.removeValue(forKey: path) else { return }
        tell("DELETED", object, at: path)
    }

    private mutating func tell(_ type: String, _ object: [String: JSONValue], at path: FakePath) {
        let line = #"{"type":"\#(type)","object":\#(JSONValue.object(object).text)}"# + "\n"
        history.append((path, line))
        for watch in watches where path.isIn(watch.of) { watch.feed.say(line) }
    }
}

/// Where an object, or all of a kind, are: `/api/v1/namespaces/NAMESPACE/PLURAL/NAME/SUBRESOURCE`, or part of it.
struct FakePath: Hashable {
    let version: String
    let plural: String
    /// nil: all, or of none.
    let namespace: String?
    var name: String?
    var subresource: String?

    init(_ resource: APIResource, _ namespace: String?, _ name: String?) {
        version = resource.apiVersion
        plural = resource.plural
        self.namespace = namespace
        self.name = name
    }

    init(_ text: String) {
        var rest = text.split(separator: "/").map(String.init)[...]
        version = (rest.removeFirst() == "api" ? 1...1 : 1...2).map { _ in rest.removeFirst() }.joined(separator: "/")
        namespace = rest.count > 2 && rest.first == "namespaces" ? rest.dropFirst().first : nil
        if namespace != nil { rest.removeFirst(2) }
        plural = rest.removeFirst()
        name = rest.popFirst()
        subresource = rest.popFirst()
    }

    func isIn(_ collection: FakePath) -> Bool {
        version == collection.version && plural == collection.plural
            && (collection.namespace == nil || namespace == collection.namespace)
    }
}

extension JSONValue {
    init?(_ data: Data) {
        guard let value = try? JSONDecoder().decode(JSONValue.self, from: data) else { return nil }
        self = value
    }

    init?(_ text: String) { self.init(Data(text.utf8)) }

    /// In one line.
    var text: String {
        guard let data = try? JSONEncoder().encode(self) else { preconditionFailure("\(self)") }
        return String(decoding: data, as: UTF8.self)
    }

    subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members[name]
    }

    /// RFC 7386.
    func merged(with patch: JSONValue) -> JSONValue {
        guard case .object(let changes) = patch else { return patch }
        var members: [String: JSONValue] = [:]
        if case .object(let old) = self { members = old }
        for (name, change) in changes {
            members[name] = change == .null ? nil : (members[name] ?? .null).merged(with: change)
        }
        return .object(members)
    }

    /// RFC 6902, as far as this project uses it: `test` and `add`.
    ///
    /// - Returns: nil: refused.
    func patched(by steps: [JSONValue]) -> JSONValue? {
        steps.reduce(self) { (result: JSONValue?, step) in
            guard case .string(let operation)? = step["op"], case .string(let path)? = step["path"],
                let value = step["value"]
            else { return nil }
            let names = path.split(separator: "/").map(String.init)[...]
            switch operation {
            case "test": return result?.value(at: names) == value ? result : nil
            case "add": return result?.setting(value, at: names)
            default: return nil
            }
        }
    }

    private func value(at names: ArraySlice<String>) -> JSONValue? {
        guard let name = names.first else { return self }
        if case .array(let items) = self {
            return Int(name).flatMap { items.indices.contains($0) ? items[$0].value(at: names.dropFirst()) : nil }
        }
        return self[name]?.value(at: names.dropFirst())
    }

    private func setting(_ value: JSONValue, at names: ArraySlice<String>) -> JSONValue? {
        guard let name = names.first else { return value }
        switch self {
        case .array(var items):
            guard let index = Int(name), items.indices.contains(index),
                let item = items[index].setting(value, at: names.dropFirst())
            else { return nil }
            items[index] = item
            return .array(items)
        case .object(var members):
            guard names.count > 1 else {
                members[name] = value
                return .object(members)
            }
            guard let member = members[name]?.setting(value, at: names.dropFirst()) else { return nil }
            members[name] = member
            return .object(members)
        default: return nil
        }
    }
}

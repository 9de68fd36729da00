import Platform
import Support
import Testing

@testable import Kubernetes

@Suite(.timeLimit(.minutes(2)))
struct ClientTests {
    private static let lease = LeaseObject(
        metadata: ObjectMetadata(name: "lease-gsc", namespace: "team-a"), spec: .init(holderIdentity: "east"))
    private static let path = "/apis/leaderelection.600lyy.io/v1/namespaces/team-a/leases"
    private static let stored =
        #"{"apiVersion":"leaderelection.600lyy.io/v1","kind":"Lease","metadata":{"name":"lease-gsc","#
        + #""namespace":"team-a","uid":"u","resourceVersion":"7"},"spec":{"holderIdentity":"east"}}"#

    struct Write: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let method: String
        let target: String
        let query: [String: String]
        let contentType: String
        let body: String
        let send: @Sendable (KubernetesClient) async throws(KubernetesError) -> LeaseObject
    }

    private static let merge = #"{"spec":{"preferredHolder":null}}"#
    private static let whole =
        #"{"apiVersion":"leaderelection.600lyy.io/v1","kind":"Lease","metadata":{"name":"lease-gsc","#
        + #""namespace":"team-a"},"spec":{"holderIdentity":"east"}}"#

    static let writes: [Write] = [
        Write(
            testDescription: "create", method: "POST", target: path, query: ["fieldManager": "leasehold"],
            contentType: "application/json", body: whole,
            send: { (client) async throws(KubernetesError) in try await client.create(lease) }),
        Write(
            testDescription: "replace", method: "PUT", target: "\(path)/lease-gsc",
            query: ["fieldManager": "leasehold"], contentType: "application/json", body: whole,
            send: { (client) async throws(KubernetesError) in try await client.replace(lease) }),
        Write(
            testDescription: "merge patch of the status", method: "PATCH", target: "\(path)/lease-gsc/status",
            query: ["fieldManager": "leasehold"], contentType: "application/merge-patch+json", body: merge,
            send: { (client) async throws(KubernetesError) in
                try await client.patch(
                    LeaseObject.self, "lease-gsc", namespace: "team-a", subresource: .status, merge: Array(merge.utf8))
            }),
        Write(
            testDescription: "JSON patch", method: "PATCH", target: "\(path)/lease-gsc",
            query: ["fieldManager": "leasehold"], contentType: "application/json-patch+json",
            body: #"[{"op":"test","path":"/a","value":"b"}]"#,
            send: { (client) async throws(KubernetesError) in
                try await client.patch(
                    LeaseObject.self, "lease-gsc", namespace: "team-a", json: [JSONPatch(.test, "/a", "b")])
            }),
        Write(
            testDescription: "apply", method: "PATCH", target: "\(path)/lease-gsc",
            query: ["fieldManager": "it/me", "force": "true"], contentType: "application/apply-patch+yaml", body: whole,
            send: { (client) async throws(KubernetesError) in
                try await client.apply(lease, fieldManager: "it/me", force: true)
            }),
        Write(
            testDescription: "apply without force", method: "PATCH", target: "\(path)/lease-gsc/status",
            query: ["fieldManager": "me"], contentType: "application/apply-patch+yaml", body: whole,
            send: { (client) async throws(KubernetesError) in
                try await client.apply(lease, fieldManager: "me", force: false, subresource: .status)
            }),
    ]

    @Test(arguments: writes)
    func `each write is sent as the API wants it and gives back what is stored`(write: Write) async throws {
        let server = try ScriptedAPIServer { _ in .json(200, Self.stored) }
        let lease = try await write.send(Sample.client(server))
        #expect(lease.metadata.uid == "u" && lease.metadata.resourceVersion == "7")
        let request = try await server.next()
        #expect(request.method == write.method)
        #expect(request.path == write.target)
        #expect(request.query == write.query)
        #expect(request.headers["content-type"] == write.contentType)
        #expect(try Self.json(request.body) == Self.json(write.body))
    }

    private static func json(_ text: String) throws -> JSONValue {
        let call = APICall(.get, try APIPath(NamespaceObject.resource, namespace: nil), NamespaceObject.resource)
        return try call.decode(JSONValue.self, from: Array(text.utf8))
    }

    @Test func `what is applied is valid YAML, whatever its strings hold`() async throws {
        let server = try ScriptedAPIServer { _ in .json(200, Self.stored) }
        var lease = Self.lease
        lease.spec.holderIdentity = "a/b\"\u{7F}\u{85}\u{2028}é\u{1F600}\n"
        _ = try await Sample.client(server).apply(lease, fieldManager: "me", force: true)
        let body = try await server.next().body
        #expect(body.contains(#""a/b\"\u007f\u0085\u2028é\#u{1F600}\n""#))
    }

    @Test func `reads and deletes name one object`() async throws {
        let server = try ScriptedAPIServer { $0.method == "GET" ? .json(200, Self.stored) : .json(200, "{}") }
        let client = try Sample.client(server)
        #expect(try await client.read(LeaseObject.self, "lease-gsc", namespace: "team-a").spec.holderIdentity == "east")
        try await client.delete(LeaseObject.self, "lease-gsc", namespace: "team-a")
        for method in ["GET", "DELETE"] {
            let request = try await server.next()
            #expect(request.method == method && request.path == "\(Self.path)/lease-gsc" && request.query.isEmpty)
        }
    }

    @Test(arguments: ["", ".", "..", "a/b", "a%2Fb"])
    func `a name that could address something else is never sent`(name: String) async throws {
        let server = try ScriptedAPIServer { _ in .json(200, "{}") }
        let client = try Sample.client(server)
        let asName = await #expect(throws: KubernetesError.self) {
            try await client.delete(LeaseObject.self, name, namespace: "team-a")
        }
        #expect(asName?.code == .invalid)
        let asNamespace = await #expect(throws: KubernetesError.self) {
            try await client.delete(LeaseObject.self, "lease-gsc", namespace: name)
        }
        #expect(asNamespace?.code == .invalid)
        let without = await #expect(throws: KubernetesError.self) {
            try await client.delete(LeaseObject.self, "lease-gsc")
        }
        #expect(without?.code == .invalid)
        #expect(server.connections == 0)
    }

    // MARK: Errors

    struct Refusal: CustomTestStringConvertible, Sendable {
        let answer: ScriptedAPIServer.Answer
        let onRead: KubernetesError.Code
        let onWrite: KubernetesError.Code
        let text: String
        var shows = true

        var testDescription: String { text }
    }

    static let refusals: [Refusal] = [
        Refusal(
            answer: .status(400, "BadRequest", "bad"), onRead: .status(400), onWrite: .status(400),
            text: "400 BadRequest: bad"),
        Refusal(
            answer: .status(401, "Unauthorized", "Unauthorized"), onRead: .unauthorized, onWrite: .unauthorized,
            text: "401 Unauthorized: Unauthorized. The API server does not know these credentials", shows: false),
        Refusal(
            answer: .status(403, "Forbidden", "User x cannot get it"), onRead: .forbidden, onWrite: .forbidden,
            text: "403 Forbidden: User x cannot get it. Grant this user that right"),
        Refusal(
            answer: .status(404, "NotFound", "leases x not found", #","details":{"name":"x"}"#), onRead: .notFound,
            onWrite: .notFound, text: "404 NotFound: leases x not found"),
        Refusal(
            answer: .status(404, "NotFound", "the server could not find the requested resource"), onRead: .notFound,
            onWrite: .notFound,
            text: "requested resource. Install the CustomResourceDefinition leases.leaderelection.600lyy.io"),
        Refusal(
            answer: .json(404, "404 page not found\n"), onRead: .notFound, onWrite: .notFound,
            text: "404: 404 page not found. Install the CustomResourceDefinition"),
        Refusal(
            answer: .status(409, "AlreadyExists"), onRead: .alreadyExists, onWrite: .alreadyExists,
            text: "409 AlreadyExists: no"),
        Refusal(
            answer: .status(
                409, "Conflict", "1 conflict", #","details":{"causes":[{"message":"with y","field":".spec.a"}]}"#),
            onRead: .conflict, onWrite: .conflict, text: "409 Conflict: 1 conflict; .spec.a: with y"),
        Refusal(answer: .status(410, "Expired"), onRead: .expired, onWrite: .expired, text: "410 Expired: no"),
        Refusal(answer: .status(422, "Invalid"), onRead: .invalid, onWrite: .invalid, text: "422 Invalid: no"),
        Refusal(
            answer: .status(429, "TooManyRequests"), onRead: .tooManyRequests, onWrite: .tooManyRequests,
            text: "429 TooManyRequests: no", shows: false),
        Refusal(
            answer: .status(500, "InternalError", "etcdserver: request timed out"), onRead: .status(500),
            onWrite: .unclear, text: "500 InternalError: etcdserver: request timed out", shows: false),
        Refusal(
            answer: .status(503, "ServiceUnavailable", "no", #","details":{"retryAfterSeconds":2}"#),
            onRead: .tooManyRequests, onWrite: .tooManyRequests, text: "503 ServiceUnavailable: no", shows: false),
        Refusal(
            answer: .json(503, "busy", headers: ["Retry-After": "1"]), onRead: .tooManyRequests,
            onWrite: .tooManyRequests, text: "503: busy", shows: false),
        Refusal(
            answer: .json(504, "<html>\n<b>gateway"), onRead: .status(504), onWrite: .unclear,
            text: "504: <html> <b>gateway", shows: false),
        Refusal(answer: .json(302, ""), onRead: .status(302), onWrite: .status(302), text: "302"),
    ]

    @Test(arguments: refusals)
    func `an answer that is no success says what was tried, what happened and what to do`(
        refusal: Refusal
    ) async throws {
        let server = try ScriptedAPIServer { _ in refusal.answer }
        let client = try Sample.client(server)
        let onRead = await #expect(throws: KubernetesError.self) {
            try await client.read(LeaseObject.self, "lease-gsc", namespace: "team-a")
        }
        #expect(onRead?.code == refusal.onRead)
        #expect(onRead?.message.hasPrefix("GET \(Self.path)/lease-gsc: ") == true)
        #expect(onRead?.message.contains(refusal.text) == true)
        let onWrite = await #expect(throws: KubernetesError.self) { try await client.create(Self.lease) }
        #expect(onWrite?.code == refusal.onWrite)
        #expect(onWrite?.message.hasPrefix("POST \(Self.path): ") == true)
        #expect((client.lastAnswered != nil) == refusal.shows)
    }

    @Test func `an answer that never comes is unclear for a write only`() async throws {
        let server = try ScriptedAPIServer { _ in .none }
        let client = try Sample.client(server)
        let onWrite = await #expect(throws: KubernetesError.self) { try await client.create(Self.lease) }
        #expect(onWrite?.code == .unclear)
        let onRead = await #expect(throws: KubernetesError.self) {
            try await client.read(LeaseObject.self, "lease-gsc", namespace: "team-a")
        }
        #expect(onRead?.code == .unreachable)
        #expect(client.lastAnswered == nil)
        #expect("\(onWrite!) \(onRead!)".contains("sample") == false)
    }

    @Test func `a success that cannot be read is not trusted`() async throws {
        let server = try ScriptedAPIServer { _ in .json(200, "<html>Welcome</html>") }
        let error = await #expect(throws: KubernetesError.self) { try await Sample.client(server).create(Self.lease) }
        #expect(error?.code == .unclear)
        #expect(error?.message.contains("no proxy answers in its place") == true)
    }

    @Test func `a list without an end is given up`() async throws {
        let server = try ScriptedAPIServer { _ in .json(200, Sample.list([], version: 1, next: "more")) }
        let client = try Sample.client(server, rate: RateLimit(callsPerSecond: 1_000_000, burst: 10_000))
        let error = await #expect(throws: KubernetesError.self) { try await client.list(NamespaceObject.self) }
        #expect(error?.message.contains("has not ended after 4000 pages") == true)
    }

    // MARK: The rate limit

    @Test func `urgent calls pass those that wait for their turn`() async throws {
        let server = try ScriptedAPIServer { _ in .json(200, Self.stored) }
        // One call now and the next in an hour.
        let client = try Sample.client(server, rate: RateLimit(callsPerSecond: 1 / 3600, burst: 1))
        _ = try await client.read(LeaseObject.self, "first", namespace: "n")
        let waiting = Task { try await client.read(LeaseObject.self, "second", namespace: "n") }
        _ = try await client.read(LeaseObject.self, "urgent", namespace: "n", isUrgent: true)
        waiting.cancel()
        let error = await #expect(throws: KubernetesError.self) { try await waiting.value }
        #expect(error?.code == .unreachable)
        #expect(try await server.next().path.hasSuffix("first"))
        #expect(try await server.next().path.hasSuffix("urgent"))
    }

    @Test func `the bucket lets a burst through at once, then calls at the rate, in order`() {
        var bucket = TokenBucket(RateLimit(callsPerSecond: 10, burst: 3))
        // At a clock that stands still.
        let waits = (0..<6).map { _ in bucket.take(at: .seconds(5)) }
        #expect(waits == [0, 0, 0, 100, 200, 300].map { .milliseconds($0) })
        // After two tenths of a second two of the three have been sent.
        #expect(bucket.take(at: .milliseconds(5200)) == .milliseconds(200))
        // After a long pause there is one burst and no more.
        let later = (0..<4).map { _ in bucket.take(at: .seconds(100)) }
        #expect(later == [0, 0, 0, 100].map { .milliseconds($0) })
    }

    @Test func `pauses double up to a limit, shortened by half at most`() {
        var backoff = Backoff()
        for limit in [800, 1600, 3200, 6400, 10_000, 10_000] {
            let pause = backoff.next()
            #expect(pause >= .milliseconds(limit) / 2 && pause <= .milliseconds(limit))
        }
        backoff.reset()
        #expect(backoff.next() <= .milliseconds(800))
    }

    // MARK: The webhook's authorities

    @Test func `the patch of a webhook changes its authorities alone, and only where they differ`() throws {
        func webhook(_ name: String, _ bundle: String?) -> WebhookConfigurationObject.Webhook {
            var client = WebhookConfigurationObject.ClientConfig()
            client.caBundle = bundle
            return .init(name: name, clientConfig: client)
        }
        let configuration = WebhookConfigurationObject(
            metadata: ObjectMetadata(name: "w"),
            webhooks: [webhook("a.b.c", "b2xk"), webhook("d.e.f", "bmV3"), webhook("g.h.i", nil)])
        #expect(
            configuration.patch(authorities: Array("new".utf8)) == [
                JSONPatch(.test, "/webhooks/0/name", "a.b.c"),
                JSONPatch(.add, "/webhooks/0/clientConfig/caBundle", "bmV3"),
                JSONPatch(.test, "/webhooks/2/name", "g.h.i"),
                JSONPatch(.add, "/webhooks/2/clientConfig/caBundle", "bmV3"),
            ])
    }
}

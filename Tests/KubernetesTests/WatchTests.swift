import Platform
import Support
import Testing

@testable import Kubernetes

@Suite(.timeLimit(.minutes(2)))
struct WatchTests {
    /// An event, as short as can be compared.
    private static func text(_ event: WatchEvent<NamespaceObject>?) -> String {
        switch event {
        case .listed(let objects)?: "listed \(objects.map { $0.metadata.name! }.joined(separator: " "))"
        case .changed(let object)?: "changed \(object.metadata.name!)"
        case .removed(let object)?: "removed \(object.metadata.name!)"
        case .troubled(let error)?: "troubled \(error.code)"
        case .recovered?: "recovered"
        case nil: "ended"
        }
    }

    private static func take(
        _ count: Int, of watch: Watch<NamespaceObject>
    ) async -> [String] {
        var events: [String] = []
        for await event in watch {
            events.append(text(event))
            if events.count == count { break }
        }
        return events
    }

    /// - Parameter lists, watches: the answers to lists and to watches.
    private static func server(_ lists: Script, _ watches: Script) throws -> ScriptedAPIServer {
        try ScriptedAPIServer { $0.isWatch ? watches.next() : lists.next() }
    }

    private static func list(_ names: String..., version: Int) -> ScriptedAPIServer.Answer {
        .json(200, Sample.list(names.map { Sample.namespace($0) }, version: version))
    }

    @Test func `the list comes in pages, and the watch goes on where the list ends`() async throws {
        let feed = Feed(.say(Sample.event("ADDED", Sample.namespace("c", version: 8))))
        let server = try Self.server(
            Script(
                .json(200, Sample.list([Sample.namespace("a")], version: 7, next: "A+/=&b")),
                .json(200, Sample.list([Sample.namespace("b")], version: 7))),
            Script(.stream(feed)))
        let client = try Sample.client(server)
        let watch = client.watch(NamespaceObject.self, labelSelector: "team in (x, y)")
        #expect(await Self.take(2, of: watch) == ["listed a b", "changed c"])

        let first = try await server.next()
        #expect(first.path == "/api/v1/namespaces")
        #expect(first.query == ["labelSelector": "team in (x, y)", "limit": "500"])
        #expect(first.headers["accept"] == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
        #expect(first.headers["authorization"] == "Bearer sample")
        #expect(try await server.next().query["continue"] == "A+/=&b")
        let third = try await server.next()
        #expect(third.headers["accept"] == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
        #expect(third.query["resourceVersion"] == "7")
        #expect(third.query["allowWatchBookmarks"] == "true")
        #expect(third.query["labelSelector"] == "team in (x, y)")
        #expect((300...600).contains(Int(third.query["timeoutSeconds"] ?? "") ?? 0))
    }

    @Test func `events are read wherever the pieces of the stream are cut`() async throws {
        let events =
            Sample.event("ADDED", Sample.namespace("ä")) + "\n" + Sample.event("DELETED", Sample.namespace("b"))
            + Sample.event("MODIFIED", Sample.namespace("c"))
        let feed = Feed()
        for character in events.unicodeScalars { feed.say(String(character)) }
        let server = try Self.server(Script(Self.list(version: 1)), Script(.stream(feed)))
        let watch = try Sample.client(server).watch(NamespaceObject.self)
        #expect(await Self.take(4, of: watch) == ["listed ", "changed ä", "removed b", "changed c"])
    }

    @Test(arguments: [true, false])
    func `a watch that is over goes on from the last version, without a list`(isProperEnd: Bool) async throws {
        let bookmark = Sample.event("BOOKMARK", #"{"metadata":{"resourceVersion":"12"}}"#)
        let end = isProperEnd ? Feed.Order.end : .breakOff
        let server = try Self.server(
            Script(Self.list("a", version: 3)),
            Script(
                .stream(Feed(.say(Sample.event("ADDED", Sample.namespace("b", version: 9))), end)),
                .stream(Feed(.say(bookmark), end)),
                .stream(Feed(.say(Sample.event("ADDED", Sample.namespace("c", version: 13)))))))
        let watch = try Sample.client(server).watch(NamespaceObject.self)
        #expect(await Self.take(3, of: watch) == ["listed a", "changed b", "changed c"])
        #expect(try await server.next().isWatch == false)
        for version in ["3", "9", "12"] { #expect(try await server.next().query["resourceVersion"] == version) }
    }

    static let expiries: [ScriptedAPIServer.Answer] = [
        .status(410, "Expired"), .status(410, "Gone"), .stream(Feed(.say(Sample.expired))),
    ]

    @Test(arguments: expiries.indices)
    func `a version that is too old is mended by a list, without a trouble`(expiry: Int) async throws {
        let server = try Self.server(
            Script(Self.list("a", version: 3), Self.list("b", version: 20)),
            Script(
                .stream(Feed(.say(Sample.event("ADDED", Sample.namespace("x", version: 4))), .breakOff)),
                Self.expiries[expiry],
                .stream(Feed(.say(Sample.event("ADDED", Sample.namespace("c", version: 21)))))))
        let watch = try Sample.client(server).watch(NamespaceObject.self)
        #expect(await Self.take(4, of: watch) == ["listed a", "changed x", "listed b", "changed c"])
        let watches = [
            try await server.next(\.isWatch), try await server.next(\.isWatch), try await server.next(\.isWatch),
        ]
        #expect(watches.map { $0.query["resourceVersion"] } == ["3", "4", "20"])
    }

    @Test func `a list whose pages expire is read again in one piece`() async throws {
        let server = try ScriptedAPIServer { request in
            switch (request.query["continue"], request.query["limit"]) {
            case (nil, "500"?): .json(200, Sample.list([Sample.namespace("old")], version: 1, next: "p2"))
            case ("p2"?, _): .status(410, "Expired")
            default: .json(200, Sample.list([Sample.namespace("a"), Sample.namespace("b")], version: 2))
            }
        }
        let list = try await Sample.client(server).list(NamespaceObject.self)
        #expect(list.map(\.metadata.name) == ["a", "b"])
    }

    @Test func `a trouble is told once for each cause, and its end once`() async throws {
        let server = try Self.server(
            Script(
                .status(500, "InternalError", "try 1"), .status(500, "InternalError", "try 2"), .none, .none,
                .status(403, "Forbidden"), .status(500, "InternalError", "try 3"), Self.list("a", version: 3)),
            Script(
                .status(403, "Forbidden", "cannot watch"), .status(403, "Forbidden", "cannot watch"),
                .stream(Feed(.say(Sample.event("ADDED", Sample.namespace("b")))))))
        let watch = try Sample.client(server).watch(NamespaceObject.self)
        let expected = [
            "troubled status(500)", "troubled unreachable", "troubled forbidden", "listed a", "troubled forbidden",
            "listed a", "listed a", "recovered", "changed b",
        ]
        #expect(await Self.take(expected.count, of: watch) == expected)
    }

    @Test func `an error within a watch is told, and mended by a list`() async throws {
        let failure = #"{"kind":"Status","status":"Failure","reason":"InternalError","message":"etcd","code":500}"#
        let server = try Self.server(
            Script(Self.list("a", version: 3)),
            Script(.stream(Feed(.say(Sample.event("ERROR", failure)))), .stream(Feed())))
        let watch = try Sample.client(server).watch(NamespaceObject.self)
        #expect(await Self.take(4, of: watch) == ["listed a", "troubled status(500)", "listed a", "recovered"])
    }

    @Test(arguments: ["<html>\n", "{\"type\":\"NEW\",\"object\":{}}\n", "{\"object\":1}\n"])
    func `a line that is no event is a trouble and leads to a list`(line: String) async throws {
        let server = try Self.server(
            Script(Self.list("a", version: 3)), Script(.stream(Feed(.say(line))), .stream(Feed())))
        let watch = try Sample.client(server).watch(NamespaceObject.self)
        #expect(await Self.take(4, of: watch) == ["listed a", "troubled unclear", "listed a", "recovered"])
    }

    @Test func `a line without an end is not kept`() async throws {
        let feed = Feed()
        let piece = String(repeating: "x", count: 1 << 20)
        for _ in 0..<5 { feed.say(piece) }
        let server = try Self.server(Script(Self.list("a", version: 3)), Script(.stream(feed), .stream(Feed())))
        let watch = try Sample.client(server).watch(NamespaceObject.self)
        #expect(await Self.take(4, of: watch) == ["listed a", "troubled unclear", "listed a", "recovered"])
    }

    @Test func `an object that cannot be read is named in the log and hides no other`() async throws {
        let bad = #"{"metadata":{"name":"bad","labels":{"a":1},"resourceVersion":"5"}}"#
        let nonsense = #"{"metadata":{"name":"nonsense","namespace":"n","resourceVersion":"6"},"spec":"secret"}"#
        let good = #"{"metadata":{"name":"good","namespace":"n","resourceVersion":"7"},"spec":{"holderIdentity":"a"}}"#
        let feed = Feed(.say(Sample.event("MODIFIED", nonsense) + Sample.event("MODIFIED", good)))
        let server = try Self.server(
            Script(.json(200, Sample.list([nonsense, good], version: 3)), .json(200, Sample.list([], version: 9))),
            Script(.stream(feed), .stream(Feed(.say(Sample.event("ADDED", bad))))))
        let lines = LogLines()
        var seen: [[String?]] = []
        for await event in try Sample.client(server, log: lines.log).watch(LeaseObject.self) {
            switch event {
            case .listed(let leases): seen.append(leases.map(\.metadata.name))
            case .changed(let lease): seen.append([lease.spec.holderIdentity])
            default: Issue.record("unexpected \(event)")
            }
            if seen.count == 2 { feed.say(Sample.event("DELETED", nonsense.replacing(#""6""#, with: #""8""#))) }
            // The last good state of an object that went unreadable is known to be gone by a list alone.
            if seen.count == 3 { break }
        }
        #expect(seen == [["good"], ["a"], []])
        // The list, the change and the removal show the same object: one line a minute is enough.
        #expect(lines.all.count == 1)
        #expect(
            lines.all.allSatisfy { $0.contains("n/nonsense") && $0.contains("spec is no") && !$0.contains("secret") })
    }

    @Test func `cancelling the task ends the watch and closes its connection`() async throws {
        let feed = Feed(.say(Sample.event("ADDED", Sample.namespace("b", version: 4))))
        let server = try Self.server(Script(Self.list("a", version: 3)), Script(.stream(feed)))
        let watch = try Sample.client(server).watch(NamespaceObject.self)
        let events = Inbox<String>()
        let task = Task {
            for await event in watch { events.put(Self.text(event)) }
            events.put("ended")
        }
        for expected in ["listed a", "changed b"] { #expect(try await events.take() == expected) }
        task.cancel()
        #expect(try await events.take() == "ended")
        try await feed.closed.take()
    }

    @Test func `cancelling the task ends a watch that cannot begin`() async throws {
        let server = try Self.server(Script(.status(500, "InternalError")), Script(.none))
        let client = KubernetesClient(
            APIConnection(
                AccessKeeper(try Sample.credentials(server), log: Sample.quiet), server: server.url, rate: RateLimit()),
            log: Sample.quiet, sleep: { _ in try? await Task.sleep(for: .seconds(3600)) })
        let events = Inbox<String>()
        let task = Task {
            for await event in client.watch(NamespaceObject.self) { events.put(Self.text(event)) }
            events.put("ended")
        }
        #expect(try await events.take() == "troubled status(500)")
        task.cancel()
        #expect(try await events.take() == "ended")
    }

    // MARK: Pauses

    @Test func `a version that is too old is mended without a pause, unless it is a list's own`() async throws {
        let pauses = Pauses()
        let server = try Self.server(
            Script(Self.list("a", version: 3), Self.list("b", version: 4), Self.list("c", version: 5)),
            Script(
                .stream(Feed(.say(Sample.event("ADDED", Sample.namespace("x", version: 9))), .say(Sample.expired))),
                .status(410, "Expired"), .stream(Feed())))
        let watch = try Sample.client(server, pauses: pauses).watch(NamespaceObject.self)
        var pausesAtEvents: [Int] = []
        for await event in watch {
            pausesAtEvents.append(pauses.all.count)
            if Self.text(event) == "listed c" { break }
        }
        // listed a, changed x, listed b, and only then a pause.
        #expect(pausesAtEvents == [0, 0, 0, 1])
    }

    @Test func `a watch that ends at once, or fails, is taken up again after growing pauses`() async throws {
        let pauses = Pauses()
        let server = try Self.server(
            Script(.none, Self.list("a", version: 3)),
            Script(
                .stream(Feed(.end)), .stream(Feed(.end)), .status(503, "ServiceUnavailable"),
                .stream(Feed(.say(Sample.event("ADDED", Sample.namespace("b")))))))
        let watch = try Sample.client(server, pauses: pauses).watch(NamespaceObject.self)
        for await event in watch where Self.text(event) == "changed b" { break }
        let limits = [800, 1600, 3200, 6400].map { Duration.milliseconds($0) }
        #expect(pauses.all.count == limits.count)
        for (pause, limit) in zip(pauses.all, limits) { #expect(pause >= limit / 2 && pause <= limit) }
    }

    @Test(arguments: [(seconds: 7, pause: 7), (seconds: 100, pause: 30)])
    func `a server that asks to be left alone is, within reason`(seconds: Int, pause: Int) async throws {
        let pauses = Pauses()
        let server = try Self.server(
            Script(
                .json(429, "busy", headers: ["Retry-After": "\(seconds)"]), Self.list("a", version: 3)),
            Script(.stream(Feed())))
        let watch = try Sample.client(server, pauses: pauses).watch(NamespaceObject.self)
        #expect(await Self.take(3, of: watch) == ["troubled tooManyRequests", "listed a", "recovered"])
        #expect(pauses.all == [.seconds(pause)])
    }
}

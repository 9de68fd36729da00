import FoundationEssentials
import HTTP
import Support
import Testing

/// That the emulator answers as the service's documentation says, seen by a plain HTTP client.
@Suite struct GCSEmulatorTests {
    private let emulator: GCSEmulator
    private let http = HTTPClient()

    init() throws {
        emulator = try GCSEmulator(bucket: "bucket")
    }

    private func ask(
        _ path: String, _ method: HTTPRequest.Method = .get, _ headers: [HTTPRequest.Header] = [], body: String? = nil
    ) async throws -> HTTPResponse {
        try await http.send(
            HTTPRequest(method, emulator.url + path, headers: headers, body: body.map { Array($0.utf8) }))
    }

    private func upload(_ query: String, _ body: String = "body") async throws -> HTTPResponse {
        try await ask("/upload/storage/v1/b/bucket/o?uploadType=media&\(query)", .post, body: body)
    }

    private struct Object: Decodable, Equatable {
        let name: String?
        let generation: String?
        let metageneration: String?
        let size: String?
        let crc32c: String?
        let metadata: [String: String]?
    }

    private struct Page: Decodable {
        let items: [Object]?
        let prefixes: [String]?
        let nextPageToken: String?
    }

    private struct Failure: Decodable {
        struct Details: Decodable {
            struct One: Decodable {
                let reason: String
            }
            let code: Int
            let message: String
            let errors: [One]
        }
        let error: Details
    }

    private func decode<Value: Decodable>(_ type: Value.Type, _ response: HTTPResponse) throws -> Value {
        try JSONDecoder().decode(type, from: Data(response.body))
    }

    @Test func `generations grow with every write, metagenerations with every edit of one`() async throws {
        var generations: [Int64] = []
        for _ in 0..<20 {
            let object = try decode(Object.self, await upload("name=a"))
            #expect(object.metageneration == "1")
            generations.append(try #require(Int64(object.generation ?? "")))
        }
        #expect(generations == generations.sorted() && Set(generations).count == 20)
        let edited = try decode(
            Object.self, await ask("/storage/v1/b/bucket/o/a", .patch, body: #"{"metadata":{"k":"v"}}"#))
        #expect(edited.generation == String(generations[19]))
        #expect(edited.metageneration == "2")
        #expect(edited.metadata == ["k": "v"])
    }

    @Test func `preconditions hold for writes, reads and deletions`() async throws {
        let generation = try #require(try decode(Object.self, await upload("name=a&ifGenerationMatch=0")).generation)
        let refused = [
            try await upload("name=a&ifGenerationMatch=0"), try await upload("name=a&ifGenerationMatch=1"),
            try await upload("name=b&ifGenerationMatch=\(generation)"),
            try await ask("/storage/v1/b/bucket/o/a?ifGenerationMatch=1", .delete),
            try await ask("/storage/v1/b/bucket/o/a?ifGenerationMatch=1"),
        ]
        for response in refused {
            #expect(response.status == 412)
            let failure = try decode(Failure.self, response).error
            #expect(failure.code == 412)
            #expect(failure.errors.map(\.reason) == ["conditionNotMet"])
        }
        #expect(try await ask("/storage/v1/b/bucket/o/a?ifGenerationMatch=\(generation)", .delete).status == 204)
        #expect(try await ask("/storage/v1/b/bucket/o/a", .delete).status == 404)
    }

    @Test func `a body comes with its generation and checksum`() async throws {
        // The check value of CRC-32C (RFC 3720 gives others): of the digits 1 to 9 it is 0xE3069283.
        let object = try decode(Object.self, await upload("name=a%2Fb", "123456789"))
        #expect(object.crc32c == "4waSgw==")
        let response = try await ask("/storage/v1/b/bucket/o/a%2Fb?alt=media")
        #expect(response.body == Array("123456789".utf8))
        #expect(response.header("x-goog-generation") == object.generation)
        #expect(response.header("x-goog-metageneration") == "1")
        #expect(response.header("x-goog-hash") == "crc32c=4waSgw==")
        let other = try await ask("/storage/v1/b/bucket/o/a%2Fb?alt=media&generation=1")
        #expect(other.status == 404)
        #expect(other.body == Array("No such object: bucket/a/b".utf8))
    }

    @Test func `an upload whose checksum does not match is refused`() async throws {
        let body =
            "--x\r\nContent-Type: application/json\r\n\r\n{\"name\":\"a\",\"crc32c\":\"AAAAAA==\"}\r\n"
            + "--x\r\nContent-Type: text/plain\r\n\r\nbody\r\n--x--\r\n"
        let response = try await ask(
            "/upload/storage/v1/b/bucket/o?uploadType=multipart", .post,
            [.init("Content-Type", "multipart/related; boundary=x")], body: body)
        #expect(response.status == 400)
        #expect(emulator.names(in: "bucket").isEmpty)
    }

    @Test func `lists come in pages, in the order of the names' bytes, with what was asked for`() async throws {
        for name in ["p/b", "p/a", "p/a.b", "p/a-b", "p/c/1", "p/c/2", "p/d", "q", "p"] {
            emulator.put([1], at: name, in: "bucket")
        }
        var names: [String] = []
        var prefixes: [String] = []
        var token: String?
        repeat {
            let page = try decode(
                Page.self,
                await ask(
                    "/storage/v1/b/bucket/o?prefix=p/&delimiter=/&maxResults=2&fields=items(name,size),nextPageToken"
                        + (token.map { "&pageToken=\($0)" } ?? "")))
            #expect((page.items?.count ?? 0) + (page.prefixes?.count ?? 0) <= 2)
            #expect(page.items?.allSatisfy { $0.size == "1" && $0.generation == nil } ?? true)
            names += page.items?.compactMap(\.name) ?? []
            for prefix in page.prefixes ?? [] where prefixes.last != prefix { prefixes.append(prefix) }
            token = page.nextPageToken?.replacing("=", with: "%3D")
        } while token != nil
        #expect(names == ["p/a", "p/a-b", "p/a.b", "p/b", "p/d"])
        #expect(prefixes == ["p/c/"])
        // From one name on, and up to another, which is not in it (https://cloud.google.com/storage/docs/json_api/v1/objects/list).
        let part = try decode(
            Page.self, await ask("/storage/v1/b/bucket/o?prefix=p/&startOffset=p/a-b&endOffset=p/b&maxResults=2"))
        #expect(part.items?.compactMap(\.name) == ["p/a-b", "p/a.b"])
        #expect(part.nextPageToken == nil)
    }

    @Test func `fields that there are not are refused`() async throws {
        emulator.put([1], at: "a", in: "bucket")
        for path in ["o?fields=items(name,nonsense)", "o?fields=items(name),nonsense", "o/a?fields=nonsense"] {
            #expect(try await ask("/storage/v1/b/bucket/\(path)").status == 400)
        }
    }

    @Test func `without a good token there is nothing`() async throws {
        emulator.tokens = ["good"]
        #expect(try await ask("/storage/v1/b/bucket").status == 401)
        #expect(try await ask("/storage/v1/b/bucket", .get, [.init("Authorization", "Bearer bad")]).status == 401)
        #expect(try await ask("/storage/v1/b/bucket", .get, [.init("Authorization", "Bearer good")]).status == 200)
    }

    @Test func `clients are told apart by the address that they were given`() async throws {
        _ = try await http.send(HTTPRequest(.get, emulator.url(for: "east") + "/storage/v1/b/bucket"))
        _ = try await ask("/storage/v1/b/bucket")
        #expect(emulator.requests().map(\.client) == ["east", ""])
        #expect(emulator.counts(client: "east") == [.getBucket: 1])
    }

    @Test func `a server that was down answers on the same port again, many times`() async throws {
        for _ in 0..<10 {
            emulator.isDown = true
            await #expect(throws: HTTPError.self) { try await ask("/storage/v1/b/bucket") }
            emulator.isDown = false
            #expect(try await ask("/storage/v1/b/bucket").status == 200)
        }
    }

    @Test func `ten thousand objects are listed completely`() async throws {
        for number in 0..<10_000 { emulator.put([], at: "n\(number)", in: "bucket") }
        var names: [String] = []
        var token: String?
        repeat {
            let page = try decode(
                Page.self,
                await ask(
                    "/storage/v1/b/bucket/o?fields=items(name),nextPageToken"
                        + (token.map { "&pageToken=\($0)" } ?? "")))
            names += page.items?.compactMap(\.name) ?? []
            token = page.nextPageToken?.replacing("=", with: "%3D")
        } while token != nil
        #expect(names.count == 10_000)
        #expect(Set(names).count == 10_000)
    }
}

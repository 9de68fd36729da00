internal import Election
internal import HTTP
internal import Platform

/// Sends calls to the API server: in their turn, with the credentials of the moment. Any thread may call it.
final class APIConnection: Sendable {
    let server: String
    private let keeper: AccessKeeper
    private let bucket: Locked<TokenBucket>
    private let answered = Locked<Reading?>(nil)
    private let started = ContinuousClock.now

    init(_ keeper: AccessKeeper, server: String, rate: RateLimit) {
        self.keeper = keeper
        self.server = server
        bucket = Locked(TokenBucket(rate))
    }

    var lastAnswered: Reading? { answered.withLock { $0 } }

    /// The API server has shown that it works.
    func noteAnswer() {
        let now = Reading.now()
        answered.withLock { $0 = now }
    }

    /// - Returns: an answer of status 2xx.
    func send(_ call: APICall) async throws(KubernetesError) -> HTTPResponse {
        let response = try await withAccess(for: call) { (client, request) async throws(HTTPError) in
            try await client.send(request)
        }
        try check(response, call)
        return response
    }

    /// - Returns: a stream of status 2xx.
    func stream(_ call: APICall, idleTimeout: Duration) async throws(KubernetesError) -> HTTPStream {
        let stream = try await withAccess(for: call) { (client, request) async throws(HTTPError) in
            try await client.stream(request, idleTimeout: idleTimeout)
        }
        if !(200..<300).contains(stream.status) {
            let body = await Self.explanation(stream)
            try check(HTTPResponse(status: stream.status, headers: stream.headers, body: body), call)
        }
        noteAnswer()
        return stream
    }

    private func check(_ response: HTTPResponse, _ call: APICall) throws(KubernetesError) {
        // Who turns us away without asking, or breaks down, shows no working API server.
        if response.status < 500, response.status != 401, response.status != 429 { noteAnswer() }
        guard (200..<300).contains(response.status) else {
            throw KubernetesError(call.text, isWrite: call.isWrite, resource: call.resource, response)
        }
    }

    /// Sends a call, and once more when the first answer is 401, since that has certainly changed nothing.
    private func withAccess<Answer: HTTPAnswer>(
        for call: APICall, _ send: (HTTPClient, HTTPRequest) async throws(HTTPError) -> Answer
    ) async throws(KubernetesError) -> Answer {
        try await waitForTurn(call)
        let access = try await keeper.access()
        let answer = try await attempt(call, access, send)
        guard answer.status == 401, let renewed = try await keeper.renewed(after: access) else { return answer }
        return try await attempt(call, renewed, send)
    }

    private func attempt<Answer: HTTPAnswer>(
        _ call: APICall, _ access: AccessKeeper.Access,
        _ send: (HTTPClient, HTTPRequest) async throws(HTTPError) -> Answer
    ) async throws(KubernetesError) -> Answer {
        do throws(HTTPError) {
            return try await send(access.client, call.request(to: server, authorization: access.authorization))
        } catch {
            switch error {
            case .unclear(let text) where call.isWrite: throw KubernetesError(.unclear, text)
            // A read changes nothing, whether or not it arrived.
            case .unclear(let text), .failed(let text): throw KubernetesError(.unreachable, text)
            }
        }
    }

    private func waitForTurn(_ call: APICall) async throws(KubernetesError) {
        if call.isUrgent { return }
        let now = ContinuousClock.now - started
        let wait = bucket.withLock { $0.take(at: now) }
        guard wait > .zero else { return }
        do { try await Task.sleep(for: wait) } catch {
            throw KubernetesError(
                .unreachable, "\(call.text): given up before it was sent, while it waited for its turn")
        }
    }

    private static let explanationBytesMax = 64 << 10

    /// The body of an answer that is no stream, as far as it comes.
    private static func explanation(_ stream: HTTPStream) async -> [UInt8] {
        var body: [UInt8] = []
        while body.count < explanationBytesMax, let piece = try? await stream.next() { body += piece }
        return body
    }
}

/// What has a status.
protocol HTTPAnswer: Sendable {
    var status: Int { get }
}

extension HTTPResponse: HTTPAnswer {}
extension HTTPStream: HTTPAnswer {}

internal import HTTP
private import Synchronization

/// Requests to the JSON API about one bucket: with a token, the payer, and the time that a call has. Any thread may
/// call it.
final class GCSClient: Sendable {
    /// One request, as far as it does not depend on who sends it.
    struct Call: Sendable {
        var method = HTTPRequest.Method.get
        /// After the service's address, with what needs it percent-encoded.
        var path: String
        var query: [(String, String)] = []
        var contentType: String?
        var body: [UInt8]?
        var responseBytesMax = 1 << 20
    }

    let bucket: String
    private let base: String
    private let http: HTTPClient
    /// nil: an emulator, which asks for none.
    private let tokens: GoogleTokens?
    /// Who pays when the bucket's owner does not.
    private let projectID: String?
    private let paysOwn = Atomic<Bool>(false)

    init(bucket: String, base: String, http: HTTPClient, tokens: GoogleTokens?, projectID: String?) {
        self.bucket = bucket
        self.base = base
        self.http = http
        self.tokens = tokens
        self.projectID = projectID
    }

    /// Sends a request that changes something, once.
    ///
    /// Twice in two cases in which the service says that it did not act: the token is no longer good (401), and the bucket
    /// lets the requester pay (400).
    ///
    /// - Throws: ``StoreError/failed(_:)`` when nothing was sent, ``StoreError/unclear(_:)`` when nobody knows.
    func send(_ call: Call, by deadline: ContinuousClock.Instant) async throws(StoreError) -> HTTPResponse {
        var token = try await token(by: deadline)
        var hasNewToken = false
        while true {
            let payer = paysOwn.load(ordering: .relaxed) ? projectID : nil
            let response = try await attempt(call, token, payer, by: deadline)
            if response.status == 401, !hasNewToken, let tokens, let refused = token {
                hasNewToken = true
                let new = try await Self.translating { () async throws(GoogleCredentialError) in
                    try await tokens.token(insteadOf: refused, within: deadline - .now)
                }
                // The metadata server gives the same one again until shortly before its end.
                guard new != refused else { return response }
                token = new
            } else if payer == nil, projectID != nil, Self.wantsPayer(response) {
                paysOwn.store(true, ordering: .relaxed)
            } else {
                return response
            }
        }
    }

    /// Sends a request that changes nothing, as often as it takes and the time allows.
    ///
    /// - Throws: ``StoreError/failed(_:)`` or ``StoreError/unclear(_:)``.
    func ask(_ call: Call, by deadline: ContinuousClock.Instant) async throws(StoreError) -> HTTPResponse {
        // A credential that does not work is not made better by asking the store again.
        _ = try await token(by: deadline)
        var backoff = Backoff()
        while true {
            var passing: HTTPResponse?
            let problem: StoreError
            do throws(StoreError) {
                let response = try await send(call, by: deadline)
                guard response.mayPass else { return response }
                passing = response
                problem = .unclear(failure(response))
            } catch {
                problem = error
            }
            let pause = backoff.pause(after: passing)
            guard .now + pause < deadline else { throw problem }
            // Cancelled: nobody waits for the answer any more.
            do { try await Task.sleep(for: pause, clock: .continuous) } catch { throw problem }
        }
    }

    /// What an unsuccessful answer means, for people: what was tried, what the service said, what to do.
    func failure(_ response: HTTPResponse) -> String {
        let advice: String? =
            switch response.status {
            case 400 where Self.wantsPayer(response): "Name the project that pays for requests with --project-id."
            case 401: tokens.map { "The token is of \($0.source); check that credential." }
            case 403:
                "\(tokens.map { "Tried as \($0.source). " } ?? "")Give it the role roles/storage.objectUser on the bucket, "
                    + "and see that no retention policy or hold covers the store's prefix."
            case 404: "Make the bucket, or check the spelling."
            case 429: "More requests a second than the bucket or the object takes; it passes by itself."
            case 500...599: "The service is in trouble, which mostly passes by itself."
            default: nil
            }
        return "gs://\(bucket): the service answered \(GoogleFailure.text(of: response)). \(advice ?? "")"
    }

    /// Whether the answer says that the bucket lets the requester pay, and that nobody did.
    private static func wantsPayer(_ response: HTTPResponse) -> Bool {
        response.status == 400 && GoogleFailure.text(of: response).contains("no user project provided")
    }

    private func attempt(
        _ call: Call, _ token: String?, _ payer: String?, by deadline: ContinuousClock.Instant
    ) async throws(StoreError) -> HTTPResponse {
        let left = deadline - .now
        guard left > .milliseconds(1) else {
            throw .failed("gs://\(bucket): the time was over before the request was sent.")
        }
        var query = call.query
        if let payer { query.append(("userProject", payer)) }
        let pairs = query.map { "\($0)=\(PercentEncoding.encoded($1))" }
        var headers: [HTTPRequest.Header] = []
        if let token { headers.append(.init("Authorization", "Bearer \(token)")) }
        if let contentType = call.contentType { headers.append(.init("Content-Type", contentType)) }
        let request = HTTPRequest(
            call.method, "\(base)\(call.path)\(pairs.isEmpty ? "" : "?")\(pairs.joined(separator: "&"))",
            headers: headers, body: call.body, timeout: left, responseBytesMax: call.responseBytesMax)
        do throws(HTTPError) {
            return try await http.send(request)
        } catch {
            switch error {
            case .failed(let text): throw .failed(text)
            case .unclear(let text): throw .unclear(text)
            }
        }
    }

    private func token(by deadline: ContinuousClock.Instant) async throws(StoreError) -> String? {
        guard let tokens else { return nil }
        return try await Self.translating { () async throws(GoogleCredentialError) in
            try await tokens.token(within: deadline - .now)
        }
    }

    private static func translating(
        _ body: () async throws(GoogleCredentialError) -> String
    ) async throws(StoreError) -> String {
        do throws(GoogleCredentialError) {
            return try await body()
        } catch {
            throw .failed(error.description)
        }
    }
}

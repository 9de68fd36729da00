private import FoundationEssentials
internal import HTTP
private import TLS

/// How each kind of credential becomes an access token: the requests, and what their answers mean. Any thread may call it.
final class TokenRequests: Sendable {
    /// What is asked for: the objects, and to look at buckets.
    private static let scope = "https://www.googleapis.com/auth/devstorage.read_write"
    /// What an external account's token needs for impersonation as well.
    private static let platformScope = "https://www.googleapis.com/auth/cloud-platform"
    /// The longest that Google gives without more rights.
    private static let lifetime = Duration.seconds(3600)
    private static let answerBytesMax = 1 << 20

    private let credential: GoogleCredential
    private let direct = HTTPClient(GoogleCredential.withoutProxy)
    private let http = HTTPClient()

    init(_ credential: GoogleCredential) {
        self.credential = credential
    }

    /// Asks for a token until there is one, there will be none, or the time is over. None of these requests changes anything, so
    /// they may be repeated.
    func fetch(within limit: Duration) async -> Result<AccessToken, GoogleCredentialError> {
        do throws(GoogleCredentialError) {
            return .success(try await fetch(credential, scope: Self.scope, by: .now + limit))
        } catch {
            return .failure(GoogleCredentialError("No access token for \(credential.source): \(error)"))
        }
    }

    private func fetch(
        _ credential: GoogleCredential, scope: String, by deadline: ContinuousClock.Instant
    ) async throws(GoogleCredentialError) -> AccessToken {
        switch credential {
        case .metadataServer(let host): try await fetch(fromMetadataServer: host, by: deadline)
        case .serviceAccount(let account): try await fetch(account, scope: scope, by: deadline)
        case .authorizedUser(let user): try await fetch(user, by: deadline)
        case .externalAccount(let account): try await fetch(account, scope: scope, by: deadline)
        case .impersonated(let url, let delegates, let other):
            try await fetch(from: url, delegates: delegates, as: other, by: deadline)
        }
    }

    // MARK: - Each kind

    /// https://cloud.google.com/compute/docs/access/authenticate-workloads
    private func fetch(
        fromMetadataServer host: String, by deadline: ContinuousClock.Instant
    ) async throws(GoogleCredentialError) -> AccessToken {
        let request = HTTPRequest(
            .get, "http://\(host)/computeMetadata/v1/instance/service-accounts/default/token",
            headers: [.init("Metadata-Flavor", "Google")])
        let advice =
            "Outside Google Cloud, name a credential file with GOOGLE_APPLICATION_CREDENTIALS or run gcloud auth "
            + "application-default login; on GKE, set up workload identity for the pod's service account"
        return try await token(request, direct, advice, by: deadline)
    }

    /// A signed assertion (RFC 7523; https://developers.google.com/identity/protocols/oauth2/service-account).
    private func fetch(
        _ account: GoogleCredential.ServiceAccount, scope: String, by deadline: ContinuousClock.Instant
    ) async throws(GoogleCredentialError) -> AccessToken {
        let assertion: String
        do throws(TLSError) {
            assertion = try JSONWebToken.signed(
                issuer: account.email, audience: account.tokenURL, scope: scope, lifetime: Self.lifetime,
                keyID: account.keyID, key: account.key)
        } catch {
            throw GoogleCredentialError("the private_key of \(account.file) cannot sign: \(error)")
        }
        return try await token(
            Self.form(
                account.tokenURL,
                [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion)]),
            http, "Check that the key was not deleted or disabled, and this machine's clock", by: deadline)
    }

    /// RFC 6749, section 6.
    private func fetch(
        _ user: GoogleCredential.AuthorizedUser, by deadline: ContinuousClock.Instant
    ) async throws(GoogleCredentialError) -> AccessToken {
        try await token(
            Self.form(
                user.tokenURL,
                [
                    ("grant_type", "refresh_token"), ("refresh_token", user.refreshToken),
                    ("client_id", user.clientID), ("client_secret", user.clientSecret),
                ]),
            http, "Run gcloud auth application-default login again", by: deadline)
    }

    /// A token exchange (RFC 8693; https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token).
    private func fetch(
        _ account: GoogleCredential.ExternalAccount, scope: String, by deadline: ContinuousClock.Instant
    ) async throws(GoogleCredentialError) -> AccessToken {
        let subjectToken = try await subjectToken(account, by: deadline)
        return try await token(
            Self.form(
                account.tokenURL,
                [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"), ("audience", account.audience),
                    ("scope", scope), ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
                    ("subject_token_type", account.subjectTokenType), ("subject_token", subjectToken),
                ]),
            http, "Check the workload identity pool's provider and its conditions", by: deadline)
    }

    private func subjectToken(
        _ account: GoogleCredential.ExternalAccount, by deadline: ContinuousClock.Instant
    ) async throws(GoogleCredentialError) -> String {
        let bytes: [UInt8]
        let place: String
        switch account.source {
        case .file(let path):
            place = path
            bytes = try GoogleCredential.contents(of: path)
        case .url(let url, let headers):
            place = url
            let response = try await answer(
                HTTPRequest(.get, url, headers: headers), direct, "Check the credential_source of \(account.file)",
                by: deadline)
            bytes = response.body
        }
        let text: String?
        if let field = account.tokenField {
            text = JSONText.decode([String: JSONTextOrOther].self, from: bytes)?[field]?.text
        } else {
            text = String(validating: bytes, as: UTF8.self)
        }
        guard let token = text?.split(whereSeparator: \.isWhitespace).first.map(String.init) else {
            let what = account.tokenField.map { "no text named \($0) in its JSON" } ?? "no text"
            throw GoogleCredentialError("\(place) has \(what), where the subject token is to be")
        }
        return token
    }

    /// https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
    private func fetch(
        from url: String, delegates: [String], as other: GoogleCredential, by deadline: ContinuousClock.Instant
    ) async throws(GoogleCredentialError) -> AccessToken {
        struct Question: Encodable {
            let delegates: [String]
            let lifetime: String
            let scope: [String]
        }
        struct Answer: Decodable {
            let accessToken: String
        }
        let token = try await fetch(other, scope: Self.platformScope, by: deadline)
        let sent = ContinuousClock.now
        let question = Question(
            delegates: delegates, lifetime: "\(Self.lifetime.components.seconds)s", scope: [Self.scope])
        let response = try await answer(
            HTTPRequest(
                .post, url,
                headers: [
                    .init("Authorization", "Bearer \(token.text)"), .init("Content-Type", "application/json"),
                ],
                body: JSONText.encode(question)),
            http, "Give it the role roles/iam.serviceAccountTokenCreator on that account", by: deadline)
        guard let answer = JSONText.decode(Answer.self, from: response.body) else {
            throw GoogleCredentialError("the answer of \(url) has no accessToken")
        }
        // The answer's own time of expiry is of another machine's clock; the lifetime is the one asked for.
        return AccessToken(answer.accessToken, lifetime: Self.lifetime, sent: sent)
    }

    // MARK: - Asking

    /// Sends a request whose answer is of OAuth's form (RFC 6749, section 5.1).
    private func token(
        _ request: HTTPRequest, _ http: HTTPClient, _ advice: String, by deadline: ContinuousClock.Instant
    ) async throws(GoogleCredentialError) -> AccessToken {
        struct Answer: Decodable {
            let accessToken: String
            let expiresIn: Int?
        }
        let sent = ContinuousClock.now
        let response = try await answer(request, http, advice, by: deadline)
        guard let answer = JSONText.decode(Answer.self, from: response.body, isSnakeCase: true),
            !answer.accessToken.isEmpty
        else {
            throw GoogleCredentialError("the answer of \(request.url) has no access_token")
        }
        let seconds = min(max(answer.expiresIn ?? Int(Self.lifetime.components.seconds), 0), 86_400)
        return AccessToken(answer.accessToken, lifetime: .seconds(seconds), sent: sent)
    }

    /// - Parameter advice: what to do when the service refuses.
    private func answer(
        _ request: HTTPRequest, _ http: HTTPClient, _ advice: String, by deadline: ContinuousClock.Instant
    ) async throws(GoogleCredentialError) -> HTTPResponse {
        var request = request
        request.responseBytesMax = Self.answerBytesMax
        var backoff = Backoff()
        while true {
            request.timeout = max(deadline - .now, .milliseconds(1))
            var passing: HTTPResponse?
            let problem: GoogleCredentialError
            do throws(HTTPError) {
                let response = try await http.send(request)
                if response.status == 200 { return response }
                passing = response
                problem = GoogleCredentialError(
                    "\(request.url) answered \(GoogleFailure.text(of: response)). \(advice)")
            } catch {
                problem = GoogleCredentialError("\(error). \(advice)")
            }
            if let passing, !passing.mayPass { throw problem }
            let pause = backoff.pause(after: passing)
            guard .now + pause < deadline else { throw problem }
            do { try await Task.sleep(for: pause, clock: .continuous) } catch { throw problem }
        }
    }

    private static func form(_ url: String, _ pairs: [(String, String)]) -> HTTPRequest {
        HTTPRequest(
            .post, url, headers: [.init("Content-Type", "application/x-www-form-urlencoded")],
            body: PercentEncoding.form(pairs))
    }
}

/// A member of a JSON object: its text, or nothing when it is of another kind.
private struct JSONTextOrOther: Decodable {
    let text: String?

    init(from decoder: any Decoder) throws {
        text = try? decoder.singleValueContainer().decode(String.self)
    }
}

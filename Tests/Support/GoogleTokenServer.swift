private import Election
private import FoundationEssentials
internal import Platform

/// Everything that hands out access tokens to Google's clients, on 127.0.0.1: the OAuth token endpoint, the security token
/// service, impersonation, the metadata server, and an identity provider whose tokens are exchanged.
///
/// It checks the form of requests and no secrets; tests look at what it was asked. Any thread may call it.
package final class GoogleTokenServer: Sendable {
    package enum Endpoint: String, Hashable, Sendable {
        /// `POST /token`
        case oauth
        /// `POST /v1/token`
        case exchange
        /// `POST /v1/projects/-/serviceAccounts/NAME:generateAccessToken`
        case impersonation
        /// `GET /computeMetadata/v1/instance/service-accounts/default/token`
        case metadata
        /// `GET /subject`, the token as text; `GET /subject.json`, as the member `id_token`
        case subject
    }

    package struct Question: Sendable {
        package let endpoint: Endpoint
        package let headers: [String: String]
        /// Of a form, decoded.
        package let form: [String: String]
        package let body: [UInt8]
    }

    /// What one of the next requests gets instead of a token.
    package enum Effect: Sendable {
        case answer(Int, json: String)
        case close
        case hold(Gate)
    }

    private struct State {
        var lifetime = 3600
        var issued: [String] = []
        var repeatsToken = false
        var questions: [Question] = []
        var effects: [Effect] = []
    }

    package static let subjectToken = "subject.token"

    private let server: LoopbackServer
    private let state = Locked(State())

    package init(port: UInt16 = 0) throws {
        let service = TokenService(state: state)
        server = try LoopbackServer(port: port) { service.reply(to: $0, isStopped: $1) }
    }

    package var url: String { server.url }
    /// What `GCE_METADATA_HOST` is to be.
    package var host: String { "127.0.0.1:\(server.port)" }
    package func stop() { server.stop() }

    package var isDown: Bool {
        get { server.isDown }
        set { server.isDown = newValue }
    }

    /// Seconds that the next tokens live.
    package var lifetime: Int {
        get { state.withLock { $0.lifetime } }
        set { state.withLock { $0.lifetime = newValue } }
    }

    /// Whether the token issued last is handed out again, as the metadata server does.
    package var repeatsToken: Bool {
        get { state.withLock { $0.repeatsToken } }
        set { state.withLock { $0.repeatsToken = newValue } }
    }

    /// All tokens so far: `token-1`, `token-2` and so on.
    package var issued: [String] { state.withLock { $0.issued } }

    package var questions: [Question] { state.withLock { $0.questions } }

    /// Lets the next requests, one each, have these effects.
    package func inject(_ effects: Effect...) {
        state.withLock { $0.effects += effects }
    }

    private final class TokenService: Sendable {
        private let state: Locked<State>

        init(state: Locked<State>) {
            self.state = state
        }

        func reply(to request: LoopbackServer.Request, isStopped: () -> Bool) -> LoopbackServer.Reply {
            guard let endpoint = Self.endpoint(request) else {
                return .answer(.init(404, json: #"{"error":"not_found"}"#))
            }
            var form: [String: String] = [:]
            if request.headers["content-type"] == "application/x-www-form-urlencoded" {
                for pair in String(decoding: request.body, as: UTF8.self).split(separator: "&") {
                    let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    form[HTTPWire.decoded(parts[0])] = parts.count > 1 ? HTTPWire.decoded(parts[1]) : ""
                }
            }
            let question = Question(endpoint: endpoint, headers: request.headers, form: form, body: request.body)
            let effect: Effect? = state.withLock { state in
                state.questions.append(question)
                return state.effects.isEmpty ? nil : state.effects.removeFirst()
            }
            switch effect {
            case .answer(let status, let json): return .answer(.init(status, json: json))
            case .close: return .close
            case .hold(let gate): gate.pass(isStopped: isStopped)
            case nil: break
            }
            return .answer(answer(to: question, request.path))
        }

        private static func endpoint(_ request: LoopbackServer.Request) -> Endpoint? {
            switch (request.method, request.path) {
            case ("POST", "/token"): .oauth
            case ("POST", "/v1/token"): .exchange
            case ("GET", "/computeMetadata/v1/instance/service-accounts/default/token"): .metadata
            case ("GET", "/subject"), ("GET", "/subject.json"): .subject
            case ("POST", _) where request.path.hasSuffix(":generateAccessToken"): .impersonation
            default: nil
            }
        }

        private func answer(to question: Question, _ path: String) -> LoopbackServer.Answer {
            switch question.endpoint {
            case .metadata:
                guard question.headers["metadata-flavor"] == "Google" else {
                    return .init(403, body: Array("Missing required header: Metadata-Flavor".utf8))
                }
                return token()
            case .oauth:
                let known = ["refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"]
                return known.contains(question.form["grant_type"] ?? "")
                    ? token() : .init(400, json: #"{"error":"unsupported_grant_type"}"#)
            case .exchange:
                guard question.form["subject_token"] == GoogleTokenServer.subjectToken else {
                    return .init(400, json: #"{"error":"invalid_grant","error_description":"Bad subject token."}"#)
                }
                return token()
            case .subject:
                let text = GoogleTokenServer.subjectToken
                return path.hasSuffix(".json")
                    ? .init(200, json: #"{"id_token":"\#(text)","expires_in":300}"#)
                    : .init(200, body: Array("\(text)\n".utf8))
            case .impersonation:
                let bearer = question.headers["authorization"]?.dropFirst("Bearer ".count) ?? ""
                guard state.withLock({ $0.issued.contains(String(bearer)) }) else {
                    return .init(
                        401, json: #"{"error":{"code":401,"message":"Unknown token.","status":"UNAUTHENTICATED"}}"#)
                }
                let (text, lifetime) = issue()
                let now = Int64(Date().timeIntervalSince1970 * 1_000_000)
                let end = Timestamp.format(microseconds: now + Int64(lifetime) * 1_000_000)
                return .init(200, json: #"{"accessToken":"\#(text)","expireTime":"\#(end)"}"#)
            }
        }

        private func issue() -> (token: String, lifetime: Int) {
            state.withLock { state in
                if !state.repeatsToken || state.issued.isEmpty {
                    state.issued.append("token-\(state.issued.count + 1)")
                }
                return (state.issued[state.issued.count - 1], state.lifetime)
            }
        }

        private func token() -> LoopbackServer.Answer {
            let (text, lifetime) = issue()
            return .init(
                200, json: #"{"access_token":"\#(text)","expires_in":\#(lifetime),"token_type":"Bearer"}"#)
        }
    }
}

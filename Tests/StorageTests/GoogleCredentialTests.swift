import FoundationEssentials
import Support
import Testing

@testable import Storage

/// Where credentials are found, how they become tokens, and what their errors say.
@Suite struct GoogleCredentialTests {
    private static let secrets = ["BEGIN PRIVATE KEY", "the-refresh-token", "the-client-secret", "token-1"]

    private let directory: TemporaryDirectory
    private let server: GoogleTokenServer

    init() throws {
        directory = try TemporaryDirectory()
        server = try GoogleTokenServer()
    }

    // MARK: - Files

    private func serviceAccount(tokenURL: String? = nil, key: String = RSAKey.one.pem) -> [String: Any] {
        [
            "type": "service_account", "client_email": "trial@project.iam.gserviceaccount.com",
            "private_key_id": "key-1", "private_key": key, "token_uri": tokenURL ?? "\(server.url)/token",
        ]
    }

    private var authorizedUser: [String: Any] {
        [
            "type": "authorized_user", "client_id": "the-client", "client_secret": "the-client-secret",
            "refresh_token": "the-refresh-token", "token_uri": "\(server.url)/token",
        ]
    }

    private func externalAccount(_ source: [String: Any], impersonates: Bool = false) -> [String: Any] {
        var file: [String: Any] = [
            "type": "external_account", "audience": "//iam.googleapis.com/pools/p/providers/q",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "\(server.url)/v1/token",
            "credential_source": source,
        ]
        if impersonates { file["service_account_impersonation_url"] = impersonationURL }
        return file
    }

    private var impersonationURL: String {
        "\(server.url)/v1/projects/-/serviceAccounts/acted@project.iam.gserviceaccount.com:generateAccessToken"
    }

    private func find(
        _ file: [String: Any], allowed: [String]? = nil
    ) throws(GoogleCredentialError) -> GoogleCredential {
        let path = directory.file("credential.json")
        do { try directory.write(JSON.text(file), to: "credential.json") } catch { preconditionFailure("\(error)") }
        return try GoogleCredential.find(
            StoreAccess(
                environment: ["GOOGLE_APPLICATION_CREDENTIALS": path], allowedTokenURLs: allowed ?? [server.url]))
    }

    private func token(_ credential: GoogleCredential, within limit: Duration = GCSTrial.long) async throws -> String {
        try await TokenRequests(credential).fetch(within: limit).get().text
    }

    private func refusal(of file: [String: Any], allowed: [String]? = nil) -> String {
        do throws(GoogleCredentialError) {
            _ = try find(file, allowed: allowed)
            return ""
        } catch {
            #expect(Self.secrets.allSatisfy { !error.description.contains($0) })
            #expect(error.description.contains("credential.json"))
            return error.description
        }
    }

    // MARK: - Each kind

    @Test func `a service account signs who it is with its key`() async throws {
        let credential = try find(serviceAccount())
        #expect(try await token(credential) == "token-1")
        let question = try #require(server.questions.first)
        #expect(question.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer")
        let parts = try #require(question.form["assertion"]).split(separator: ".").map(String.init)
        try #require(parts.count == 3)
        let header = try JSON.object(base64URL(parts[0]))
        #expect(header == ["alg": "RS256", "kid": "key-1", "typ": "JWT"])
        let claims = try JSONDecoder().decode(Claims.self, from: Data(base64URL(parts[1])))
        #expect(claims.iss == "trial@project.iam.gserviceaccount.com")
        #expect(claims.aud == "\(server.url)/token")
        #expect(claims.scope == "https://www.googleapis.com/auth/devstorage.read_write")
        #expect(claims.exp - claims.iat == 3600)
        #expect(RSAKey.one.verifies(try base64URL(parts[2]), of: Array("\(parts[0]).\(parts[1])".utf8)))
    }

    private struct Claims: Decodable {
        let iss: String
        let aud: String
        let scope: String
        let iat: Int
        let exp: Int
    }

    @Test func `a user's refresh token is exchanged`() async throws {
        #expect(try await token(find(authorizedUser)) == "token-1")
        #expect(
            server.questions.first?.form == [
                "grant_type": "refresh_token", "refresh_token": "the-refresh-token", "client_id": "the-client",
                "client_secret": "the-client-secret",
            ])
    }

    enum SubjectSource: CaseIterable {
        case file, jsonFile, url, jsonURL
    }

    @Test(arguments: SubjectSource.allCases, [false, true])
    func `another provider's token is exchanged, and may then act for a service account`(
        source: SubjectSource, impersonates: Bool
    ) async throws {
        try directory.write("\(GoogleTokenServer.subjectToken)\n", to: "subject")
        try directory.write("{\"id_token\":\"\(GoogleTokenServer.subjectToken)\",\"n\":1}", to: "subject.json")
        let json: [String: Any] = ["type": "json", "subject_token_field_name": "id_token"]
        let given: [String: Any] =
            switch source {
            case .file: ["file": directory.file("subject")]
            case .jsonFile: ["file": directory.file("subject.json"), "format": json]
            case .url: ["url": "\(server.url)/subject", "headers": ["X-Trial_name": "Value"]]
            case .jsonURL: ["url": "\(server.url)/subject.json", "format": json]
            }
        let credential = try find(externalAccount(given, impersonates: impersonates))
        #expect(try await token(credential) == (impersonates ? "token-2" : "token-1"))

        let exchange = try #require(server.questions.first { $0.endpoint == .exchange })
        #expect(exchange.form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange")
        #expect(exchange.form["audience"] == "//iam.googleapis.com/pools/p/providers/q")
        #expect(exchange.form["subject_token_type"] == "urn:ietf:params:oauth:token-type:jwt")
        if source == .url {
            #expect(server.questions.first { $0.endpoint == .subject }?.headers["x-trial_name"] == "Value")
        }
        let impersonation = server.questions.first { $0.endpoint == .impersonation }
        #expect((impersonation != nil) == impersonates)
        if let impersonation {
            #expect(impersonation.headers["authorization"] == "Bearer token-1")
            #expect(exchange.form["scope"] == "https://www.googleapis.com/auth/cloud-platform")
            let text = String(decoding: impersonation.body, as: UTF8.self)
            #expect(
                text
                    == #"{"delegates":[],"lifetime":"3600s","scope":["https://www.googleapis.com/auth/devstorage.read_write"]}"#
            )
        }
    }

    @Test func `a subject token that rotates is read anew`() async throws {
        try directory.write("old", to: "subject")
        let credential = try find(externalAccount(["file": directory.file("subject")]))
        await #expect(throws: GoogleCredentialError.self) { try await token(credential) }
        try directory.write(GoogleTokenServer.subjectToken, to: "subject")
        #expect(try await token(credential) == "token-1")
    }

    @Test func `a user may act for a service account`() async throws {
        let credential = try find([
            "type": "impersonated_service_account", "source_credentials": authorizedUser,
            "service_account_impersonation_url": impersonationURL, "delegates": ["one"],
        ])
        #expect(try await token(credential) == "token-2")
        #expect(server.questions.map(\.endpoint) == [.oauth, .impersonation])
        #expect(String(decoding: server.questions[1].body, as: UTF8.self).contains(#""delegates":["one"]"#))
        #expect(
            credential.source
                == "the service account acted@project.iam.gserviceaccount.com, which is impersonated by the user of "
                + directory.file("credential.json"))
    }

    @Test func `without any file the metadata server is asked`() async throws {
        let access = StoreAccess(environment: ["GCE_METADATA_HOST": server.host, "HOME": directory.path])
        #expect(try await token(GoogleCredential.find(access)) == "token-1")
        #expect(server.questions.first?.headers["metadata-flavor"] == "Google")
        guard case .metadataServer(let usual) = try GoogleCredential.find(StoreAccess()) else {
            Issue.record("something else was found")
            return
        }
        #expect(usual == "169.254.169.254")
    }

    @Test func `the file of gcloud is used when no other is named`() async throws {
        let folder = directory.file(".config/gcloud")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try directory.write(JSON.text(authorizedUser), to: ".config/gcloud/application_default_credentials.json")
        for environment in [["HOME": directory.path], ["CLOUDSDK_CONFIG": folder, "HOME": "/nowhere"]] {
            let access = StoreAccess(environment: environment, allowedTokenURLs: [server.url])
            guard case .authorizedUser = try GoogleCredential.find(access) else {
                Issue.record("\(environment) finds something else")
                continue
            }
        }
        try directory.write(JSON.text(serviceAccount()), to: "named.json")
        let access = StoreAccess(
            environment: ["HOME": directory.path, "GOOGLE_APPLICATION_CREDENTIALS": directory.file("named.json")],
            allowedTokenURLs: [server.url])
        guard case .serviceAccount = try GoogleCredential.find(access) else {
            Issue.record("the named file comes first")
            return
        }
    }

    // MARK: - Refused files

    @Test(arguments: [
        "http://oauth2.googleapis.com/token", "https://evil.example/token", "https://googleapis.com.evil.example/token",
        "https://evilgoogleapis.com/token", "https://user@evil.example/.googleapis.com/",
        "https://oauth2.googleapis.com@evil.example/", "https://evil.example?.googleapis.com/",
        "https://evil.example#.googleapis.com", "https://evil.example\\.googleapis.com/token",
        "https://evil.example:443.googleapis.com/", "https://oauth2.googleapis.com:8443/token", "https://", "",
        "ftp://oauth2.googleapis.com/", "https://evil.example/%2e.googleapis.com", "HTTPS://oauth2.googleapis.com/",
        "https://\u{440}.googleapis.com/", "https://evil.example\n.googleapis.com",
    ])
    func `a token goes to nobody but Google unless that is allowed`(url: String) {
        var files = [serviceAccount(tokenURL: url), authorizedUser, externalAccount(["file": "/nothing"])]
        files[1]["token_uri"] = url
        files[2]["token_url"] = url
        var impersonating = externalAccount(["file": "/nothing"])
        impersonating["service_account_impersonation_url"] = url
        for file in files + [impersonating] {
            let text = refusal(of: file)
            #expect(text.contains("which is not of googleapis.com"), "\(file)")
            #expect(text.contains("--allowed-token-url"))
        }
    }

    @Test(arguments: [
        "https://oauth2.googleapis.com/token", "https://sts.googleapis.com/v1/token",
        "https://STS.GoogleApis.com/v1/token",
        "https://sts.europe-west1.rep.googleapis.com/v1/token", "https://accounts.google.com/o/oauth2/token",
    ])
    func `Google's own places need no permission`(url: String) {
        #expect(refusal(of: serviceAccount(tokenURL: url), allowed: []) == "")
    }

    @Test(arguments: [
        ("https://sts.example/token", "https://sts.example/token", true),
        ("https://sts.example", "https://sts.example/a", true),
        ("https://sts.example/", "https://sts.example/a", true),
        ("https://sts.example", "https://sts.example.evil/a", false),
        ("https://sts.example", "https://sts.example:444/a", false),
        ("https://sts.example/a", "https://sts.example/ab", false),
        ("https://sts.example/a", "https://sts.example/a/b", false),
        ("http://sts.example", "https://sts.example/a", false),
        ("https://sts.example", "https://sts.example@evil/", false),
    ])
    func `what is allowed is one URL, or a scheme with host and port`(allowed: String, url: String, isAllowed: Bool) {
        #expect((refusal(of: serviceAccount(tokenURL: url), allowed: [allowed]) == "") == isAllowed)
    }

    struct BadFile: CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout [String: Any]) -> Void
        var isExternal = false
    }

    @Test(arguments: [
        BadFile(testDescription: "is of the type \"other\"", change: { $0["type"] = "other" }),
        BadFile(testDescription: "is no credential file", change: { $0["type"] = nil }),
        BadFile(testDescription: "has no client_email", change: { $0["client_email"] = nil }),
        BadFile(testDescription: "has no private_key", change: { $0["private_key"] = nil }),
        BadFile(testDescription: "holds no private key in PEM", change: { $0["private_key"] = "the-refresh-token" }),
        BadFile(testDescription: "is of the universe example.org", change: { $0["universe_domain"] = "example.org" }),
        BadFile(
            testDescription: "credential_source with executable, which is not supported; use file or url",
            change: { $0["credential_source"] = ["executable": ["command": "/bin/x"]] }, isExternal: true),
        BadFile(
            testDescription: "credential_source with environment_id",
            change: { $0["credential_source"] = ["environment_id": "aws1", "url": "http://169.254.169.254"] },
            isExternal: true),
        BadFile(
            testDescription: "credential_source with certificate",
            change: { $0["credential_source"] = ["certificate": ["use_default_certificate_config": true]] },
            isExternal: true),
        BadFile(
            testDescription: "neither a file nor a url",
            change: { $0["credential_source"] = ["format": ["type": "text"]] }, isExternal: true),
        BadFile(
            testDescription: "neither a file nor a url",
            change: { $0["credential_source"] = ["url": "file:///etc/passwd"] }, isExternal: true),
        BadFile(
            testDescription: "of the format \"xml\"",
            change: { $0["credential_source"] = ["file": "/x", "format": ["type": "xml"]] }, isExternal: true),
        BadFile(
            testDescription: "has no subject_token_field_name",
            change: { $0["credential_source"] = ["file": "/x", "format": ["type": "json"]] }, isExternal: true),
        BadFile(testDescription: "has no audience", change: { $0["audience"] = nil }, isExternal: true),
        BadFile(testDescription: "has no token_url", change: { $0["token_url"] = nil }, isExternal: true),
    ])
    func `a file that cannot be used is refused with the reason`(bad: BadFile) {
        var file = bad.isExternal ? externalAccount(["file": "/nothing"]) : serviceAccount()
        bad.change(&file)
        #expect(refusal(of: file).contains(bad.testDescription))
    }

    @Test func `a named file that is missing is an error, not a reason to look elsewhere`() {
        let access = StoreAccess(environment: [
            "GOOGLE_APPLICATION_CREDENTIALS": directory.file("missing.json"), "GCE_METADATA_HOST": server.host,
        ])
        let error = #expect(throws: GoogleCredentialError.self) { try GoogleCredential.find(access) }
        #expect(
            error?.description.hasPrefix("GOOGLE_APPLICATION_CREDENTIALS: \(directory.file("missing.json"))") == true)
    }

    // MARK: - What servers say

    @Test func `an error says whose token it was about, what the server said and what to do, and no secret`()
        async throws
    {
        for (file, words) in [
            (
                serviceAccount(),
                ["the service account trial@project.iam.gserviceaccount.com of ", "this machine's clock"]
            ),
            (authorizedUser, ["the user of ", "gcloud auth application-default login"]),
        ] {
            server.inject(
                .answer(400, json: #"{"error":"invalid_grant","error_description":"Token has been\nrevoked."}"#))
            let credential = try find(file)
            let error = await #expect(throws: GoogleCredentialError.self) { try await token(credential) }
            let text = try #require(error?.description)
            #expect(text.contains("\(server.url)/token answered 400, \"invalid_grant: Token has been revoked.\""))
            for word in words + [directory.file("credential.json")] { #expect(text.contains(word), "\(text)") }
            for secret in Self.secrets { #expect(!text.contains(secret)) }
            #expect(!text.contains("\n"))
        }
        #expect(server.questions.count == 2)
    }

    @Test func `an impersonation that is refused says so in the words of the service`() async throws {
        try directory.write(GoogleTokenServer.subjectToken, to: "subject")
        let credential = try find(externalAccount(["file": directory.file("subject")], impersonates: true))
        server.inject(.answer(200, json: #"{"access_token":"foreign"}"#))
        let error = await #expect(throws: GoogleCredentialError.self) { try await token(credential) }
        #expect(error?.description.contains("401, \"Unknown token.\"") == true)
        #expect(error?.description.contains("roles/iam.serviceAccountTokenCreator") == true)
    }

    @Test func `a server in trouble is asked again, one that refuses is not`() async throws {
        let credential = try find(authorizedUser)
        server.inject(.answer(503, json: "{}"), .close, .answer(429, json: "{}"))
        #expect(try await token(credential) == "token-1")
        #expect(server.questions.count == 4)
    }

    @Test func `a server that is down is an error when the time is up`() async throws {
        let access = StoreAccess(environment: ["GCE_METADATA_HOST": server.host])
        server.isDown = true
        let error = await #expect(throws: GoogleCredentialError.self) {
            try await token(GoogleCredential.find(access), within: GCSTrial.short)
        }
        let text = try #require(error?.description)
        #expect(text.contains("this machine's service account, from the metadata server \(server.host)"))
        #expect(text.contains("GOOGLE_APPLICATION_CREDENTIALS"))
    }

    @Test(arguments: ["", "{}", #"{"access_token":""}"#, #"{"access_token":7}"#, "<html>"])
    func `an answer without a token is an error`(json: String) async throws {
        server.inject(.answer(200, json: json))
        let credential = try find(authorizedUser)
        let error = await #expect(throws: GoogleCredentialError.self) { try await token(credential) }
        #expect(error?.description.contains("has no access_token") == true)
    }

    // MARK: - With the store

    private func trial(_ tokens: GoogleTokens) throws -> GCSTrial {
        let trial = try GCSTrial(tokens: tokens)
        trial.emulator.tokens = ["token-1"]
        return trial
    }

    private func metadataTokens() throws -> GoogleTokens {
        GoogleTokens(try GoogleCredential.find(StoreAccess(environment: ["GCE_METADATA_HOST": server.host]))) { _ in }
    }

    @Test func `requests carry the token`() async throws {
        let trial = try trial(metadataTokens())
        _ = try await trial.store.write(GCSTrial.lease, [1], replacing: nil)
        _ = try await trial.store.list(.leases)
        #expect(trial.emulator.requests().allSatisfy { $0.headers["authorization"] == "Bearer token-1" })
        #expect(server.questions.count == 1)
    }

    @Test func `a token that is no longer good is replaced, and the write sent once more`() async throws {
        let trial = try trial(metadataTokens())
        let version = try await trial.store.write(GCSTrial.lease, [1], replacing: nil)
        trial.emulator.tokens = ["token-2"]
        _ = try await trial.store.write(GCSTrial.lease, [2], replacing: version)
        #expect(trial.requests(.write).map(\.status) == [200, 401, 200])
        trial.emulator.tokens = ["token-3"]
        #expect(try await trial.store.read(GCSTrial.lease)?.body == [2])
    }

    @Test func `a token that stays refused is a failure that names the credential`() async throws {
        let trial = try trial(metadataTokens())
        trial.emulator.tokens = []
        let (ending, text) = await Ending.of { () async throws(StoreError) in
            try await trial.store.write(GCSTrial.lease, [1], replacing: nil)
        }
        #expect(ending == .failed)
        #expect(text.contains("401, \"Invalid Credentials\""))
        #expect(text.contains("The token is of this machine's service account"))
        #expect(trial.requests(.write).count == 2)
        // The metadata server keeps its tokens: the same one is not tried twice.
        server.repeatsToken = true
        let mark = trial.emulator.mark
        _ = await Ending.of { () async throws(StoreError) in
            try await trial.store.write(GCSTrial.lease, [1], replacing: nil)
        }
        #expect(trial.requests(.write, since: mark).count == 1)
    }

    @Test func `without a token nothing is sent`() async throws {
        server.inject(.answer(404, json: #"{"error":"no service account"}"#))
        let trial = try trial(metadataTokens())
        let (ending, text) = await Ending.of { () async throws(StoreError) in
            try await trial.store.write(GCSTrial.lease, [1], replacing: nil)
        }
        #expect(ending == .failed)
        #expect(text.contains("404, \"no service account\""))
        #expect(trial.emulator.requests().isEmpty)
    }

    // MARK: - Encodings

    private func base64URL(_ text: String) throws -> [UInt8] {
        #expect(!text.contains("="))
        var plain = text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
        while plain.count % 4 != 0 { plain.append("=") }
        return Array(try #require(Data(base64Encoded: String(plain))))
    }
}

/// JSON from and to plain values, which `JSONEncoder` does not take.
private enum JSON {
    static func text(_ value: Any) -> String {
        switch value {
        case let text as String: quoted(text)
        case let flag as Bool: "\(flag)"
        case let list as [Any]: "[\(list.map(text).joined(separator: ","))]"
        case let object as [String: Any]:
            "{\(object.map { "\(quoted($0)):\(text($1))" }.joined(separator: ","))}"
        default: preconditionFailure("\(value) is not used in these tests")
        }
    }

    static func object(_ bytes: [UInt8]) throws -> [String: String] {
        try JSONDecoder().decode([String: String].self, from: Data(bytes))
    }

    private static func quoted(_ text: String) -> String {
        do {
            return String(decoding: try JSONEncoder().encode(text), as: UTF8.self)
        } catch {
            preconditionFailure("\(error)")
        }
    }
}

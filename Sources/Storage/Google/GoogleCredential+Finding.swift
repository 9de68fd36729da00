private import FoundationEssentials
private import Glibc
private import HTTP
private import Platform
private import TLS

extension GoogleCredential {
    private static let fileBytesMax = 1 << 20
    private static let usualTokenURL = "https://oauth2.googleapis.com/token"
    /// By its address, as Google's clients do, so that it is found when DNS is not.
    private static let usualMetadataServer = "169.254.169.254"

    /// Finds the credential where Google's clients look for it: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, the
    /// one that `gcloud auth application-default login` writes, the metadata server.
    ///
    /// Reads at most one file; asks nobody.
    static func find(_ access: StoreAccess) throws(GoogleCredentialError) -> GoogleCredential {
        let urls = TokenURLs(allowed: access.allowedTokenURLs)
        let environment = access.environment
        if let file = environment["GOOGLE_APPLICATION_CREDENTIALS"], !file.isEmpty {
            do throws(GoogleCredentialError) {
                return try read(file, urls)
            } catch {
                throw GoogleCredentialError("GOOGLE_APPLICATION_CREDENTIALS: \(error.description)")
            }
        }
        if let file = gcloudFile(environment), exists(file) { return try read(file, urls) }
        let host = environment["GCE_METADATA_HOST"].flatMap { $0.isEmpty ? nil : $0 }
        return .metadataServer(host: host ?? usualMetadataServer)
    }

    private static func exists(_ path: String) -> Bool {
        unsafe Glibc.access(path, F_OK) == 0
    }

    private static func gcloudFile(_ environment: [String: String]) -> String? {
        let name = "application_default_credentials.json"
        if let folder = environment["CLOUDSDK_CONFIG"], !folder.isEmpty { return "\(folder)/\(name)" }
        return environment["HOME"].map { "\($0)/.config/gcloud/\(name)" }
    }

    private static func read(_ file: String, _ urls: TokenURLs) throws(GoogleCredentialError) -> GoogleCredential {
        let bytes = try contents(of: file)
        guard let content = JSONText.decode(CredentialFile.self, from: bytes) else {
            throw GoogleCredentialError("\(file) is no credential file: it is not JSON with a type")
        }
        return try content.credential(file: file, urls, usualTokenURL)
    }

    /// The bytes of a small file, which may be a secret.
    static func contents(of file: String) throws(GoogleCredentialError) -> [UInt8] {
        do throws(SystemError) {
            let bytes = try FileDescriptor(file, O_RDONLY).read(limit: fileBytesMax)
            guard bytes.count <= fileBytesMax else {
                throw SystemError(code: EFBIG)
            }
            return bytes
        } catch {
            throw GoogleCredentialError("\(file) cannot be read: \(error.explanation)")
        }
    }
}

/// A credential file as it is written, with what any type of it may have (https://google.aip.dev/auth/4110).
private final class CredentialFile: Decodable {
    final class Source: Decodable {
        struct Format: Decodable {
            let type: String?
            let subject_token_field_name: String?
        }
        struct Empty: Decodable {}

        let file: String?
        let url: String?
        let headers: [String: String]?
        let format: Format?
        let executable: Empty?
        let environment_id: String?
        let certificate: Empty?
    }

    let type: String
    let universe_domain: String?
    let client_email: String?
    let private_key_id: String?
    let private_key: String?
    let token_uri: String?
    let client_id: String?
    let client_secret: String?
    let refresh_token: String?
    let audience: String?
    let subject_token_type: String?
    let token_url: String?
    let credential_source: Source?
    let service_account_impersonation_url: String?
    let source_credentials: CredentialFile?
    let delegates: [String]?

    func credential(
        file: String, _ urls: TokenURLs, _ usualTokenURL: String
    ) throws(GoogleCredentialError) -> GoogleCredential {
        if let universe_domain, universe_domain != "googleapis.com" {
            throw GoogleCredentialError(
                "\(file) is of the universe \(universe_domain); only googleapis.com is supported")
        }
        switch type {
        case "service_account":
            return .serviceAccount(
                .init(
                    file: file, email: try need(client_email, "client_email", file), keyID: private_key_id,
                    key: try key(file), tokenURL: try urls.checked(token_uri ?? usualTokenURL, "token_uri", file)))
        case "authorized_user":
            return .authorizedUser(
                .init(
                    file: file, clientID: try need(client_id, "client_id", file),
                    clientSecret: try need(client_secret, "client_secret", file),
                    refreshToken: try need(refresh_token, "refresh_token", file),
                    tokenURL: try urls.checked(token_uri ?? usualTokenURL, "token_uri", file)))
        case "external_account":
            let account = GoogleCredential.externalAccount(try externalAccount(file, urls))
            return service_account_impersonation_url == nil ? account : try impersonated(by: account, file, urls)
        case "impersonated_service_account":
            guard let source_credentials, source_credentials.type != type else {
                throw GoogleCredentialError("\(file) has no source_credentials of another type")
            }
            return try impersonated(by: source_credentials.credential(file: file, urls, usualTokenURL), file, urls)
        default:
            throw GoogleCredentialError(
                "\(file) is of the type \(Log.quoted(type)); supported are service_account, external_account, "
                    + "authorized_user and impersonated_service_account")
        }
    }

    private func externalAccount(
        _ file: String, _ urls: TokenURLs
    ) throws(GoogleCredentialError) -> GoogleCredential.ExternalAccount {
        let given = try need(credential_source, "credential_source", file)
        // They run a program, ask a cloud of another kind, or need client certificates.
        for (isGiven, name) in [
            (given.executable != nil, "executable"), (given.environment_id != nil, "environment_id"),
            (given.certificate != nil, "certificate"),
        ] where isGiven {
            throw GoogleCredentialError(
                "\(file) has a credential_source with \(name), which is not supported; use file or url")
        }
        let source: GoogleCredential.ExternalAccount.Source
        switch (given.file, given.url) {
        case (let path?, nil): source = .file(path)
        case (nil, let url?) where url.hasPrefix("https://") || url.hasPrefix("http://"):
            let headers = (given.headers ?? [:]).sorted { $0.key < $1.key }
            source = .url(url, headers: headers.map { HTTPRequest.Header($0.key, $0.value) })
        default:
            throw GoogleCredentialError("\(file) has a credential_source with neither a file nor a url, or with both")
        }
        let tokenField: String?
        switch given.format?.type {
        case nil, "text": tokenField = nil
        case "json":
            tokenField = try need(given.format?.subject_token_field_name, "subject_token_field_name", file)
        case let other?:
            throw GoogleCredentialError(
                "\(file) has a credential_source of the format \(Log.quoted(other)); supported are text and json")
        }
        return GoogleCredential.ExternalAccount(
            file: file, audience: try need(audience, "audience", file),
            subjectTokenType: try need(subject_token_type, "subject_token_type", file),
            tokenURL: try urls.checked(need(token_url, "token_url", file), "token_url", file), source: source,
            tokenField: tokenField)
    }

    private func impersonated(
        by other: GoogleCredential, _ file: String, _ urls: TokenURLs
    ) throws(GoogleCredentialError) -> GoogleCredential {
        let name = "service_account_impersonation_url"
        let url = try urls.checked(need(service_account_impersonation_url, name, file), name, file)
        return .impersonated(url: url, delegates: delegates ?? [], by: other)
    }

    private func key(_ file: String) throws(GoogleCredentialError) -> PrivateKey {
        let pem = Array(try need(private_key, "private_key", file).utf8)
        do throws(TLSError) {
            return try PrivateKey(pem: pem.span, source: "the private_key of \(file)")
        } catch {
            throw GoogleCredentialError("\(error)")
        }
    }

    private func need<Value>(
        _ value: Value?, _ name: String, _ file: String
    ) throws(GoogleCredentialError) -> Value {
        guard let value else { throw GoogleCredentialError("\(file) is of the type \(type) and has no \(name)") }
        return value
    }
}

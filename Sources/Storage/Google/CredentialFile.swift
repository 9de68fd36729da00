internal import HTTP
private import Platform
internal import TLS

/// A credential file as it is written, with what any type of it may have (https://google.aip.dev/auth/4110).
///
/// Names are those of the file, in camel case.
final class CredentialFile: Decodable {
    final class Source: Decodable {
        struct Format: Decodable {
            let type: String?
            let subjectTokenFieldName: String?
        }
        struct Empty: Decodable {}

        let file: String?
        let url: String?
        let headers: [String: String]?
        let format: Format?
        let executable: Empty?
        let environmentId: String?
        let certificate: Empty?
    }

    let type: String
    let universeDomain: String?
    let clientEmail: String?
    let privateKeyId: String?
    let privateKey: String?
    let tokenUri: String?
    let clientId: String?
    let clientSecret: String?
    let refreshToken: String?
    let audience: String?
    let subjectTokenType: String?
    let tokenUrl: String?
    let credentialSource: Source?
    let serviceAccountImpersonationUrl: String?
    let sourceCredentials: CredentialFile?
    let delegates: [String]?

    func credential(
        file: String, _ urls: TokenURLs
    ) throws(GoogleCredentialError) -> GoogleCredential {
        if let universeDomain, universeDomain != "googleapis.com" {
            throw GoogleCredentialError(
                "\(file) is of the universe \(universeDomain); only googleapis.com is supported")
        }
        switch type {
        case "service_account":
            return .serviceAccount(
                .init(
                    file: file, email: try need(clientEmail, "client_email", file), keyID: privateKeyId,
                    key: try key(file), tokenURL: try urls.checked(tokenUri ?? TokenURLs.usual, "token_uri", file)))
        case "authorized_user":
            return .authorizedUser(
                .init(
                    file: file, clientID: try need(clientId, "client_id", file),
                    clientSecret: try need(clientSecret, "client_secret", file),
                    refreshToken: try need(refreshToken, "refresh_token", file),
                    tokenURL: try urls.checked(tokenUri ?? TokenURLs.usual, "token_uri", file)))
        case "external_account":
            let account = GoogleCredential.externalAccount(try externalAccount(file, urls))
            return serviceAccountImpersonationUrl == nil ? account : try impersonated(by: account, file, urls)
        case "impersonated_service_account":
            guard let sourceCredentials, sourceCredentials.type != type else {
                throw GoogleCredentialError("\(file) has no source_credentials of another type")
            }
            return try impersonated(by: sourceCredentials.credential(file: file, urls), file, urls)
        default:
            throw GoogleCredentialError(
                "\(file) is of the type \(Log.quoted(type)); supported are service_account, external_account, "
                    + "authorized_user and impersonated_service_account")
        }
    }

    private func externalAccount(
        _ file: String, _ urls: TokenURLs
    ) throws(GoogleCredentialError) -> GoogleCredential.ExternalAccount {
        let given = try need(credentialSource, "credential_source", file)
        // They run a program, ask a cloud of another kind, or need client certificates.
        for (isGiven, name) in [
            (given.executable != nil, "executable"), (given.environmentId != nil, "environment_id"),
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
            tokenField = try need(given.format?.subjectTokenFieldName, "subject_token_field_name", file)
        case let other?:
            throw GoogleCredentialError(
                "\(file) has a credential_source of the format \(Log.quoted(other)); supported are text and json")
        }
        return GoogleCredential.ExternalAccount(
            file: file, audience: try need(audience, "audience", file),
            subjectTokenType: try need(subjectTokenType, "subject_token_type", file),
            tokenURL: try urls.checked(need(tokenUrl, "token_url", file), "token_url", file), source: source,
            tokenField: tokenField)
    }

    private func impersonated(
        by other: GoogleCredential, _ file: String, _ urls: TokenURLs
    ) throws(GoogleCredentialError) -> GoogleCredential {
        let name = "service_account_impersonation_url"
        let url = try urls.checked(need(serviceAccountImpersonationUrl, name, file), name, file)
        return .impersonated(url: url, delegates: delegates ?? [], by: other)
    }

    private func key(_ file: String) throws(GoogleCredentialError) -> PrivateKey {
        let pem = Array(try need(privateKey, "private_key", file).utf8)
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

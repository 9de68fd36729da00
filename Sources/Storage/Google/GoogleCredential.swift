internal import HTTP
internal import TLS

/// Who this process is to Google's services, and how that is proved.
///
/// Holds secrets; only ``source`` is for people.
indirect enum GoogleCredential: Sendable {
    /// The machine's or the pod's own account (workload identity); `host` is the metadata server.
    case metadataServer(host: String)
    /// A key file of a service account.
    case serviceAccount(ServiceAccount)
    /// A person, as `gcloud auth application-default login` leaves it.
    case authorizedUser(AuthorizedUser)
    /// Somebody whom another identity provider vouches for.
    case externalAccount(ExternalAccount)
    /// A service account that another credential may act for.
    case impersonated(url: String, delegates: [String], by: GoogleCredential)

    struct ServiceAccount: Sendable {
        let file: String
        let email: String
        let keyID: String?
        let key: PrivateKey
        let tokenURL: String
    }

    struct AuthorizedUser: Sendable {
        let file: String
        let clientID: String
        let clientSecret: String
        let refreshToken: String
        let tokenURL: String
    }

    struct ExternalAccount: Sendable {
        enum Source: Sendable {
            /// Read anew each time: what rotates the token rewrites the file.
            case file(String)
            case url(String, headers: [HTTPRequest.Header])
        }

        let file: String
        let audience: String
        let subjectTokenType: String
        let tokenURL: String
        let source: Source
        /// The member of a JSON object that holds the subject token; nil: the text is the token.
        let tokenField: String?
    }

    /// For people, to stand after "as" or "of".
    var source: String {
        switch self {
        case .metadataServer(let host): "this machine's service account, from the metadata server \(host)"
        case .serviceAccount(let account): "the service account \(account.email) of \(account.file)"
        case .authorizedUser(let user): "the user of \(user.file)"
        case .externalAccount(let account): "the external account of \(account.file)"
        case .impersonated(let url, _, let other): "\(Self.accountName(url)), which is impersonated by \(other.source)"
        }
    }

    /// `.../serviceAccounts/NAME:generateAccessToken`
    private static func accountName(_ url: String) -> String {
        let last = url.split(separator: "/").last ?? ""
        return "the service account \(last.prefix { $0 != ":" })"
    }

    /// Requests to this machine or its hypervisor, which no proxy can make.
    static var withoutProxy: HTTPClient.Options {
        var options = HTTPClient.Options()
        options.proxy = ""
        return options
    }
}

/// Why there is no token. Never shows a secret.
struct GoogleCredentialError: Error, Hashable, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

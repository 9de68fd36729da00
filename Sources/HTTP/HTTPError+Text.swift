internal import CCurl

extension HTTPError {
    /// - Parameter isSent: whether the server may have got any of the request.
    init(_ request: HTTPRequest, isSent: Bool, reason: String, advice: String? = nil) {
        let what = "\(request.method.rawValue) \(Self.quotable(request.url))"
        let reason = advice.map { "\(reason); \($0)" } ?? reason
        self =
            isSent
            ? .unclear("\(what) has no complete answer, and the server may have acted on it: \(reason)")
            : .failed("\(what) was not sent: \(reason)")
    }

    /// A URL without user name and password: `https://user:password@host/path`.
    private static func quotable(_ url: String) -> String {
        var parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count >= 3, let at = parts[2].lastIndex(of: "@") else { return url }
        parts[2] = parts[2][parts[2].index(after: at)...]
        return parts.joined(separator: "/")
    }
}

extension CurlError {
    /// What to do about it, where that is known.
    var advice: String? {
        switch code {
        case CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT: "give an absolute http or https URL"
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: "check the name and this machine's DNS"
        case CURLE_COULDNT_CONNECT: "check the address, that the server runs, and that no firewall is in between"
        case CURLE_PEER_FAILED_VERIFICATION: "check the trusted authorities and the name in the server's certificate"
        case CURLE_SSL_CERTPROBLEM: "check the client certificate and its key"
        default: nil
        }
    }
}

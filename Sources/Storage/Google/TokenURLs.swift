private import Platform

/// Where a credential file may send what it holds.
///
/// Such a file comes from somebody else, and whoever writes it chooses where a key's signature, a refresh token or
/// another provider's token goes to (https://cloud.google.com/docs/authentication/external/externally-sourced-credentials).
/// So only Google's own hosts are let in, and what a flag allows.
struct TokenURLs {
    /// Where a token comes from when the file does not say.
    static let usual = "https://oauth2.googleapis.com/token"
    /// Not below googleapis.com, and in key files that are some years old.
    private static let oldTokenURL = "https://accounts.google.com/o/oauth2/token"

    /// Each a URL, or only its scheme, host and port.
    let allowed: [String]

    /// - Parameter name: the file's member that holds the URL.
    func checked(_ url: String, _ name: String, _ file: String) throws(GoogleCredentialError) -> String {
        if url == Self.oldTokenURL || Self.isGoogles(url) || allowed.contains(where: { Self.covers($0, url) }) {
            return url
        }
        throw GoogleCredentialError(
            "\(file) has the \(name) \(Log.quoted(String(url.prefix(200)))), which is not of googleapis.com; if you trust it with this "
                + "credential, allow it with --allowed-token-url")
    }

    private static func isGoogles(_ url: String) -> Bool {
        guard url.hasPrefix("https://") else { return false }
        let rest = url.dropFirst("https://".count)
        // Only the characters of a plain host and path: a user part, a backslash, an escape or another alphabet could make
        // the host another one than it seems.
        let allowed = rest.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-._~/:@%+".utf8.contains(byte)
            }
        }
        let host = rest.prefix { $0 != "/" }.lowercased()
        let isPlain = host.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                UInt8(ascii: "."):
                true
            default: false
            }
        }
        return allowed && isPlain && (host == "googleapis.com" || host.hasSuffix(".googleapis.com"))
    }

    /// Whether `allowed` is `url`, or its scheme, host and port.
    private static func covers(_ allowed: String, _ url: String) -> Bool {
        guard isURL(allowed) else { return false }
        if url == allowed { return true }
        guard let scheme = allowed.firstRange(of: "://") else { return false }
        let path = allowed[scheme.upperBound...].drop { $0 != "/" }
        guard path.isEmpty || path == "/" else { return false }
        return url.hasPrefix(path.isEmpty ? allowed + "/" : allowed)
    }

    /// Whether a text is an absolute URL that ``StoreAccess/allowedTokenURLs`` may have.
    static func isURL(_ text: String) -> Bool {
        guard text.hasPrefix("https://") || text.hasPrefix("http://"), let scheme = text.firstRange(of: "://") else {
            return false
        }
        let host = text[scheme.upperBound...].prefix { $0 != "/" }
        return !host.isEmpty && !host.contains("@")
            && text.utf8.allSatisfy { 0x21...0x7E ~= $0 && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: "\"") }
    }
}

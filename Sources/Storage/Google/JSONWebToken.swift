private import FoundationEssentials
internal import TLS

/// A signed assertion of who asks (RFC 7519), as Google takes it from service accounts.
enum JSONWebToken {
    private struct Header: Encodable {
        let alg = "RS256"
        let typ = "JWT"
        let kid: String?
    }

    private struct Claims: Encodable {
        let iss: String
        let aud: String
        let scope: String
        let iat: Int64
        let exp: Int64
    }

    /// - Parameters:
    ///   - key: an RSA key.
    ///   - issued: seconds of Unix time; the service compares it with its own clock.
    static func signed(
        issuer: String, audience: String, scope: String, lifetime: Duration, keyID: String?, key: PrivateKey,
        issued: Int64 = Int64(Date().timeIntervalSince1970)
    ) throws(TLSError) -> String {
        let claims = Claims(
            iss: issuer, aud: audience, scope: scope, iat: issued, exp: issued + lifetime.components.seconds)
        let text = base64URL(JSONText.encode(Header(kid: keyID))) + "." + base64URL(JSONText.encode(claims))
        return text + "." + base64URL(try key.rsaSignature(of: Array(text.utf8).span))
    }

    /// RFC 4648, section 5, without padding.
    private static func base64URL(_ bytes: [UInt8]) -> String {
        var text = ""
        for character in Data(bytes).base64EncodedString() {
            switch character {
            case "+": text += "-"
            case "/": text += "_"
            case "=": break
            default: text.append(character)
            }
        }
        return text
    }
}

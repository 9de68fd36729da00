import FoundationEssentials
import HTTP

@testable import HTTP
@testable import Storage

/// Google's credential files and answers.
enum GoogleTarget {
    static func runCredential(_ bytes: [UInt8]) throws(Finding) {
        guard let file = JSONText.decode(CredentialFile.self, from: bytes, isSnakeCase: true) else { return }
        let credential: GoogleCredential
        do throws(GoogleCredentialError) {
            credential = try file.credential(file: "credential.json", TokenURLs(allowed: []))
        } catch {
            return
        }
        try checkHosts(of: credential)
    }

    private static func checkHosts(of credential: GoogleCredential) throws(Finding) {
        switch credential {
        case .metadataServer: throw Finding("no file says metadata server")
        case .serviceAccount(let account): try checkHost(of: account.tokenURL)
        case .authorizedUser(let user): try checkHost(of: user.tokenURL)
        case .externalAccount(let account): try checkHost(of: account.tokenURL)
        case .impersonated(let url, _, let other):
            try checkHost(of: url)
            try checkHosts(of: other)
        }
    }

    /// A URL of a credential file that is let through must lead to Google, as libcurl understands it.
    static func runURL(_ bytes: [UInt8]) throws(Finding) {
        guard let text = String(validating: bytes, as: UTF8.self),
            let url = try? TokenURLs(allowed: []).checked(text, "token_uri", "credential.json")
        else { return }
        try checkHost(of: url)
    }

    private static func checkHost(of url: String) throws(Finding) {
        // What libcurl cannot read, it does not go to.
        guard let target = try? Target(url, serverName: "leasehold.test"), let place = target.connectTo else { return }
        try require(target.isEncrypted, "not encrypted: \(url)")
        let host = place.dropFirst(2).dropLast().lowercased()
        try require(
            host == "googleapis.com" || host.hasSuffix(".googleapis.com") || host == "accounts.google.com",
            "\(url) leads to \(host)")
    }

    static func runBucket(_ bytes: [UInt8]) throws(Finding) {
        let answer = HTTPResponse(status: 500, headers: [.init("Retry-After", "1")], body: bytes)
        let text = GoogleFailure.text(of: answer)
        try require(!text.unicodeScalars.contains { $0.properties.generalCategory == .control }, "control characters")
        for item in JSONText.decode(GCSPage.self, from: bytes)?.items ?? [] { _ = item.body }
        _ = JSONText.decode(GCSBucketResource.self, from: bytes)?.warnings(bucket: "b")
        // As a record that is written along with its object, and read back from the list.
        guard let metadata = GCSItem.metadata(for: bytes) else { return }
        let item = GCSItem(
            name: "n", generation: "1", size: "\(bytes.count)", crc32c: CRC32C(of: bytes).base64, metadata: metadata)
        try require(item.body == bytes, "the body comes back changed")
    }
}

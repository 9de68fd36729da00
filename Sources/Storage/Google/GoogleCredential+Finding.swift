private import FoundationEssentials
private import Glibc

extension GoogleCredential {
    private static let fileBytesMax = 1 << 20
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
        guard let content = JSONText.decode(CredentialFile.self, from: bytes, isSnakeCase: true) else {
            throw GoogleCredentialError("\(file) is no credential file: it is not JSON with a type")
        }
        return try content.credential(file: file, urls)
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

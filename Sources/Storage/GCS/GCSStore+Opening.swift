internal import HTTP

extension GCSStore {
    private static let service = "https://storage.googleapis.com"
    /// To find the credential and look at the bucket, at least; a metadata server that just started needs a few seconds.
    private static let openingTimeMin = Duration.seconds(10)
    private static let prefixBytesMax = 512

    /// Opens what follows `gs:`, which is `//BUCKET` or `//BUCKET/PREFIX`.
    static func opener(_ rest: Substring) throws(StoreAddressError) -> StoreAddress.Opener {
        guard rest.hasPrefix("//") else { throw StoreAddressError("after gs: comes //BUCKET") }
        let bucket = String(rest.dropFirst(2).prefix { $0 != "/" })
        guard isBucketName(bucket) else {
            throw StoreAddressError(
                "\(bucket.isEmpty ? "nothing" : bucket) is no bucket's name, which has 3 to 222 of a-z 0-9 - _ .")
        }
        var prefix = String(rest.dropFirst(2).drop { $0 != "/" }.dropFirst())
        while prefix.hasSuffix("/") { prefix.removeLast() }
        guard isPrefix(prefix) else {
            throw StoreAddressError(
                "the prefix \(prefix) is not made of parts of a-z A-Z 0-9 - _ . with single / between them, "
                    + "\(prefixBytesMax) characters at most")
        }
        return { [prefix] timeout, creating, access throws(StoreError) in
            try await open(
                bucket: bucket, prefix: prefix.isEmpty ? "" : prefix + "/", timeout: timeout, creating: creating,
                access: access)
        }
    }

    /// Finds the credential and looks at the bucket.
    private static func open(
        bucket: String, prefix: String, timeout: Duration, creating: Bool, access: StoreAccess
    ) async throws(StoreError) -> GCSStore {
        let deadline = ContinuousClock.now + max(timeout, openingTimeMin)
        let client: GCSClient
        if let host = access.environment["STORAGE_EMULATOR_HOST"], !host.isEmpty {
            access.warn("STORAGE_EMULATOR_HOST is \(host): the records are kept there, and no credential is used")
            client = GCSClient(
                bucket: bucket, base: emulator(host), http: HTTPClient(GoogleCredential.withoutProxy), tokens: nil,
                projectID: access.projectID)
        } else {
            let credential: GoogleCredential
            do throws(GoogleCredentialError) {
                credential = try GoogleCredential.find(access)
            } catch {
                throw .failed(error.description)
            }
            client = GCSClient(
                bucket: bucket, base: service, http: HTTPClient(),
                tokens: GoogleTokens(credential, warn: access.warn), projectID: access.projectID)
        }
        try await check(client, by: deadline, access)
        let store = GCSStore(client: client, prefix: prefix, timeout: timeout)
        if !creating, try await !store.isUsed(by: deadline) {
            throw .failed(
                "There is nothing in gs://\(bucket)/\(prefix), so nothing has run with this store yet. Check the spelling."
            )
        }
        return store
    }

    /// Whether the bucket is there, and what of its settings is better changed.
    private static func check(
        _ client: GCSClient, by deadline: ContinuousClock.Instant, _ access: StoreAccess
    ) async throws(StoreError) {
        let call = GCSClient.Call(
            path: "/storage/v1/b/\(PercentEncoding.encoded(client.bucket))",
            query: [("fields", GCSBucketResource.fields)])
        let response = try await client.ask(call, by: deadline)
        switch response.status {
        case 200:
            guard let settings = JSONText.decode(GCSBucketResource.self, from: response.body) else {
                throw .failed(
                    "gs://\(client.bucket): what answers is not Google Cloud Storage. Check proxies and "
                        + "STORAGE_EMULATOR_HOST.")
            }
            for warning in settings.warnings(bucket: client.bucket) { access.warn(warning) }
        case 403:
            // The right to use the objects is enough; a role for objects only does not have this one.
            access.warn(
                "The settings of the bucket \(client.bucket) could not be checked (\(GoogleFailure.text(of: response))): see "
                    + "that it has no retention policy, object versioning or soft delete")
        default:
            throw .failed(client.failure(response))
        }
    }

    /// `HOST:PORT` or a URL, as Google's own clients take it.
    private static func emulator(_ host: String) -> String {
        var url = host.contains("://") ? host : "http://\(host)"
        while url.hasSuffix("/") { url.removeLast() }
        return url.hasSuffix("/storage/v1") ? String(url.dropLast("/storage/v1".count)) : url
    }

    /// https://cloud.google.com/storage/docs/buckets#naming, as far as it keeps a mistake from becoming a request.
    private static func isBucketName(_ text: String) -> Bool {
        guard (3...222).contains(text.utf8.count) else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }

    /// Not all that the service would take: what has a meaning in URLs, shells or `gcloud` patterns is left out.
    private static func isPrefix(_ text: String) -> Bool {
        if text.isEmpty { return true }
        guard text.utf8.count <= prefixBytesMax else { return false }
        return text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty && part != "." && part != ".."
                && part.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                        UInt8(ascii: "."):
                        true
                    default: false
                    }
                }
        }
    }
}

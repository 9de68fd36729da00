private import CCurl

/// Where a request goes, as libcurl has to be told.
struct Target {
    let url: String
    let isEncrypted: Bool
    /// This machine itself, which no proxy can reach.
    let isLoopback: Bool
    /// Where to connect, when the URL had to be given the name in the server's certificate.
    let connectTo: String?
    /// What the server is to see as its name then.
    let hostHeader: String?

    /// - Parameter serverName: the name that the server's certificate must have; nil: the URL's host.
    init(_ url: String, serverName: String?) throws(CurlError) {
        let parsed = try ParsedURL(url)
        let host = try parsed.part(CURLUPART_HOST)
        isEncrypted = try parsed.part(CURLUPART_SCHEME) == "https"
        isLoopback = host.lowercased() == "localhost" || host == "[::1]" || host.hasPrefix("127.")
        guard let serverName, serverName != host else {
            self.url = url
            connectTo = nil
            hostHeader = nil
            return
        }
        // libcurl takes the name for SNI and for the check from the URL. Nothing else tells it to use another.
        let port = try? parsed.part(CURLUPART_PORT)
        try parsed.set(CURLUPART_HOST, serverName.contains(":") ? "[\(serverName)]" : serverName)
        self.url = try parsed.part(CURLUPART_URL)
        connectTo = "::\(host):"
        hostHeader = port.map { "\(host):\($0)" } ?? host
    }
}

/// libcurl's parser of URLs (libcurl-url(3)).
@safe private final class ParsedURL {
    private let raw: OpaquePointer

    init(_ url: String) throws(CurlError) {
        try CurlLibrary.shared.get()
        guard let raw = unsafe shim_url() else { throw CurlError(CURLE_OUT_OF_MEMORY) }
        unsafe self.raw = raw
        try set(CURLUPART_URL, url)
    }

    deinit { unsafe shim_url_cleanup(raw) }

    func set(_ part: CURLUPart, _ text: String) throws(CurlError) {
        try Self.check(unsafe shim_url_set(raw, part, text, 0))
    }

    func part(_ part: CURLUPart) throws(CurlError) -> String {
        var text: UnsafeMutablePointer<CChar>?
        try Self.check(unsafe shim_url_get(raw, part, &text, 0))
        defer { unsafe shim_free(text) }
        return unsafe String(cString: text!)
    }

    private static func check(_ code: CURLUcode) throws(CurlError) {
        guard code == CURLUE_OK else {
            throw CurlError(CURLE_URL_MALFORMAT, text: unsafe String(cString: shim_url_strerror(code)))
        }
    }
}

internal import CCurl

extension EasyHandle {
    /// What is sent, and the bounds of it.
    func apply(_ request: HTTPRequest, _ target: Target) throws(CurlError) {
        try set(CURLOPT_URL, target.url)
        try set(CURLOPT_PATH_AS_IS, 1)
        try set(CURLOPT_PROTOCOLS_STR, "http,https")
        try set(CURLOPT_NOSIGNAL, 1)
        // The time-out is the engine's, since libcurl's does not run while a transfer waits for another's connection.
        // This one tells earlier of a server to which there is no way.
        try set(CURLOPT_CONNECTTIMEOUT_MS, Self.connectTimeout.wholeMilliseconds)
        // Otherwise the removal of a transfer waits for getaddrinfo(3), and with it all transfers. The thread that
        // runs it cleans up after itself (asyn-thread.c).
        try set(CURLOPT_QUICK_EXIT, 1)
        switch (request.method, request.body) {
        case (.get, nil):
            try set(CURLOPT_HTTPGET, 1)
        case (.delete, nil):
            try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        case (_, let body):
            try setBody(body ?? [])
            try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        }
    }

    private static var connectTimeout: Duration { .seconds(10) }

    /// Whom to trust and what to prove, and the way to the server.
    func apply(_ options: HTTPClient.Options, _ target: Target) throws(CurlError) {
        try set(CURLOPT_USERAGENT, options.userAgent)
        switch options.trust {
        case .system:
            break
        case .authorities(let authorities):
            try set(CURLOPT_CAINFO_BLOB, blob: authorities)
            // Debian's libcurl would look here too.
            try set(CURLOPT_CAPATH, nil)
        case .anybody:
            try set(CURLOPT_SSL_VERIFYPEER, 0)
            try set(CURLOPT_SSL_VERIFYHOST, 0)
        }
        if let identity = options.identity {
            try set(CURLOPT_SSLCERT_BLOB, blob: identity.chain)
            try set(CURLOPT_SSLKEY_BLOB, blob: identity.key)
        }
        // Each easy handle has a cache of its own, in which nothing would ever be found.
        try set(CURLOPT_SSL_SESSIONID_CACHE, 0)
        if let proxy = options.proxy ?? (target.isLoopback ? "" : nil) { try set(CURLOPT_PROXY, proxy) }
        // What the proxy says to CONNECT is no part of the answer.
        try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
    }

    /// Which connection to take.
    ///
    /// A stream gets a connection of its own, over HTTP/1.1: while one stream of an HTTP/2 connection is paused, libcurl
    /// 7.88 reads nothing for the others. So that no other request comes to share it (in a cache with connections of both
    /// kinds, libcurl 7.88 takes those in use for multiplexed ones), it differs in a setting that must be equal for
    /// sharing and has no effect: the highest TLS version, which is 1.3 either way.
    func apply(_ age: Distrust.Age, isStream: Bool, isEncrypted: Bool) throws(CurlError) {
        let versions = isStream ? CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_3 : CURL_SSLVERSION_TLSv1_2
        try set(CURLOPT_SSLVERSION, Int(versions))
        // Without TLS there is no ALPN to tell of HTTP/2, so nothing to wait for.
        let isMultiplexed = isEncrypted && !isStream
        try set(CURLOPT_HTTP_VERSION, Int(isMultiplexed ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1))
        try set(CURLOPT_PIPEWAIT, isMultiplexed ? 1 : 0)
        if isStream {
            try set(CURLOPT_FRESH_CONNECT, 1)
            try set(CURLOPT_FORBID_REUSE, 1)
        }
        switch age {
        case .any: break
        case .atMost(let seconds): try set(CURLOPT_MAXLIFETIME_CONN, seconds)
        case .new: try set(CURLOPT_FRESH_CONNECT, 1)
        }
    }
}

extension Duration {
    /// Rounded up, at least 1; for ever is 24 days.
    var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        guard seconds < 24 * 86_400 else { return 24 * 86_400_000 }
        return max(1, Int(seconds) * 1000 + Int((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000))
    }
}

internal import CCurl

/// The system's libcurl, loaded when the first request is about to be sent: a process that sends none does without its
/// memory, and without the library itself.
enum CurlLibrary {
    /// By the name of its binary interface, which has been the same since 2006.
    static let name = "libcurl.so.4"

    /// Whether this process has it. Nothing else of libcurl may be called before; the first use loads it.
    static let shared = Result { () throws(CurlError) in try load(name) }

    /// - Throws: when there is no such library, it lacks something, or it cannot be set up.
    static func load(_ name: String) throws(CurlError) {
        if let problem = unsafe shim_load(name) {
            throw CurlError(
                CURLE_FAILED_INIT,
                text: "\(unsafe String(cString: problem)); install libcurl 7.85 or newer (Debian: libcurl4)")
        }
        // Once in the process, before anything else of libcurl (curl_global_init(3)).
        let result = shim_global_init(Int(CURL_GLOBAL_DEFAULT))
        guard result == CURLE_OK else { throw CurlError(result) }
    }
}

internal import CCurl

/// What libcurl refused, in its own words (libcurl-errors(3)).
struct CurlError: Error, Equatable {
    let code: CURLcode
    /// Never empty.
    let text: String

    /// - Parameter text: libcurl's text on this occasion; empty: the one that goes with the code.
    init(_ code: CURLcode, text: String = "") {
        self.code = code
        self.text = unsafe text.isEmpty ? String(cString: shim_easy_strerror(code)) : text
    }
}

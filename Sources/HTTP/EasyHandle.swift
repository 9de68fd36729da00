internal import CCurl

/// Owns one libcurl easy handle: the options and the state of one transfer (libcurl-easy(3)).
///
/// Confined to the thread of the engine. What is set is copied, unless said otherwise.
@safe final class EasyHandle {
    private let raw: UnsafeMutableRawPointer
    // libcurl writes into these and reads from them as long as the handle lives.
    private let errorText: UnsafeMutablePointer<CChar>
    private let headers: UnsafeMutablePointer<curl_slist>?
    private let connectTo: UnsafeMutablePointer<curl_slist>?

    /// - Parameters:
    ///   - headers: as libcurl reads them: `Name: value`, `Name;` with an empty value, `Name:` not to be sent.
    ///   - connectTo: where to connect in place of the URL's host (CURLOPT_CONNECT_TO(3)).
    init(headers: [String], connectTo: String?) throws(CurlError) {
        guard let raw = unsafe shim_easy_init() else { throw CurlError(CURLE_FAILED_INIT) }
        unsafe self.raw = raw
        unsafe errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        unsafe self.headers = Self.list(headers)
        unsafe self.connectTo = Self.list(connectTo.map { [$0] } ?? [])
        // From here on `deinit` cleans up, also when this throws.
        guard unsafe (self.headers != nil || headers.isEmpty) && (self.connectTo != nil || connectTo == nil) else {
            throw CurlError(CURLE_OUT_OF_MEMORY)
        }
        try check(unsafe shim_set_pointer(raw, CURLOPT_ERRORBUFFER, errorText))
        try check(unsafe shim_set_list(raw, CURLOPT_HTTPHEADER, self.headers))
        try check(unsafe shim_set_list(raw, CURLOPT_CONNECT_TO, self.connectTo))
    }

    deinit {
        unsafe shim_easy_cleanup(raw)
        unsafe shim_slist_free_all(headers)
        unsafe shim_slist_free_all(connectTo)
        unsafe errorText.deallocate()
    }

    func set(_ option: CURLoption, _ value: Int) throws(CurlError) {
        try check(unsafe shim_set_long(raw, option, value))
    }

    /// - Parameter text: nil: back to what libcurl does by itself, or nothing.
    func set(_ option: CURLoption, _ text: String?) throws(CurlError) {
        try check(unsafe shim_set_text(raw, option, text))
    }

    func set(_ option: CURLoption, blob: [UInt8]) throws(CurlError) {
        try check(unsafe shim_set_blob(raw, option, blob, blob.count))
    }

    func setBody(_ body: [UInt8]) throws(CurlError) {
        // In this order: with a size, libcurl copies so many bytes, zeros included.
        try check(unsafe shim_set_large(raw, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count)))
        try check(unsafe shim_set_pointer(raw, CURLOPT_COPYPOSTFIELDS, body))
    }

    /// Sends every callback to `transfer`, which has to live until this handle is gone.
    func setCallbacks(_ transfer: Transfer) throws(CurlError) {
        let pointer = unsafe Unmanaged.passUnretained(transfer).toOpaque()
        for option in [CURLOPT_PRIVATE, CURLOPT_WRITEDATA, CURLOPT_HEADERDATA, CURLOPT_PREREQDATA] {
            try check(unsafe shim_set_pointer(raw, option, pointer))
        }
        try check(unsafe shim_set_write(raw, CURLOPT_WRITEFUNCTION, receiveBody))
        try check(unsafe shim_set_write(raw, CURLOPT_HEADERFUNCTION, receiveHeader))
        try check(unsafe shim_set_prereq(raw, beginSending))
        try check(unsafe shim_set_sockopt(raw, prepareSocket))
    }

    /// Goes on after a callback has paused the transfer; may call back at once.
    func resume() throws(CurlError) {
        try check(unsafe shim_easy_pause(raw, CURLPAUSE_CONT))
    }

    func number(_ info: CURLINFO) -> Int {
        var value = 0
        // Fails only for what is no number, a mistake here.
        precondition(unsafe shim_get_long(raw, info, &value) == CURLE_OK)
        return value
    }

    /// `code` with what libcurl says about the transfer's failure.
    func error(_ code: CURLcode) -> CurlError {
        CurlError(code, text: unsafe String(cString: errorText))
    }

    /// Lends libcurl's handle, which stays valid for the call.
    func withRaw<Result>(_ body: (UnsafeMutableRawPointer) -> Result) -> Result {
        unsafe body(raw)
    }

    private func check(_ code: CURLcode) throws(CurlError) {
        guard code == CURLE_OK else { throw CurlError(code) }
    }

    /// - Returns: nil when there are no lines, or no memory.
    private static func list(_ lines: [String]) -> UnsafeMutablePointer<curl_slist>? {
        var list: UnsafeMutablePointer<curl_slist>?
        for line in lines {
            guard let longer = unsafe shim_slist_append(list, line) else {
                unsafe shim_slist_free_all(list)
                return nil
            }
            unsafe list = longer
        }
        return unsafe list
    }
}

// The callbacks of libcurl. Each recovers the transfer, which the engine keeps alive until its handle has been removed and
// freed, and calls one method. All run on the engine's thread, inside of curl_multi_perform or curl_easy_pause.

private func transfer(_ pointer: UnsafeMutableRawPointer?) -> Transfer {
    unsafe Unmanaged<Transfer>.fromOpaque(pointer!).takeUnretainedValue()
}

private func receiveBody(
    bytes: UnsafeMutablePointer<CChar>?, size: Int, count: Int, context: UnsafeMutableRawPointer?
) -> Int {
    let bytes = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
    return unsafe transfer(context).receiveBody(bytes)
}

private func receiveHeader(
    bytes: UnsafeMutablePointer<CChar>?, size: Int, count: Int, context: UnsafeMutableRawPointer?
) -> Int {
    let bytes = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
    return unsafe transfer(context).receiveHeader(bytes)
}

private func beginSending(
    context: UnsafeMutableRawPointer?, peer: UnsafeMutablePointer<CChar>?, local: UnsafeMutablePointer<CChar>?,
    peerPort: Int32, localPort: Int32
) -> Int32 {
    unsafe transfer(context).beginSending() ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
}

private func prepareSocket(context: UnsafeMutableRawPointer?, socket: curl_socket_t, purpose: curlsocktype) -> Int32 {
    KeepAlive.apply(to: socket)
    return Int32(CURL_SOCKOPT_OK)
}

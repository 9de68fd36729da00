internal import CCurl

/// Owns libcurl's multi handle: all transfers and the connections that they share (libcurl-multi(3)).
///
/// Confined to the thread of the engine, but for ``wakeUp()``.
@safe final class MultiHandle: @unchecked Sendable {
    // Only the engine's thread uses it, except in curl_multi_wakeup(3), which any thread may call.
    private let raw: UnsafeMutableRawPointer

    /// How many idle connections are kept for reuse; beyond that the one idle for longest is closed.
    private static let connectionsMax = 64

    /// - Throws: when libcurl cannot be set up.
    init() throws(CurlError) {
        try CurlLibrary.shared.get()
        guard let raw = unsafe shim_multi_init() else { throw CurlError(CURLE_FAILED_INIT) }
        unsafe self.raw = raw
        try Self.check(unsafe shim_multi_set_long(raw, CURLMOPT_PIPELINING, Int(CURLPIPE_MULTIPLEX)))
        try Self.check(unsafe shim_multi_set_long(raw, CURLMOPT_MAXCONNECTS, Self.connectionsMax))
    }

    deinit { unsafe shim_multi_cleanup(raw) }

    func add(_ easy: EasyHandle) throws(CurlError) {
        try Self.check(unsafe easy.withRaw { unsafe shim_multi_add_handle(raw, $0) })
    }

    /// Breaks the transfer off if it is not complete, and closes its connection unless others share it.
    func remove(_ easy: EasyHandle) {
        let code = unsafe easy.withRaw { unsafe shim_multi_remove_handle(raw, $0) }
        // Fails only for a handle that is none, or inside of a callback.
        precondition(code == CURLM_OK, "curl_multi_remove_handle failed with \(code.rawValue)")
    }

    /// Does what can be done without waiting.
    func perform() {
        var running: Int32 = 0
        let code = unsafe shim_multi_perform(raw, &running)
        precondition(code == CURLM_OK, "curl_multi_perform failed with \(code.rawValue)")
    }

    /// Waits until something can be done, ``wakeUp()`` is called, or the time is over.
    func wait(milliseconds: Int32) {
        let code = unsafe shim_multi_poll(raw, nil, 0, milliseconds, nil)
        precondition(code == CURLM_OK, "curl_multi_poll failed with \(code.rawValue)")
    }

    /// Ends the present or the next wait. Any thread may call it.
    func wakeUp() {
        let code = unsafe shim_multi_wakeup(raw)
        precondition(code == CURLM_OK, "curl_multi_wakeup failed with \(code.rawValue)")
    }

    /// The next transfer that has come to its end, with libcurl's result; nil: none.
    func nextFinished() -> (transfer: Transfer, result: CURLcode)? {
        var left: Int32 = 0
        while let message = unsafe shim_multi_info_read(raw, &left) {
            guard unsafe message.pointee.msg == CURLMSG_DONE else { continue }
            var pointer: UnsafeMutableRawPointer?
            let code = unsafe shim_get_pointer(message.pointee.easy_handle, CURLINFO_PRIVATE, &pointer)
            precondition(code == CURLE_OK, "curl_easy_getinfo failed with \(code.rawValue)")
            // The engine keeps the transfer until it has removed it from here.
            let transfer = unsafe Unmanaged<Transfer>.fromOpaque(pointer!).takeUnretainedValue()
            return (transfer, unsafe shim_result(message))
        }
        return nil
    }

    private static func check(_ code: CURLMcode) throws(CurlError) {
        guard code == CURLM_OK else {
            throw CurlError(CURLE_FAILED_INIT, text: unsafe String(cString: shim_multi_strerror(code)))
        }
    }
}

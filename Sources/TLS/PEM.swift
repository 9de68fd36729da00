private import COpenSSL

/// PEM texts (RFC 7468) in memory, as OpenSSL reads and writes them.
enum PEM {
    /// Lends a BIO that reads `bytes` to `body`.
    static func reading<Result>(
        _ bytes: Span<UInt8>, _ body: (OpaquePointer) throws(TLSError) -> Result
    ) throws(TLSError) -> Result {
        // The same bound as for files, so that the size fits OpenSSL's int.
        guard bytes.count <= SmallFile.bytesMax else {
            throw TLSError.invalid(
                "a PEM text", problem: "has \(bytes.count) bytes, more than the \(SmallFile.bytesMax) allowed")
        }
        ErrorQueue.clear()
        // No closure of the standard library passes a typed error through `rethrows`, hence the Result.
        let result: Swift.Result<Result, TLSError> = unsafe bytes.withUnsafeBytes { bytes in
            guard let bio = unsafe BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count)) else {
                return .failure(ErrorQueue.failure("read a PEM text"))
            }
            defer { unsafe BIO_free(bio) }
            do throws(TLSError) { return .success(try unsafe body(bio)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Lends what `write` writes (it returns 1 when all went well) to `body`; the memory is wiped afterwards.
    static func writing<Result>(
        _ what: String, _ write: (OpaquePointer) -> Int32, _ body: (Span<UInt8>) throws(TLSError) -> Result
    ) throws(TLSError) -> Result {
        ErrorQueue.clear()
        // BIO_free wipes the memory of a BIO_s_mem (BUF_MEM_free), as growing it does.
        guard let bio = unsafe BIO_new(BIO_s_mem()), unsafe write(bio) == 1 else {
            throw ErrorQueue.failure("write \(what) as PEM")
        }
        defer { unsafe BIO_free(bio) }
        var start: UnsafeMutablePointer<CChar>?
        let count = unsafe shim_BIO_get_mem_data(bio, &start)
        return try unsafe body(Span(_unsafeBytes: UnsafeRawBufferPointer(start: start, count: count)))
    }

    static func text(_ what: String, _ write: (OpaquePointer) -> Int32) throws(TLSError) -> String {
        try unsafe writing(what, write) { bytes in
            unsafe bytes.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
        }
    }
}

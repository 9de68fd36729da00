import Testing

@testable import HTTP

struct CurlLibraryTests {
    @Test func `a library that is missing is named, and what to install`() {
        let error = #expect(throws: CurlError.self) { try CurlLibrary.load("libcurl-of-nobody.so.4") }
        #expect(
            error?.text
                == "libcurl-of-nobody.so.4: cannot open shared object file: No such file or directory; "
                + "install libcurl 7.85 or newer (Debian: libcurl4)")
    }

    @Test func `a library without what is used of libcurl is refused, and the one that is loaded stays`() async throws {
        let error = #expect(throws: CurlError.self) { try CurlLibrary.load("libc.so.6") }
        #expect(error?.text.contains("undefined symbol: curl_") == true)
        // Nothing listens there; that libcurl says so is the point.
        let refused = await #expect(throws: HTTPError.self) {
            try await HTTPClient().send(HTTPRequest(.get, "http://127.0.0.1:1/", timeout: .seconds(60)))
        }
        #expect(refused?.description.contains("127.0.0.1 port 1") == true)
    }
}

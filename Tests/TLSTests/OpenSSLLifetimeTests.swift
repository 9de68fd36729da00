import Glibc
import Testing

@testable import TLS

struct OpenSSLLifetimeTests {
    @Test func `who still uses OpenSSL when the process ends is not in the way of that`() async {
        await #expect(processExitsWith: .exitCode(7)) {
            // Registered before OpenSSL's own, and so called after it, as a thread may be that nobody waits for.
            atexit { _exit((try? PrivateKey.generate()) == nil ? 8 : 7) }
            keepOpenSSLUntilTheEnd()
            _ = try PrivateKey.generate()
            exit(0)
        }
    }
}

import Glibc
import Platform
import Testing

@testable import Webhook

struct EventThreadTests {
    @Test func `a crash on its thread reaches the process's handler, which can report it`() async {
        await #expect(processExitsWith: .exitCode(77)) {
            // What a trap raises depends on the processor.
            for number in [SIGILL, SIGTRAP] { signal(number) { _ in _exit(77) } }
            try EventThread(name: "test") { preconditionFailure("a crash, for the test") }.join()
        }
    }

    @Test func `signals to the process are left to the main thread`() throws {
        let signals = [SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE]
        let blocked = Locked<[Int32]>([])
        try EventThread(name: "test") {
            var mask = sigset_t()
            unsafe pthread_sigmask(SIG_BLOCK, nil, &mask)
            let members = signals.filter { unsafe sigismember(&mask, $0) == 1 }
            blocked.withLock { $0 = members }
        }.join()
        #expect(blocked.withLock { $0 } == signals)
    }
}

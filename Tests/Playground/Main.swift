private import Glibc

/// `leasehold-playground [CLUSTER ...]`: whole clusters with Leasehold on this machine, for people, until Ctrl-C.
@main
struct Main {
    static func main() {
        // Held by the main thread before there is another one, and hence by all.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)

        let arguments = Array(CommandLine.arguments.dropFirst())
        // Not on the main thread, which waits for signals.
        let playground = Task.detached {
            do {
                try await Playground(clusters: arguments.isEmpty ? ["east", "west"] : arguments).run()
                exit(0)
            } catch is CancellationError {
                exit(130)
            } catch {
                say("leasehold-playground: \(error)")
                exit(1)
            }
        }
        var number: Int32 = 0
        while unsafe sigwait(&signals, &number) != 0 {}
        say("\nEnds the clusters ...")
        playground.cancel()
        while unsafe sigwait(&signals, &number) != 0 {}
        // Whoever is in a hurry: the kernel ends the children with this process.
        _exit(1)
    }
}

/// Writes a line to standard error.
func say(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    // Where nobody reads there is nobody to tell.
    _ = unsafe write(2, bytes, bytes.count)
}

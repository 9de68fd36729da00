private import Chaos
private import Glibc

/// `leasehold-chaos [SECONDS [SEED [FOLDER]]]`: chaos for so long, with its report and logs in a folder.
/// `leasehold-chaos soak RESULT [SECONDS [SEED [FOLDER]]]`: a soak, with its report in RESULT.json and RESULT.svg, too.
@main
struct Main {
    static func main() {
        var arguments = Array(CommandLine.arguments.dropFirst())
        let result = arguments.first == "soak" && arguments.count > 1 ? arguments[1] : nil
        if result != nil { arguments.removeFirst(2) }
        if arguments == [ClockProbe.argument] {
            Task.detached { exit(await ClockProbe.run()) }
            while true { pause() }
        }
        guard let settings = settings(arguments, isSoak: result != nil) else {
            say(
                "leasehold-chaos: got \(arguments.joined(separator: " ")); allowed: SECONDS, from 1 to 86400, SEED, a "
                    + "number, and FOLDER")
            exit(2)
        }
        // Held by the main thread before there is another one, and hence by all.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)

        // Not on the main thread, which waits for signals.
        let run = Task.detached { exit(await perform(settings, result)) }
        var number: Int32 = 0
        while unsafe sigwait(&signals, &number) != 0 {}
        say("Ends, with a report of what was seen so far ...")
        run.cancel()
        while unsafe sigwait(&signals, &number) != 0 {}
        // Whoever is in a hurry: the kernel ends the children with this process.
        _exit(1)
    }

    /// nil: the arguments make no sense.
    private static func settings(_ arguments: [String], isSoak: Bool) -> ChaosSettings? {
        let seconds = arguments.isEmpty ? (isSoak ? 3600 : 600) : Int(arguments[0])
        let seed = arguments.count < 2 || arguments[1].isEmpty ? UInt64.random(in: 1...999_999) : UInt64(arguments[1])
        guard let seconds, (1...86_400).contains(seconds), let seed, arguments.count <= 3 else { return nil }
        return ChaosSettings(
            seed: seed, duration: .seconds(seconds),
            folder: arguments.count > 2 ? arguments[2] : isSoak ? ".soak" : ".chaos", say: say)
    }

    /// - Parameter result: where a soak's goes; nil: it is chaos.
    /// - Returns: the exit code.
    private static func perform(_ settings: ChaosSettings, _ result: String?) async -> Int32 {
        do {
            if let result {
                let report = try await Soak.run(settings)
                try report.write(to: result)
                print(report.text)
                fflush(nil)
                return report.isFlat ? 0 : 1
            }
            let report = try await ChaosRun(settings).run()
            try report.write()
            print(report.text)
            fflush(nil)
            return report.isClean ? 0 : 1
        } catch {
            say("leasehold-chaos: \(error)")
            return 1
        }
    }
}

/// Writes a line to standard error.
@Sendable private func say(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    // Where nobody reads there is nobody to tell.
    _ = unsafe write(2, bytes, bytes.count)
}

import FoundationEssentials
import Glibc
import Platform
import Support
import Testing

@testable import Kubernetes

/// Credential plugins, as shell scripts.
@Suite(.timeLimit(.minutes(2)))
struct PluginTests {
    private static let minute = 60_000_000_000 as Int64

    private let files: TemporaryDirectory

    init() throws { files = try TemporaryDirectory() }

    // Read by a shell, as executing a file that was just written fails with ETXTBSY when another test forks meanwhile.
    private func write(script: String) throws {
        try files.write(script, to: "plugin")
    }

    private func plugin(_ command: String = "/bin/sh", hint: String? = nil) -> ExecPlugin {
        ExecPlugin(
            apiVersion: "client.authentication.k8s.io/v1", command: command,
            arguments: [files.file("plugin"), "one", "two words"],
            environment: ["PATH": "/usr/bin:/bin", "EXTRA": "e"], installHint: hint,
            information: "{}", directories: [])
    }

    private static func credential(_ status: String) -> String {
        #"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{\#(status)}}"#
    }

    @Test func `the plugin gets its arguments, its environment and what there is to know of the cluster`() async throws
    {
        try write(
            script: #"echo "$KUBERNETES_EXEC_INFO|$1|$2|$EXTRA" > "$0.seen"; echo '"#
                + Self.credential(#""token":"t""#) + "'")
        let credential = try await plugin().run()
        #expect(credential.token == "t" && credential.identity == nil && credential.expiresAfter == nil)
        let seen = try String(contentsOfFile: files.file("plugin.seen"), encoding: .utf8)
        #expect(seen == "{}|one|two words|e\n")
    }

    @Test func `the plugin gets none of the files that this process has open`() async throws {
        // Not closed by exec, as libcurl's sockets are not.
        let opened = unsafe open("/dev/null", O_RDONLY)
        // A number that no shell takes for itself.
        let descriptor = fcntl(opened, F_DUPFD, 500)
        try #require(descriptor >= 500)
        defer {
            close(opened)
            close(descriptor)
        }
        try write(script: #"ls /proc/$$/fd > "$0.seen"; echo '"# + Self.credential(#""token":"t""#) + "'")
        _ = try await plugin().run()
        let seen = try String(contentsOfFile: files.file("plugin.seen"), encoding: .utf8).split(separator: "\n")
        #expect(seen.contains("2") && !seen.contains("\(descriptor)"), "\(descriptor) is among \(seen)")
    }

    @Test func `a certificate is as good as a token`() async throws {
        try write(
            script: "echo '" + Self.credential(#""clientCertificateData":"c","clientKeyData":"k""#) + "'")
        let credential = try await plugin().run()
        #expect(credential.token == nil)
        #expect(credential.identity?.chain == Array("c".utf8) && credential.identity?.key == Array("k".utf8))
    }

    @Test(arguments: ["2126-01-01T00:00:00Z", "2126-01-01T00:00:00.5Z", "2126-01-01T02:00:00+02:00"])
    func `the time of its end is understood as plugins write it`(time: String) async throws {
        try write(script: "echo '" + Self.credential(#""token":"t","expirationTimestamp":"\#(time)""#) + "'")
        let left = try #require(try await plugin().run().expiresAfter)
        #expect(left > .seconds(86400 * 365) && left < .seconds(86400 * 365 * 200))
    }

    struct Failure: CustomTestStringConvertible, Sendable {
        let script: String
        let text: String
        var testDescription: String { text }
    }

    static let failures: [Failure] = [
        Failure(script: "echo 'log in first' >&2; exit 3", text: "it ended with exit code 3: log in first"),
        Failure(script: "kill -9 $$", text: "signal 9 ended it"),
        Failure(script: "echo secret", text: "its output is no ExecCredential"),
        Failure(script: "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"v0\"}'", text: "it answers in v0"),
        Failure(script: "echo '" + credential("") + "'", text: "neither a token nor a certificate"),
        Failure(
            script: "echo '" + credential(#""token":"secret","clientKeyData":"secret""#) + "'",
            text: "only one of certificate and key"),
        Failure(
            script: "echo '" + credential(#""token":"secret","expirationTimestamp":"soon""#) + "'",
            text: "no RFC 3339 time: soon"),
        Failure(script: "exec yes secret", text: "its output did not end"),
    ]

    @Test(arguments: failures)
    func `a plugin that fails is told why, without what it printed`(failure: Failure) async throws {
        try write(script: failure.script)
        let error = await #expect(throws: KubernetesError.self) { try await plugin().run() }
        #expect(error?.code == .credentials)
        #expect(
            error?.message.contains("The credential plugin /bin/sh of the kubeconfig gave no credentials: ") == true)
        #expect(error?.message.contains(failure.text) == true)
        #expect(error?.message.contains("secret") == false)
    }

    @Test func `a plugin that is not there is told with the hint where to get it`() async throws {
        let error = await #expect(throws: KubernetesError.self) {
            try await plugin("no-such-plugin", hint: "Install it with x.\n").run()
        }
        #expect(error?.message.contains("there is no such program. Install it with x.") == true)
    }

    @Test func `a program that does not end is ended, with all that it has started`() async throws {
        // The pipe stays open for as long as either of the two lives.
        let program = Subprocess(
            path: "/bin/sh", arguments: ["-c", "echo waits >&2; sleep 1000 & echo $! > '\(files.file("pid"))'; wait"],
            environment: [:], timeout: .seconds(5), outputBytesMax: 10)
        await #expect(throws: Subprocess.Failure.timedOut(complaint: "waits")) { try await program.run() }
        let pid = try #require(
            Int32(String(contentsOfFile: files.file("pid"), encoding: .utf8).split(separator: "\n")[0]))
        try await ended(pid)
    }

    /// Waits until the process is gone, or a zombie that its new parent has yet to collect.
    private func ended(_ pid: Int32) async throws {
        while let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), !status.contains(") Z ") {
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    // MARK: How often it runs

    /// Counts its runs; its token is their number.
    ///
    /// - Parameter first: what each run does before.
    private func writeCounter(rest: String = "", first: String = "") throws {
        try write(
            script: """
                \(first)
                n=$(cat "$0.runs" 2>/dev/null || echo 0); n=$((n+1)); echo $n > "$0.runs"
                [ -e "$0.broken" ] && exit 1
                echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"'$n'"\(rest)}}'
                """)
    }

    private func keeper(_ clock: Locked<Int64>, log: Log = Sample.quiet) throws -> AccessKeeper {
        let credentials = try KubernetesCredentials(
            server: "https://h", trust: .fixed(.system), user: .plugin(plugin()))
        return AccessKeeper(credentials, log: log, now: { clock.withLock { $0 } })
    }

    private func inAnHour() -> String {
        #","expirationTimestamp":"\#((Date() + 3600).formatted(.iso8601))""#
    }

    @Test func `a plugin runs again shortly before what it gave expires, once for all callers`() async throws {
        try writeCounter(rest: inAnHour())
        let clock = Locked(Int64(0))
        let keeper = try keeper(clock)
        try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<20 { group.addTask { try await keeper.access().authorization } }
            for try await token in group { #expect(token == "Bearer 1") }
        }
        clock.withLock { $0 = 58 * Self.minute }
        #expect(try await keeper.access().authorization == "Bearer 1")
        clock.withLock { $0 = 59 * Self.minute }
        try await eventually("it is renewed") { try await keeper.access().authorization == "Bearer 2" }
    }

    @Test func `nobody waits for a plugin while what it gave before is good`() async throws {
        try writeCounter(rest: inAnHour(), first: #"[ -e "$0.runs" ] && until [ -e "$0.go" ]; do sleep 0.01; done"#)
        let clock = Locked(Int64(0))
        let keeper = try keeper(clock)
        _ = try await keeper.access()
        clock.withLock { $0 = 59 * Self.minute }
        for _ in 0..<3 { #expect(try await keeper.access().authorization == "Bearer 1") }
        try files.write("", to: "plugin.go")
        try await eventually("it is renewed") { try await keeper.access().authorization == "Bearer 2" }
    }

    @Test func `a plugin that fails early does not take away what is still good`() async throws {
        try writeCounter(rest: inAnHour())
        let clock = Locked(Int64(0))
        let lines = LogLines()
        let keeper = try keeper(clock, log: lines.log)
        _ = try await keeper.access()
        try files.write("", to: "plugin.broken")
        clock.withLock { $0 = 59 * Self.minute }
        #expect(try await keeper.access().authorization == "Bearer 1")
        try await eventually("that it failed is told") { lines.all.count == 1 }
        clock.withLock { $0 = 60 * Self.minute }
        await #expect(throws: KubernetesError.self) { try await keeper.access() }
    }

    @Test func `a plugin does not run for each call that the API server refuses`() async throws {
        try writeCounter()
        let clock = Locked(Int64(0))
        let keeper = try keeper(clock)
        let first = try await keeper.access()
        #expect(try await keeper.renewed(after: first) == nil)
        clock.withLock { $0 = Self.minute }
        let second = try #require(try await keeper.renewed(after: first))
        #expect(second.authorization == "Bearer 2")
        // Another call had been refused with the first one too.
        #expect(try await keeper.renewed(after: first)?.authorization == "Bearer 2")
        #expect(try await keeper.renewed(after: second) == nil)
    }

    @Test func `a plugin that fails does not run for each call`() async throws {
        try writeCounter()
        try files.write("", to: "plugin.broken")
        let clock = Locked(Int64(0))
        let keeper = try keeper(clock)
        for _ in 0..<3 { await #expect(throws: KubernetesError.self) { try await keeper.access() } }
        try FileManager.default.removeItem(atPath: files.file("plugin.broken"))
        clock.withLock { $0 = Self.minute }
        #expect(try await keeper.access().authorization == "Bearer 2")
    }
}

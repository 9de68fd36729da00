import FoundationEssentials
import Support
import Testing

/// `make install-local`, into a directory that stands for another machine's root.
struct LocalInstallTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func `make installs a service for a machine outside of Kubernetes, and removes all but its settings`()
        async throws
    {
        try await make("install-local", "BINARY=\(try ChildProcess.leasehold())")
        #expect(try await run("usr/local/bin/leasehold", "version").hasPrefix("leasehold "))
        #expect(try await run("usr/local/bin/kubectl-leasehold", "help").contains("kubectl leasehold"))
        for file in [
            "bash-completion/completions/leasehold", "zsh/site-functions/_leasehold",
            "fish/vendor_completions.d/leasehold.fish",
        ] {
            #expect(try text("usr/local/share/\(file)").contains("leasehold"), "\(file)")
        }
        try await checkUnit()

        // Settings are somebody's work, and may hold secrets.
        try directory.write("LEASEHOLD_CLUSTER=mine\n", to: "etc/leasehold/leasehold.env")
        try await make("install-local", "BINARY=\(try ChildProcess.leasehold())")
        #expect(try text("etc/leasehold/leasehold.env") == "LEASEHOLD_CLUSTER=mine\n")
        let modes = try await run(
            "/usr/bin/stat", "--format=%a", directory.file("etc/leasehold/leasehold.env"),
            directory.file("etc/leasehold/credentials"))
        #expect(modes == "600\n700\n")

        try await make("uninstall-local")
        let left = try await run(
            "/usr/bin/find", directory.file("usr"), directory.file("etc"), "-type", "f", "-o", "-type", "l")
        #expect(left == directory.file("etc/leasehold/leasehold.env") + "\n")
    }

    /// That systemd understands all of it, and counts it among the well confined.
    private func checkUnit() async throws {
        let analyze = "/usr/bin/systemd-analyze"
        guard FileManager.default.isExecutableFile(atPath: analyze) else { return }
        // systemd looks whether the program is there.
        let unit = try text("usr/local/lib/systemd/system/leasehold@.service")
        #expect(!unit.contains("@BINDIR@") && !unit.contains("@SYSCONFDIR@"))
        try directory.write(
            unit.replacing("/usr/local/bin", with: directory.file("usr/local/bin")), to: "leasehold@.service")
        let said = try await run(analyze, "verify", directory.file("leasehold@.service"))
        #expect(said.isEmpty, "\(said)")
        _ = try await run(
            analyze, "security", "--offline=true", "--threshold=20", directory.file("leasehold@.service"))
    }

    private func text(_ file: String) throws -> String {
        try String(contentsOfFile: directory.file(file), encoding: .utf8)
    }

    private func make(_ arguments: String...) async throws {
        _ = try await run(
            "/usr/bin/make",
            ["--no-print-directory", "--directory", ControlPlane.projectFile(""), "DESTDIR=\(directory.path)"]
                + arguments)
    }

    private func run(_ program: String, _ arguments: String...) async throws -> String {
        try await run(program, arguments)
    }

    /// - Returns: what it wrote.
    private func run(_ program: String, _ arguments: [String]) async throws -> String {
        let path = program.hasPrefix("/") ? program : directory.file(program)
        let process = try ChildProcess(
            path, arguments, environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""], in: directory)
        let code = await process.exitCode()
        guard code == 0 else {
            throw ChildProcess.Failure("\(path) \(arguments): exit code \(code)\n\(process.out)\(process.err)")
        }
        return process.out + process.err
    }
}

import FoundationEssentials
import Support
import Testing

@testable import Commands

struct CompletionTests {
    private func words(_ line: String...) -> [String] {
        Completion.answer(line).split(separator: "\n").map { String($0.prefix { $0 != "\t" }) }
    }

    @Test func `offers every command, with what it does`() {
        #expect(words("") == Program.commands.map { $0.name } + ["--help", ":4"])
        #expect(words("st") == ["status", ":4"])
        #expect(Completion.answer(["dra"]) == "drain\t\(DrainCommand.summary)\n:4\n")
    }

    @Test func `offers every flag of every command`() {
        for command in Program.commands {
            let offered = words(command.name, "--")
            for flag in AnyFlag.all where flag.command == command.name { #expect(offered.contains("--\(flag.name)")) }
            #expect(offered.last == ":4")
        }
    }

    @Test func `offers the values of a flag, behind a space or an equals sign`() {
        #expect(words("status", "--output", "") == ["table", "wide", "json", "yaml", ":4"])
        #expect(words("status", "--output", "j") == ["json", ":4"])
        #expect(words("status", "--output=j") == ["--output=json", ":4"])
        #expect(words("status", "--watch=") == ["--watch=true", "--watch=false", ":4"])
        #expect(words("check", "--mode", "") == ["enforce", "warn", "audit", ":4"])
    }

    @Test func `leaves files and directories to the shell`() {
        #expect(words("status", "--kubeconfig", "") == [":0"])
        #expect(words("run", "--tls-key=/e") == [":0"])
        #expect(words("run", "--state-directory", "") == [":16"])
        #expect(words("check", "") == [":0"])
    }

    @Test func `does not offer a flag twice, unless it may be repeated`() {
        #expect(!words("status", "--output", "json", "--").contains("--output"))
        #expect(!words("status", "--output=json", "--").contains("--output"))
        #expect(words("status", "--namespace", "a", "--").contains("--namespace"))
    }

    @Test func `offers nothing where nothing is known`() {
        #expect(words("frobnicate", "") == [":4"])
        #expect(words("transfer", "--to", "") == [":4"])
        #expect(words("transfer", "team") == [":4"])
        #expect(words("transfer", "--", "--") == [":4"])
        #expect(words("help", "dr") == ["drain", ":4"])
        #expect(words("completion", "") == ["bash", "zsh", "fish", ":4"])
    }

    // MARK: - In shells

    /// What the shell completes the line to, with the built program on its path.
    private func bash(_ line: String) async throws -> [String] {
        let directory = try TemporaryDirectory()
        let script = #"""
            source <(leasehold completion bash)
            COMP_LINE=$1 COMP_POINT=${#1}
            # What bash itself tells a function that completes is not there outside an interactive shell.
            compopt() { :; }
            _leasehold
            printf '%s\n' "${COMPREPLY[@]}"
            """#
        let process = try ChildProcess(
            "/bin/bash", ["-euo", "pipefail", "-c", script, "bash", line],
            environment: ["PATH": "\(try ChildProcess.productDirectory()):/usr/bin:/bin"], in: directory)
        #expect(await process.exitCode() == 0, "\(process.err)")
        #expect(process.err.isEmpty)
        return process.out.split(separator: "\n").map(String.init)
    }

    @Test func `real bash completes commands, flags, values and files`() async throws {
        #expect(try await bash("leasehold sta") == ["status"])
        #expect(try await bash("leasehold status --out") == ["--output"])
        #expect(try await bash("leasehold status --output ") == ["table", "wide", "json", "yaml"])
        // bash replaces what stands behind the equals sign only.
        #expect(try await bash("leasehold status --output=j") == ["json"])
        #expect(try await bash("leasehold check /etc/pass").contains("/etc/passwd"))
        #expect(try await bash("leasehold run --state-directory=/et") == ["/etc"])
    }

    @Test(arguments: CompletionCommand.shells)
    func `the scripts have no syntax error`(shell: String) async throws {
        let candidates = ["/bin/\(shell)", "/usr/bin/\(shell)", "/usr/local/bin/\(shell)"]
        guard let binary = candidates.first(where: FileManager.default.isExecutableFile) else { return }
        let directory = try TemporaryDirectory()
        let file = directory.file("script")
        try (await leasehold("completion", shell)).out.write(toFile: file, atomically: true, encoding: .utf8)
        let process = try ChildProcess(binary, ["-n", file], in: directory)
        #expect(await process.exitCode() == 0, "\(process.err)")
    }
}

struct PluginTests {
    @Test func `is called by the name that it was started under`() async {
        #expect(Program.Called("/usr/local/bin/kubectl-leasehold").program == "kubectl leasehold")
        #expect(Program.Called("leasehold").program == "leasehold")
        #expect(Program.Called("/x/kubectl_complete-leasehold") == .completion)
        let console = TestConsole()
        #expect(await Program.run(["drain", "--help"], console: console.console(program: "kubectl leasehold")) == 0)
        #expect(console.out.hasPrefix("kubectl leasehold drain: "))
        #expect(console.out.contains("\nUsage: kubectl leasehold drain CLUSTER [flags]\n"))
        #expect(console.out.contains("\n  kubectl leasehold drain east --to west\n"))
        #expect(await Program.run(["drain"], console: console.console(program: "kubectl leasehold")) == 2)
        #expect(
            console.err.hasPrefix("kubectl leasehold drain: got no CLUSTER; allowed: kubectl leasehold drain CLUSTER"))
    }
}

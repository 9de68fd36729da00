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

    private static func has(_ shell: String) -> Bool {
        FileManager.default.isExecutableFile(atPath: "/usr/bin/\(shell)")
    }

    /// What a shell's script writes for a line, with the built program on its path.
    private func run(_ shell: String, _ options: [String], _ script: String, _ line: String) async throws -> [String] {
        let directory = try TemporaryDirectory()
        let process = try ChildProcess(
            "/usr/bin/\(shell)", options + ["-c", script, shell, line],
            environment: [
                "PATH": "\(try ChildProcess.productDirectory()):/usr/bin:/bin", "HOME": directory.path, "LINE": line,
                "TERM": "dumb",
            ], in: directory)
        #expect(await process.exitCode() == 0, "\(process.err)")
        #expect(process.err.isEmpty)
        return process.out.split(separator: "\n").map { String($0.prefix { $0 != "\t" }) }
    }

    private func expectCompletions(_ complete: (String) async throws -> [String]) async throws {
        #expect(try await complete("leasehold sta") == ["status"])
        #expect(try await complete("leasehold status --out") == ["--output"])
        #expect(try await Set(complete("leasehold status --output ")) == ["table", "wide", "json", "yaml"])
        #expect(try await complete("leasehold check /etc/pass").contains("/etc/passwd"))
    }

    @Test func `real bash completes commands, flags, values and files`() async throws {
        func complete(_ line: String) async throws -> [String] {
            try await run(
                "bash", ["-euo", "pipefail"],
                #"""
                source <(leasehold completion bash)
                COMP_LINE=$1 COMP_POINT=${#1}
                # There is none outside an interactive shell.
                compopt() { :; }
                _leasehold
                printf '%s\n' "${COMPREPLY[@]}"
                """#, line)
        }
        try await expectCompletions(complete)
        // bash replaces what stands behind the equals sign only.
        #expect(try await complete("leasehold status --output=j") == ["json"])
        #expect(try await complete("leasehold run --state-directory=/et") == ["/etc"])
    }

    @Test(.enabled(if: has("zsh"), "zsh is not installed"))
    func `real zsh completes commands, flags, values and files`() async throws {
        func complete(_ line: String) async throws -> [String] {
            try await run(
                "zsh", ["-f"],
                #"""
                # Completion itself works only while somebody types: these stand for its own functions.
                compdef() { [[ "$*" == "_leasehold leasehold" ]] }
                _describe() { print -rl -- ${(@)${(P)2}%%:*} }
                compset() { PREFIX=${PREFIX#*=} }
                _files() { print -rl -- ${PREFIX}*(N) }
                source <(leasehold completion zsh)
                words=("${(@s: :)1}")
                CURRENT=${#words}
                PREFIX=${words[-1]}
                _leasehold
                """#, line)
        }
        try await expectCompletions(complete)
        #expect(try await complete("leasehold status --output=j") == ["--output=json"])
        #expect(try await complete("leasehold run --state-directory=/et") == ["/etc"])
    }

    @Test(.enabled(if: has("fish"), "fish is not installed"))
    func `real fish completes commands, flags, values and files`() async throws {
        func complete(_ line: String) async throws -> [String] {
            try await run("fish", ["--no-config"], #"leasehold completion fish | source; complete -C "$LINE""#, line)
        }
        try await expectCompletions(complete)
        #expect(try await complete("leasehold status --output=j") == ["--output=json"])
        #expect(try await complete("leasehold run --state-directory=/et") == ["--state-directory=/etc/"])
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
